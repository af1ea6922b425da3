"""A click that opens a dialog holds until the dialog is drawn, whatever interrupts the script of the click."""

import ast
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from v3core.ui import clicks

ROOT = Path(__file__).resolve().parents[2]
TREES = {
    path.name: ast.parse(path.read_text())
    for path in [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "v3core" / "ui").glob("*.py")]
}


def page():
    """A page that can be interrupted before its button, and whose dialog can be interrupted or fail, once each."""
    import streamlit as st

    from v3core.ui.clicks import asking, dialog, forget_dialogs_of_other_pages
    from v3core.ui.text import md

    @dialog("Really?", icon=":material/help:")
    def really():
        if st.session_state.pop("interrupt dialog", False):
            st.rerun()
        if st.session_state.pop("fail", False):
            raise ValueError("it failed")
        st.markdown("It is open.")

    forget_dialogs_of_other_pages()
    if st.session_state.pop("interrupt page", False):
        st.rerun()
    if asking(md("Ask"), key="ask"):
        really()


def is_open(app: AppTest) -> bool:
    """Whether the dialog is drawn."""
    return any(one.value == "It is open." for one in app.markdown)


@pytest.fixture
def app():
    """The page, drawn."""
    app = AppTest.from_function(page, default_timeout=30).run()
    assert not is_open(app)
    return app


@pytest.mark.parametrize("interruption", ["none", "interrupt page", "interrupt dialog"])
def test_a_dialog_that_was_asked_for_opens_although_its_script_is_interrupted(app, interruption):
    app.session_state[interruption] = True
    app.button(key="ask").click().run()
    assert is_open(app)
    assert not is_open(app.run())  # once is enough


def test_a_dialog_that_fails_does_not_open_again_by_itself(app):
    app.session_state["fail"] = True
    app.button(key="ask").click().run()
    assert len(app.exception) + len(app.error) == 1  # as Streamlit shows it, or V3 Lab if its pages are loaded
    assert not is_open(app.run())


def test_a_dialog_that_could_not_open_for_long_is_not_wanted_any_more(app, monkeypatch):
    monkeypatch.setattr(clicks, "ASKED_SECONDS", 0.0)
    app.button(key="ask").click().run()
    assert not is_open(app)


def test_a_dialog_that_was_asked_for_on_another_page_is_forgotten(app):
    app.session_state[clicks._ASKED] = ("ask", "hash of another page", clicks.time.monotonic())
    assert not is_open(app.run())
    assert clicks._ASKED not in app.session_state


def calls(node):
    """Names of all functions and methods that are called within."""
    functions = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return {getattr(one, "attr", getattr(one, "id", "")) for one in functions}


def test_no_dialog_depends_on_the_value_of_a_button():
    dialogs = {
        one.name
        for tree in TREES.values()
        for one in ast.walk(tree)
        if isinstance(one, ast.FunctionDef) and any("dialog" in calls(wrapper) for wrapper in one.decorator_list)
    }
    assert "_confirm_delete" in dialogs
    offences = {
        (name, one.lineno)
        for name, tree in TREES.items()
        for one in ast.walk(tree)
        if isinstance(one, ast.If) and "button" in calls(one.test)
        if any(dialogs & calls(statement) for statement in one.body)
    }
    assert offences == set(), "a button that opens a dialog is `asking` of ui/clicks.py"
