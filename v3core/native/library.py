"""The shared library: how it is built and loaded."""

import ctypes
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from v3core.errors import V3Error
from v3core.native.layouts import VERSION, declare

SOURCE = Path(__file__).parent / "source"
LIBRARY = Path(__file__).parent / "v3network.so"
FLAGS = (
    *("-std=c++17", "-O3", "-march=x86-64-v3", "-shared", "-fPIC"),
    # Sums stay in the order written: no fast-math. Fused products are the same on every CPU that has them.
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
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
    declare(library)
    return library
