"""The native library of the sources as they are."""

from pathlib import Path

import pytest
import torch

from tests.training.conftest import small_run  # noqa: F401  a fixture
from v3core.native.build import LIBRARY, build, find_compiler

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def compiled() -> Path:
    """Its file. Sources that do not compile fail every test."""
    if find_compiler() is None:
        pytest.skip("There is no C++ compiler here.")
    build()
    return LIBRARY
