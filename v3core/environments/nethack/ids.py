"""Which environments are NetHack's, and importing the packages that register them, if they are installed."""

import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import INSTALLED

PACKAGES = {"nle": "1.3.0", "minihack": "1.0.2"}
"""Their versions that V3 Lab was tested with, as in requirements-nethack.txt."""


def package_of(env_id: str) -> str | None:
    """The package that an id is of, `nle` or `minihack`; None for all other environments."""
    name = env_id.rpartition(":")[2]
    return "nle" if name.startswith("NetHack") else "minihack" if name.startswith("MiniHack-") else None


def is_installed(package: str) -> bool:
    """Whether a package is there; it is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def how_to_install() -> str:
    """What to do without them, as the end of a sentence."""
    pins = " ".join(f"{name}=={version}" for name, version in PACKAGES.items())
    command = f"pip install --no-deps {pins}" if INSTALLED else "make nethack"
    return _("run `{command}` on Linux, with Python 3.11 to 3.13", command=command)


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
