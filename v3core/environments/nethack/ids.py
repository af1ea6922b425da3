"""Which environments are NetHack's, and importing the packages that register them, if they are installed."""

import importlib.util
import platform
import re
import shutil
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gymnasium.envs.registration import EnvSpec, load_env_creator, registry

from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import INSTALLED
from v3core.phrases import listed

PACKAGES = {"nle": "1.3.0", "minihack": "1.0.2"}
"""Their versions that V3 Lab was tested with, as in requirements-nethack.txt."""
NEEDS = _(
    "NetHack is ready-made for Linux on x86-64 or aarch64 with Python 3.11 to 3.13; elsewhere pip compiles it, which "
    "takes cmake, bison, flex and a C++ compiler"
)
"""Where they can be installed."""
_COMPILERS = ("c++", "g++", "clang++")
_STARTS = ("NetHack", "MiniHack-")
_OWN = re.compile(r"NetHack(Score|Staircase|StaircasePet|Oracle|Gold|Eat|Scout|Challenge)?(-v\d+)?")
"""The ids of nle; minihack has hundreds."""


def package_of(env_id: str) -> str | None:
    """The package that an environment is of, `nle` or `minihack`; None for all other environments.

    Of a registered one that is where its class is from, or a class that it derives from; of one that is not, its name.
    """
    module, _colon, name = env_id.rpartition(":")
    if (spec := registry.get(name)) is not None:
        return _origin(spec) if name.startswith(_STARTS) else None
    if module:
        return module if module in PACKAGES else None  # another one registers its ids when it is imported
    return "nle" if _OWN.fullmatch(name) else "minihack" if name.startswith("MiniHack-") else None


def _origin(spec: EnvSpec) -> str | None:
    entry: Any = spec.entry_point
    first = (entry if isinstance(entry, str) else getattr(entry, "__module__", "")).partition(":")[0].partition(".")[0]
    if first in PACKAGES:
        return first
    try:
        maker = load_env_creator(entry) if isinstance(entry, str) else entry
    except Exception:  # creating it will say what is wrong
        return None
    bases = [base.__module__.partition(".")[0] for base in getattr(maker, "__mro__", ())]
    return next((package for package in bases if package in PACKAGES), None)


def is_installed(package: str) -> bool:
    """Whether a package is there; it is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def lacks() -> str | None:
    """What compiling NetHack lacks here, where it is not ready-made; None if nothing is known to be missing."""
    system, machine, version = platform.system(), platform.machine(), sys.version_info[:2]
    if system == "Linux" and machine in ("x86_64", "aarch64") and (3, 11) <= version <= (3, 13):
        return None
    missing = [tool for tool in ("cmake", "bison", "flex") if shutil.which(tool) is None]
    if not any(map(shutil.which, _COMPILERS)):
        missing.append(_("a C++ compiler"))
    if not missing:
        return None
    return _(
        "for {system} on {machine} with Python {version} pip compiles NetHack, and these are not found: {missing}",
        system=system,
        machine=machine,
        version=".".join(map(str, version)),
        missing=listed(missing),
    )


def why_not_installed() -> str:
    """What `make nethack` says where pip has failed."""
    if (missing := lacks()) is not None:
        return _("NetHack or MiniHack cannot be installed here: {missing}.", missing=missing)
    return _("NetHack or MiniHack cannot be installed here; pip's message above has the cause ({needs}).", needs=NEEDS)


def how_to_install() -> str:
    """What to do without them, as the end of a sentence."""
    pins = " ".join(f"{name}=={version}" for name, version in PACKAGES.items())
    command = f"pip install --no-deps {pins}" if INSTALLED else "make nethack"
    return _("run `{command}` ({needs})", command=command, needs=lacks() or NEEDS)


def import_package(env_id: str) -> None:
    """Register the ids of the package that an id is of; V3Error if it is not installed, or cannot be loaded."""
    package = package_of(env_id)
    if package is None:
        return
    try:
        import nle  # noqa: F401

        if package == "minihack":
            with _pkg_resources():
                import minihack  # noqa: F401
    except ModuleNotFoundError as problem:
        raise V3Error(
            "Environment {env_id} needs the Python package '{value}', which is not installed; {how_to_install}.",
            env_id=env_id,
            value=problem.name or package,
            how_to_install=how_to_install(),
        ) from None
    except (ImportError, OSError) as problem:
        raise V3Error(
            "Environment {env_id} cannot be loaded, because its package '{package}' does not run here: {rstrip}; "
            "{how_to_install}.",
            env_id=env_id,
            package=package,
            rstrip=" ".join(str(problem).split())[:200].rstrip("."),
            how_to_install=how_to_install(),
        ) from None


@contextmanager
def _pkg_resources() -> Iterator[None]:
    """Meanwhile there is a module `pkg_resources`, of which minihack uses one function.

    setuptools had it up to version 81.
    """
    name = "pkg_resources"
    if name in sys.modules or is_installed(name):
        yield
        return
    stand_in = types.ModuleType(name)
    stand_in.resource_filename = _resource_filename  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


def _resource_filename(package: str, path: str) -> str:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / path)
