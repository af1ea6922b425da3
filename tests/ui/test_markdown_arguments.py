"""No page hands Streamlit a text of others as Markdown: what reaches a call that reads it is a literal, or escaped."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py")), *sorted((ROOT / "v3core" / "ui").rglob("*.py"))]

ESCAPING = {"plain", "lines", "md", "unseen"}
"""Of `v3core.ui.text`, and whatever else is declared to return `Markdown`."""
NUMBERS = {"len", "number", "counted", "age", "clock", "latency", "in_words", "ordinal", "slots_text"}
"""These write numbers, with words of ours."""
HELP = ("help",)
READS: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("markdown", "caption", "write", "title", "header", "subheader"), ((0,), ("body", *HELP))),
    **dict.fromkeys(("error", "info", "warning", "success"), ((0,), ("body", "title"))),
    **dict.fromkeys(("badge", "button", "form_submit_button", "download_button"), ((0,), ("label", *HELP))),
    **dict.fromkeys(("link_button", "checkbox", "toggle", "expander", "popover"), ((0,), ("label", *HELP))),
    **dict.fromkeys(("text_input", "text_area", "number_input", "slider", "date_input"), ((0,), ("label", *HELP))),
    **dict.fromkeys(("selectbox", "multiselect", "file_uploader", "status", "menu_button"), ((0,), ("label", *HELP))),
    **dict.fromkeys(("radio", "pills"), ((0, 1), ("label", "options", "captions", "format_func", *HELP))),
    "segmented_control": ((0, 1), ("label", "options", "format_func", *HELP)),
    "page_link": ((1,), ("label", *HELP)),
    "metric": ((0, 1, 2), ("label", "value", "delta", "delta_description", *HELP)),
    "progress": ((1,), ("text",)),
    "table": ((0,), ("data",)),
    "tabs": ((0,), ("tabs",)),
    "toast": ((0,), ("body",)),
    "spinner": ((0,), ("text",)),
    "dialog": ((0,), ("title",)),
}
"""Calls that read Markdown: in which positions, and under which names."""


class Module:
    """One file, and whether an expression in it can carry a text of others into Markdown."""

    def __init__(self, source: str, returning_markdown: set[str]):
        self.tree = ast.parse(source)
        self.returning_markdown = returning_markdown
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def offences(self) -> Iterator[tuple[int, str]]:
        """Line and argument of each call that is not known to be safe."""
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            if name not in READS or (name == "write" and ast.unparse(call.func) != "st.write"):
                continue
            places, names = READS[name]
            given = [argument for place, argument in enumerate(call.args) if place in places]
            named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg in names}
            if "format_func" in named:  # that is what is shown of the options
                given, _ = given[:1], named.pop("options", None)
            given += named.values()
            for argument in given:
                if not self.safe(argument):
                    yield argument.lineno, f"{name}(… {ast.unparse(argument)} …)"

    def safe(self, node: ast.expr) -> bool:
        """Whether an expression is a literal of ours, or escaped, or chosen among such."""
        match node:
            case ast.Constant():
                return True
            case ast.Lambda(body=body):
                return self.safe(body)
            case ast.Name(id="plain"):
                return True  # as a `format_func`
            case ast.Call(func=ast.Name(id="said"), args=[content]):
                return self.safe(content)
            case ast.Name(id=name) if name.strip("_").isupper():
                return True  # a constant of ours
            case ast.Name(id=name):
                values = list(self.values(name, node))
                return bool(values) and all(value is not None and self.safe(value) for value in values)
            case ast.FormattedValue(format_spec=ast.JoinedStr(values=[ast.Constant(value=str(form))])) if (
                form[-1] in ",dfg%"
            ):
                return True  # what is not a number cannot be written so
            case ast.Subscript(value=value) | ast.Starred(value=value) | ast.FormattedValue(value=value):
                return self.safe(value)
            case ast.IfExp(body=body, orelse=orelse):
                return self.safe(body) and self.safe(orelse)
            case (
                ast.BoolOp(values=values)
                | ast.JoinedStr(values=values)
                | ast.List(elts=values)
                | ast.Tuple(elts=values)
            ):
                return all(map(self.safe, values))
            case ast.Dict(values=values):
                return all(map(self.safe, values))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.safe(left) and self.safe(right)
            case ast.ListComp(elt=inner):
                return self.safe(inner)
            case ast.DictComp(key=key, value=value):
                return self.safe(key) and self.safe(value)
            case ast.Call(func=ast.Name(id=name)):
                return name in ESCAPING | NUMBERS | self.returning_markdown
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[_, *default]):
                return name.strip("_").isupper() and all(map(self.safe, default))
            case _:
                return False

    def values(self, name: str, use: ast.AST) -> Iterator[ast.expr | None]:
        """What is bound to a name in the innermost function that binds it; None where that cannot be said."""
        scope: ast.AST | None = use
        while scope is not None:
            scope = self.parents.get(scope)
            if isinstance(scope, ast.FunctionDef | ast.Lambda | ast.Module):
                found = list(self.bound(name, scope))
                if found:
                    yield from found
                    return

    def bound(self, name: str, scope: ast.AST) -> Iterator[ast.expr | None]:
        if isinstance(scope, ast.FunctionDef | ast.Lambda):
            arguments = [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]
            for argument in arguments:
                if argument.arg == name:
                    yield ast.Constant("") if is_markdown(argument.annotation) else None
        for node in ast.walk(scope):
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        yield from _assigned(name, target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    yield from _assigned(name, target, value)
                case ast.NamedExpr(target=target, value=value):
                    yield from _assigned(name, target, value)
                case ast.AugAssign(target=ast.Name(id=id), value=value) if id == name:
                    yield value
                case ast.For(target=target, iter=several) | ast.comprehension(target=target, iter=several):
                    yield from _assigned(name, target, several)


def _assigned(name: str, target: ast.expr, value: ast.expr) -> Iterator[ast.expr | None]:
    match target, value:
        case ast.Name(id=id), _ if id == name:
            yield value
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            for one, part in zip(targets, values, strict=True):
                yield from _assigned(name, one, part)
        case ast.Tuple(elts=targets), _:
            for one in targets:
                yield from _assigned(name, one, value)


def is_markdown(annotation: ast.expr | None) -> bool:
    """Whether a type is `Markdown`, or that or None."""
    return annotation is not None and ast.unparse(annotation) in {"Markdown", "Markdown | None", "list[Markdown]"}


def returning_markdown() -> set[str]:
    """Functions that are declared to return `Markdown`; mypy holds them to it."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in FILES]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {function.name for function in functions if is_markdown(function.returns)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_people_wrote_does_not_reach_streamlit_as_markdown(file):
    found = list(Module(file.read_text(encoding="utf-8"), returning_markdown()).offences())
    assert not found, "\n".join(f"{file.relative_to(ROOT)}:{line}: {what}" for line, what in found)


