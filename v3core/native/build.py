"""Compiling the library. Needs the standard library only: building a wheel runs this file without its dependencies."""

import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY = HERE / "v3network.so"
ZIG = "ziglang==0.17.1"
"""A wheel with a C++ compiler, 101 MB: downloaded where there is no other, used once and removed."""
ARCHITECTURES = {
    "x86_64": ("-march=x86-64-v3", "-mcpu=x86_64_v3"),
    "aarch64": ("-march=armv8-a", "-mcpu=generic"),
}
"""By machine: the option of GCC and Clang, and that of zig, which else compiles for the processor it runs on."""
FLAGS = (
    *("-std=c++17", "-O3", "-shared", "-fPIC", "-s"),
    # Sums stay in the order written, and products are fused where that is written: no fast-math, no contraction.
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"),
)
_SEAL = re.compile(rb"\nv3network ([0-9a-f]{64}) ([0-9a-f]{64})\n\Z")
_SEAL_BYTES = len(b"\nv3network  \n") + 2 * 64


class BuildError(Exception):
    """Why the library was not built, in one sentence."""


def fingerprint() -> str:
    """Of everything that decides what the library is: sources, interface, machine and flags."""
    found = hashlib.sha256(repr((platform.machine(), ARCHITECTURES, FLAGS)).encode())
    for path in [HERE / "layouts.py", *sorted((HERE / "source").iterdir())]:
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def seal(content: bytes) -> bytes:
    """A library's content followed by its fingerprint and checksum; loaders ignore what follows the last section."""
    return content + f"\nv3network {fingerprint()} {hashlib.sha256(content).hexdigest()}\n".encode()


def defect(path: Path) -> str | None:
    """Why a file must not be loaded, in half a sentence; None if it is the library of these sources, undamaged.

    Loading a file that was cut short would end the process with SIGBUS.

    Raises:
        OSError: if it cannot be read.
    """
    content = path.read_bytes()
    found = _SEAL.search(content[-_SEAL_BYTES:])
    if found is None or hashlib.sha256(content[:-_SEAL_BYTES]).hexdigest().encode() != found[2]:
        return f"{path} is damaged"
    if found[1].decode() != fingerprint():
        return f"{path} was built from another version of the sources or for another machine"
    return None


def find_compiler() -> list[str] | None:
    """The command of the C++ compiler: that of CXX, one of this machine, or that of the package ziglang."""
    if chosen := os.environ.get("CXX"):
        return shlex.split(chosen)
    found = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), None)
    if found is not None:
        return [found]
    return [sys.executable, "-m", "ziglang", "c++"] if importlib.util.find_spec("ziglang") else None


def build(target: Path = LIBRARY, compiler: list[str] | None = None) -> None:
    """Compile the library, which takes some seconds; unless `target` is up to date.

    Args:
        target: the file, which is replaced completely or not at all.
        compiler: its command; by default what this machine has, or the package ziglang, downloaded for this once.

    Raises:
        BuildError: if there is no compiler, it fails, or the file cannot be written.
    """
    try:
        if target.exists() and defect(target) is None:
            return
    except OSError:
        pass  # it is replaced
    if compiler or (compiler := find_compiler()):
        _compile(target, compiler, {})
    else:
        with _zig() as folder:
            caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), f"{folder}/cache")
            _compile(target, [sys.executable, "-m", "ziglang", "c++"], {"PYTHONPATH": folder, **caches})


def _compile(target: Path, compiler: list[str], variables: dict[str, str]) -> None:
    if platform.machine() not in ARCHITECTURES:
        raise BuildError(f"There is no native library for processors of kind {platform.machine()}.")
    architecture = ARCHITECTURES[platform.machine()]["ziglang" in compiler]
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / target.name
        command = [*compiler, *FLAGS, architecture, str(HERE / "source" / "network.cpp"), "-o", str(compiled)]
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", check=False, env=os.environ | variables
            )
            if done.returncode or not compiled.exists():
                why = next((line for line in done.stderr.splitlines() if "error" in line), "it failed").strip()
                raise BuildError(f"{shlex.join(compiler)} cannot compile the native library: {why}")
            try:
                unfinished.write_bytes(seal(compiled.read_bytes()))
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise BuildError(f"The native library cannot be built: {error}.") from None


@contextmanager
def _zig() -> Iterator[str]:
    """A folder with the package ziglang, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        # Isolated: while a wheel is built, the environment that pip makes for it has no pip.
        print(f"There is no C++ compiler: downloading {ZIG}, 101 MB, to compile once …", file=sys.stderr, flush=True)
        pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*pip, "--target", folder, ZIG], capture_output=True, check=False)
        if done.returncode:
            raise BuildError("There is no C++ compiler, and the package ziglang, which has one, cannot be downloaded.")
        yield folder
