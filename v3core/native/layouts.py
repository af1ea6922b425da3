"""The library's interface as ctypes lays it out: the structures of network.h and the functions of network.cpp."""

import ctypes
from ctypes import c_int32, c_int64, c_void_p

MAX_CHANNELS = 8


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
                *("observation_size", "padding_"),
            )
        ),
        ("part", ctypes.POINTER(Part)),
        ("layer", ctypes.POINTER(Layer)),
        ("routed", ExpertBlock),
        ("shared", ExpertBlock),
        *((name, c_int64) for name in ("readout", "readout_bias", "router", "router_bias")),
        ("value", c_int64 * 8),
        ("first_edge", c_void_p),
        ("senders", c_void_p),
    )


class Batch(ctypes.Structure):
    """`Batch` of network.h."""

    _fields_ = (
        *((name, c_void_p) for name in ("observations", "chosen", "jitter")),
        *((name, c_int64) for name in ("size", "jitter_step")),
        *((name, c_int32) for name in ("bytes", "padding_")),
    )


def declare(library: ctypes.CDLL) -> None:
    """Tell ctypes the types of the library's functions."""
    library.v3_create.restype = c_void_p
    library.v3_create.argtypes = [c_void_p]
    library.v3_destroy.argtypes = [c_void_p]
    library.v3_forward.argtypes = [c_void_p, c_void_p, c_void_p, c_int32, *[c_void_p] * 4]
    library.v3_backward.argtypes = [c_void_p] * 8
    for function in (library.v3_destroy, library.v3_backward):
        function.restype = None
