"""Loading the shared library. Nothing is compiled here: no worker waits for a compiler."""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

from v3core.errors import V3Error
from v3core.messages import _
from v3core.native.build import LIBRARY as LIBRARY
from v3core.native.build import defect
from v3core.native.layouts import declare
from v3core.paths import COMMAND, INSTALLED
from v3core.phrases import listed

VARIABLE = "V3_NATIVE"
"""0 leaves the network to torch; 1 uses the library also where a checkpoint is torch's."""
CPU = Path("/proc/cpuinfo")
NEEDED = {"x86_64": {"avx", "avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"}}
"""What the instruction set x86-64-v3 has beyond its predecessor, by Linux's names."""


def load() -> ctypes.CDLL:
    """The library of this installation.

    Raises:
        V3Error: if it is turned off, or cannot be used here.
    """
    if os.environ.get(VARIABLE) == "0":
        raise V3Error("Torch computes the network, because {variable} is 0.", variable=VARIABLE)
    return _load(LIBRARY)


@cache
def _load(path: Path) -> ctypes.CDLL:
    try:
        if missing := NEEDED.get(platform.machine(), set()) - _cpu_flags():
            raise V3Error(
                "Torch computes the network, because this processor lacks {missing}.",
                missing=listed(sorted(missing)),
            )
        if wrong := defect(path):
            raise V3Error("Torch computes the network, because {wrong}; {remedy}.", wrong=wrong, remedy=_remedy())
        library = ctypes.CDLL(str(path))
        declare(library)
    except FileNotFoundError:
        raise V3Error(
            "Torch computes the network, because the native library was not built; {remedy}.", remedy=_remedy()
        ) from None
    except (OSError, AttributeError) as error:
        raise V3Error(
            "Torch computes the network, because {path} cannot be loaded: {error}.", path=path, error=error
        ) from None
    return library


def _remedy() -> str:
    return (
        _("reinstall V3 Lab with a C++ compiler")
        if INSTALLED
        else _("build it with `{command}.native`", command=COMMAND)
    )


def _cpu_flags() -> set[str]:
    """Of the first processor; they are checked before loading, because the library's code may need all of them."""
    try:
        with CPU.open(encoding="utf-8", errors="replace") as lines:
            return next((set(line.split()) for line in lines if line.startswith("flags")), set())
    except OSError:
        return set()
