"""The shared library: how it is built, and how its structures look to ctypes."""

import ctypes
import os
import shutil
import subprocess
from ctypes import c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

from v3core.errors import V3Error

SOURCE = Path(__file__).parent / "source"
LIBRARY = Path(__file__).parent / "v3network.so"
VERSION = 1
"""Of the interface; another library is not used."""

MAX_CHANNELS = 8
FLAGS = (
    *("-std=c++17", "-O3", "-march=x86-64-v3", "-shared", "-fPIC"),
    # Sums stay in the order written: no fast-math. Fused products are the same on every CPU that has them.
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)


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


def find_compiler() -> str | None:
    """The C++ compiler of CXX, or of this machine."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")


def build(compiler: str | None = None, target: Path = LIBRARY) -> Path:
    """Compile the library; takes some seconds.

    Raises:
        V3Error: if there is no compiler, or it fails.
    """
    found = compiler or find_compiler()
    if found is None:
        raise V3Error("There is no C++ compiler here, so torch computes the network; install g++ for a faster one.")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    command = [found, *FLAGS, str(SOURCE / "network.cpp"), "-o", str(unfinished)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise V3Error(f"{found} cannot compile the network: {(done.stderr.strip() or 'it failed').splitlines()[0]}")
        unfinished.replace(target)
    except OSError as error:
        raise V3Error(f"The network cannot be compiled with {found}: {error.strerror or error}.") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return target


@cache
def load(path: Path | None = None) -> ctypes.CDLL:
    """The library, loaded once.

    Raises:
        V3Error: if it is not built, not loadable here, or of another version.
    """
    path = path or LIBRARY
    if not path.exists():
        raise V3Error("The network's library is not built here, so torch computes the network.")
    try:
        library = ctypes.CDLL(str(path))
        version = library.v3_version()
    except (OSError, AttributeError):
        raise V3Error(f"The network's library {path} cannot be loaded, so torch computes the network.") from None
    if version != VERSION:
        raise V3Error(f"The network's library {path} is of another version or for another processor.")
    library.v3_create.restype = c_void_p
    library.v3_create.argtypes = [c_void_p]
    library.v3_destroy.argtypes = [c_void_p]
    library.v3_forward.argtypes = [c_void_p, c_void_p, c_void_p, c_int32, *[c_void_p] * 4]
    library.v3_backward.argtypes = [c_void_p] * 8
    for function in (library.v3_destroy, library.v3_backward):
        function.restype = None
    return library
