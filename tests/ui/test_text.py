"""Escaping what people wrote; what a browser makes of it is in tests/browser/test_text_of_others.py."""

import pytest

from v3core.ui.text import BREAK, Markdown, lines, md, plain


@pytest.mark.parametrize(
    "name", ["v3 · CartPole-v1 · seed 1", "0.5 → 1", "Phase 1: early, then late (quick)", "η = ½!"]
)
def test_ordinary_names_stay_as_they_are(name):
    assert plain(name) == name


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("**a**", r"\*\*a\*\*"),
        ("a\n# b", r"a \# b"),
        ("1. a", r"1\. a"),
        ("- a", r"\- a"),
        ("[a](b)", "&#91;a&#93;(b)"),
        ("a@b.c", f"a@{BREAK}b.c"),
        ("http://a", rf"http\:{BREAK}//a"),
        ("www.a", f"www{BREAK}.a"),
        ("a -> b", rf"a -{BREAK}\> b"),
        ("a\0b\udc80", "a b?"),
        ("🙂", f"{BREAK}🙂"),
        ("", ""),
    ],
)
def test_signs_that_mean_something_are_escaped_or_set_apart(name, escaped):
    assert plain(name) == escaped


def test_only_what_is_not_markdown_yet_is_escaped():
    assert md("**{}** of {:,}: {}", "a*b", 1234, Markdown("*c*")) == r"**a\*b** of 1,234: *c*"
    assert md("{}", md("{}", "_")) == r"\_"


def test_line_breaks_are_kept_where_they_are_wanted():
    assert lines("a_b\n- c") == "a\\_b  \n\\- c"
    assert plain("a\n\n  b\t") == "a b"
