"""The native library, compiled once for all of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.conftest import small_run  # noqa: F401  a fixture
from v3core.native import library

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of the sources as they are, whatever is built in the checkout. Sources that do not compile fail every test."""
    if library.find_compiler() is None:
        pytest.skip("There is no C++ compiler here.")
    path = library.build(target=tmp_path_factory.mktemp("native") / "v3network.so")
    patch = pytest.MonkeyPatch()
    patch.setattr(library, "LIBRARY", path)
    library.load.cache_clear()
    yield path
    patch.undo()
    library.load.cache_clear()
