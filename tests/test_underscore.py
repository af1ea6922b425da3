"""`_` makes a message: where it does, no function has a variable of that name, which would be called instead."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalogues import FILES, ROOT


def hidden(source: str) -> Iterator[int]:
    """Lines that give `_` a value within a function that also makes a message of its own."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            own = [
                node
                for node in ast.walk(function)
                if isinstance(node, ast.Name) and node.id == "_" and not _is_within_a_comprehension(function, node)
            ]
            if any(isinstance(node.ctx, ast.Load) for node in own):
                yield from (node.lineno for node in own if isinstance(node.ctx, ast.Store))


def _is_within_a_comprehension(function: ast.FunctionDef, name: ast.Name) -> bool:
    kinds = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    found = [node for node in ast.walk(function) if isinstance(node, kinds)]
    return any(name in ast.walk(node) for node in found) and isinstance(name.ctx, ast.Store)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(Path(path).relative_to(ROOT)))
def test_nothing_hides_the_function_that_makes_messages(path: Path) -> None:
    assert not list(hidden(path.read_text(encoding="utf-8")))


def test_what_hides_it_is_found() -> None:
    assert list(hidden("def f(a):\n    b, _ = a\n    return _('words')")) == [2]
    assert not list(hidden("def f(a):\n    b, _ = a\n    return b"))
    assert not list(hidden("def f(a):\n    return [_('words') for _x in a]"))
