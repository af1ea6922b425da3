"""The small changes of `tests.mutation`: those of mutmut, and statements, entries and named arguments left out.

mutmut's own runner skips every function with a decorator, such as `@torch.inference_mode()` or `@property`.
"""

import difflib
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation import mutators

_TEXT = {"operator_string", "operator_dict_arguments", "operator_assignment", "operator_lambda", "operator_arg_removal"}
"""Texts are read by the tests of pages, and None where a number belongs by the type checker."""
_LEFT_AS_IT_IS = cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom | cst.Assert | cst.Raise
_NOT_CHANGED = {"isinstance", "_", "V3Error"}
"""Calls that narrow a type, or make a text."""


@dataclass(frozen=True)
class Mutant:
    """A file with one change."""

    path: Path
    changed: dict[str, CodeType]
    """The functions that are another, by qualified name."""
    diff: str
    lines: range
    """Of the original, where the change is."""

    @property
    def name(self) -> str:
        """The same as long as the changed lines are."""
        return hashlib.sha256(f"{self.path.as_posix()}\n{self.diff}".encode()).hexdigest()[:8]

    def apply(self) -> None:
        """Change the functions of the imported module, whoever has imported them."""
        module = import_module(".".join(self.path.with_suffix("").parts))
        classes = [each for each in vars(module).values() if isinstance(each, type)]
        for entry in [value for space in (module, *classes) for value in vars(space).values()]:
            for function in _functions(entry):
                code = function.__code__
                if code.co_filename == module.__file__ and code.co_qualname in self.changed:
                    function.__code__ = self.changed[code.co_qualname]


def _functions(entry: Any) -> Iterator[FunctionType]:
    """Those behind a property or decorators."""
    parts = (entry.fget, entry.fset) if isinstance(entry, property) else (getattr(entry, "__func__", entry),)
    for part in parts:
        function = inspect.unwrap(part) if callable(part) else part
        if isinstance(function, FunctionType):
            yield function


def _codes(code: CodeType) -> dict[str, CodeType]:
    """Functions and methods of a module, those within functions left out, by qualified name."""
    found: dict[str, CodeType] = {}
    for part in code.co_consts:
        if isinstance(part, CodeType):
            is_class = not part.co_flags & inspect.CO_OPTIMIZED
            found |= _codes(part) if is_class else {part.co_qualname: part}
    return found


def _differing(code: CodeType, original: dict[str, CodeType]) -> dict[str, CodeType]:
    """Functions that do something else; none where the change is not within functions, or cannot be made in place."""
    changed = {name: part for name, part in _codes(code).items() if _content(part) != _content(original[name])}
    return changed if all(part.co_freevars == original[name].co_freevars for name, part in changed.items()) else {}


def _content(code: CodeType) -> tuple[Any, ...]:
    parts = tuple(_content(part) if isinstance(part, CodeType) else (type(part), repr(part)) for part in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, parts


def without_argument(call: cst.Call) -> Iterator[cst.Call]:
    """A call without one of its named arguments, so that the default is in force."""
    for place, argument in enumerate(call.args):
        if argument.keyword is not None:
            yield call.with_changes(args=[*call.args[:place], *call.args[place + 1 :]])


def without_entry(node: cst.Dict) -> Iterator[cst.Dict]:
    """A dictionary without one of its entries."""
    for place in range(len(node.elements) if len(node.elements) > 1 else 0):
        yield node.with_changes(elements=[*node.elements[:place], *node.elements[place + 1 :]])


def without_statement(line: cst.SimpleStatementLine) -> Iterator[cst.SimpleStatementLine]:
    """`pass` for a call, and for an assignment of a part of something: nothing else would miss its name."""
    (statement, *more) = line.body
    is_text = isinstance(statement, cst.Expr) and isinstance(statement.value, cst.SimpleString | cst.ConcatenatedString)
    assigns_a_part = isinstance(statement, cst.Assign) and any(
        isinstance(target.target, cst.Attribute | cst.Subscript) for target in statement.targets
    )
    if not more and not is_text and (assigns_a_part or isinstance(statement, cst.Expr | cst.AugAssign)):
        yield line.with_changes(body=[cst.Pass()])


def negated(node: cst.If) -> Iterator[cst.If]:
    """`if` where it was not."""
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test))


_OPERATORS: list[tuple[Any, Callable[[Any], Iterable[cst.CSTNode]]]] = [
    *((kind, operator) for kind, operator in mutators.mutation_operators if operator.__name__ not in _TEXT),
    (cst.Call, without_argument),
    (cst.Dict, without_entry),
    (cst.SimpleStatementLine, without_statement),
    (cst.If, negated),
]


class _Changes(cst.CSTVisitor):
    """Finds what can be changed within functions."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode]] = []
        self._depth = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, _LEFT_AS_IT_IS):
            return False
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in _NOT_CHANGED:
            return False
        self._depth += isinstance(node, cst.FunctionDef)
        if self._depth:
            for kind, operator in _OPERATORS:
                if isinstance(node, kind):
                    self.found += ((node, changed) for changed in operator(node))
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._depth -= isinstance(original_node, cst.FunctionDef)


def mutants_of(path: Path) -> list[Mutant]:
    """All that can be made of a file, whose path is relative to the project; defaults of parameters are not changed."""
    source = path.read_text(encoding="utf-8")
    original = _codes(compile(source, path.resolve(), "exec"))
    wrapper, changes = MetadataWrapper(cst.parse_module(source)), _Changes()
    wrapper.module.visit(changes)
    places, parents = wrapper.resolve(PositionProvider), wrapper.resolve(ParentNodeProvider)
    made: dict[str, Mutant] = {}
    for node, other in changes.found:
        text = wrapper.module.deep_replace(node, other).code  # type: ignore[attr-defined]
        try:
            changed = _differing(compile(text, path.resolve(), "exec"), original)
        except SyntaxError:
            continue
        if changed:
            diff = [*difflib.unified_diff(source.splitlines(), text.splitlines(), n=1, lineterm="")][2:]
            while node not in places:
                node = parents[node]
            lines = range(places[node].start.line, places[node].end.line + 1)
            mutant = Mutant(path, changed, "\n".join(diff), lines)
            made[mutant.name] = mutant
    return list(made.values())