OTHERS = """
def page(run, error):
    st.caption(run.name)
    st.error(str(error))
    st.markdown(f"**{run.name}**")
    left.metric("Phase", run.phase)
    st.button("Stop", help="Stops " + run.name)
    label = run.name if run else "none"
    st.popover(label)
    st.table([{"Who": plain(run.host), "What": run.reason}])
    st.pills("Tags", run.tags, format_func=str.upper)
"""
OURS = """
TITLES = {"stop": "Stop"}

def heading(run) -> Markdown:
    return md("**{}**", run.name)

def page(run, error, name: Markdown):
    st.caption(plain(run.name))
    st.error(md("{} Showing another.", error), title=f"Failed after {run.episode:,} episodes")
    st.markdown(heading(run))
    label = name if run else "none"
    st.popover(label, help=TITLES[run.status])
    st.text_input("Name", run.name, placeholder=run.env)
    st.selectbox("Run", [run], format_func=lambda run: plain(run.name))
    st.dataframe([{"Run": run.name}])
"""


def test_the_check_finds_what_is_handed_over_unescaped_and_nothing_else():
    assert [line for line, _ in Module(OTHERS, set()).offences()] == [3, 4, 5, 6, 7, 9, 10, 11]
    assert list(Module(OURS, {"heading"}).offences()) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_notices_make_toasts(file):
    """`st.toast` takes the place of an open dialog: `v3core/ui/notices.py` says how."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    toasts = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "toast"]
    assert not toasts or file.name == "notices.py"
