"""Errors of V3 Lab are pickled and copied with their sentence, and with what it takes to translate it."""

import copy
import pickle
import re
from importlib import import_module
from pathlib import Path

import pytest

import v3core
from v3core.errors import V3Error
from v3core.store.runs import UnknownRunError

OTHERS = {UnknownRunError: ("a1b2",)}
"""Those that are made of something else than a template and its values."""


def kinds():
    """All classes of errors: the modules that define one are imported."""
    package = Path(v3core.__file__).parent
    for file in package.rglob("*.py"):
        if re.search(r"^class \w+\(\w*Error\):", file.read_text(), re.MULTILINE):
            import_module(".".join(file.relative_to(package.parent).with_suffix("").parts))
    found = [V3Error]
    for kind in found:
        found += kind.__subclasses__()
    return [kind for kind in found if kind.__module__.startswith("v3core.")]


@pytest.mark.parametrize("kind", kinds())
def test_an_error_is_the_same_after_pickle_and_copy(kind):
    error = kind(*OTHERS[kind]) if kind in OTHERS else kind("There is no run {run}.", run="a1b2")
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(same) is kind
        assert str(same) == str(error)
        assert (same.message.template, same.message.values) == (error.message.template, error.message.values)
        assert same.message.in_language("zh_CN") == error.message.in_language("zh_CN")
