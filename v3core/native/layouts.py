"""The library's interface as ctypes lays it out: the structures of network.h and the functions of network.cpp."""

import ctypes
from ctypes import c_double, c_float, c_int32, c_int64, c_void_p

MAX_CHANNELS = 8

# In the order of the enumerations of network.h; what is not among them, torch computes.
PARTS = ("features", "grid", "categories", "words", "hub")
GRAPHS = ("gatv1", "gatv2", "mlp")
ROUTINGS = ("softmax", "sparsemax", "entmax15", "entmax", "topk", "gumbel")
TOP_K_WEIGHTS = ("renormalised", "probabilities", "sigmoid")
ACTIONS = {"discrete": 0, "multi_discrete": 0, "multi_binary": 1, "continuous": 2}
COEFFICIENTS = (
    *("entropy", "load_balance", "expert_balance", "z_loss"),
    *("diversity", "consistency", "gate_entropy"),
)
"""Losses that a step has, by the names of their knobs."""
SAMPLES = ("actions", "log_probs", "advantages", "targets", "gates", "successors", "masks")
"""What a step reads of a rollout besides observations and noise."""
STATISTICS = 14
"""Of a step, before the norms of the experts' gradients."""


class Part(ctypes.Structure):
    """`Part` of network.h."""

    _fields_ = (
        *(
            (name, c_int32)
            for name in ("kind", "nodes", "first_node", "start", "size", "group", "channels", "padding_")
        ),
        ("categories", c_int64 * MAX_CHANNELS),
        ("rows", c_int64),
        ("identity", c_int64),
        ("table", c_int64 * MAX_CHANNELS),
        ("mean", c_void_p),
        ("scale", c_void_p),
    )


class Layer(ctypes.Structure):
    """`Layer` of network.h: offsets in the vector of all parameters."""

    _fields_ = tuple(
        (name, c_int64)
        for name in (
            *("norm_gain", "norm_bias", "weight", "bias", "receiver", "sender"),
            *("weight_receiver", "bias_sender", "bias_receiver", "score"),
        )
    )


class ExpertBlock(ctypes.Structure):
    """`ExpertBlock` of network.h."""

    _fields_ = (
        ("experts", c_int32),
        ("padding_", c_int32),
        *((name, c_int64) for name in ("weight_in", "bias_in", "weight_out", "bias_out")),
    )


class Network(ctypes.Structure):
    """`Network` of network.h."""

    _fields_ = (
        *(
            (name, c_int32)
            for name in (
                *("width", "nodes", "heads", "layers", "hidden", "outputs", "graph", "parts"),
                *("observation_size", "actions", "components", "padding_"),
            )
        ),
        ("part", ctypes.POINTER(Part)),
        ("layer", ctypes.POINTER(Layer)),
        ("routed", ExpertBlock),
        ("shared", ExpertBlock),
        *((name, c_int64) for name in ("readout", "readout_bias", "router", "router_bias")),
        ("value", c_int64 * 8),
        *((name, c_int64) for name in ("log_std", "size")),
        *((name, c_void_p) for name in ("categories", "first_edge", "senders")),
    )


class Gating(ctypes.Structure):
    """`Gating` of network.h."""

    _fields_ = (
        *((name, c_int32) for name in ("routing", "top_k", "top_k_weights")),
        ("temperature", c_float),
        ("alpha", c_double),
        ("bias", c_void_p),
        ("balance_on_softmax", c_int64),
    )


class Batch(ctypes.Structure):
    """`Batch` of network.h."""

    _fields_ = (
        *((name, c_void_p) for name in ("observations", "chosen", "noise")),
        *((name, c_int64) for name in ("size", "noise_step")),
        *((name, c_int32) for name in ("bytes", "jitter")),
    )


class Samples(ctypes.Structure):
    """`Samples` of network.h."""

    _fields_ = tuple((name, c_void_p) for name in SAMPLES)


class Objective(ctypes.Structure):
    """`Objective` of network.h."""

    _fields_ = tuple((name, c_float) for name in ("clip", "value", "max_grad_norm", *COEFFICIENTS))


class Adam(ctypes.Structure):
    """`Adam` of adam.h."""

    _fields_ = (
        *((name, c_void_p) for name in ("exp_avg", "exp_avg_sq", "step")),
        *((name, c_double) for name in ("lr", "beta1", "beta2", "epsilon")),
    )


def declare(library: ctypes.CDLL) -> None:
    """Tell ctypes the types of the library's functions."""
    library.v3_create.restype = c_void_p
    library.v3_create.argtypes = [c_void_p]
    library.v3_destroy.argtypes = [c_void_p]
    library.v3_prepare.argtypes = [c_void_p] * 2
    library.v3_act.argtypes = [c_void_p, c_void_p, ctypes.POINTER(Batch), ctypes.POINTER(Gating), *[c_void_p] * 3]
    structures = (ctypes.POINTER(structure) for structure in (Batch, Samples, Gating, Objective, Adam))
    library.v3_step.argtypes = [*[c_void_p] * 3, *structures, c_void_p]
    library.v3_forward.argtypes = [c_void_p, c_void_p, ctypes.POINTER(Batch), *[c_void_p] * 4]
    library.v3_backward.argtypes = [c_void_p, c_void_p, ctypes.POINTER(Batch), *[c_void_p] * 5]
    library.v3_readouts.argtypes = [c_void_p, c_void_p, ctypes.POINTER(Batch), c_int32, *[c_void_p] * 2]
    library.v3_readouts_backward.argtypes = [c_void_p, c_void_p, ctypes.POINTER(Batch), *[c_void_p] * 3]
    for function in (library.v3_destroy, library.v3_prepare, library.v3_backward, library.v3_readouts_backward):
        function.restype = None
