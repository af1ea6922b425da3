"""Labels of options in the reader's language, which are also what a browser sends back and an address has.

Streamlit knows a chosen option by its label (`st.radio`, `st.selectbox`, `st.multiselect`, and whatever is bound to a
query parameter). After a switch of the language the browser would send the old label again, and a link that was made in
another language has a label of that one: neither is found among the labels of today, and the default would be taken
silently.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.state import get_session_state

from v3core.messages import languages, speaking, spoken

_SPOKEN = "languages-of-options"
"""In the session: the language in which the labels of each field were last drawn."""


def follow_language(key: str, options: Iterable[Any], label: Callable[[Any], str]) -> None:
    """Call before a field whose options have translated labels: what is chosen stays so in every language.

    Args:
        key: of the field, and its query parameter if it is bound to one.
        options: of the field.
        label: its `format_func`.
    """
    options = list(options)
    _translate_address(key, options, label)
    drawn: dict[str, str] = st.session_state.setdefault(_SPOKEN, {})
    before, drawn[key] = drawn.get(key, spoken()), spoken()
    if (value := st.session_state.get(key)) is None:
        return
    meant = [_meant(one, options, label) for one in value] if isinstance(value, list) else _meant(value, options, label)
    if before != spoken() or not _is_same(meant, value):
        st.session_state[key] = meant  # an assigned value is sent to the browser, with its new label


def _translate_address(key: str, options: Sequence[Any], label: Callable[[Any], str]) -> None:
    """Before a field is first drawn, its parameter gets the label of today."""
    if key not in st.query_params:
        return
    with get_session_state().query_params() as parameters:
        if parameters.is_bound(key):
            return
    asked = st.query_params.get_all(key)
    labels = _in_all_languages(options, label)
    found = [str(label(labels[one])) if one in labels else one for one in asked]
    if found != asked:
        st.query_params[key] = found
        with get_session_state().query_params() as parameters:
            parameters.set_initial_query_params_from_current()  # from which Streamlit takes the first value of a field


def _meant(value: Any, options: Sequence[Any], label: Callable[[Any], str]) -> Any:
    """The option that a label of any language is of; a value that is an option, or none, as it is."""
    if any(_is_same(value, option) for option in options):
        return value
    return _in_all_languages(options, label).get(value, value) if isinstance(value, str) else value


def _is_same(one: Any, other: Any) -> bool:
    """A message equals its English label, but is not said in English."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _in_all_languages(options: Sequence[Any], label: Callable[[Any], str]) -> dict[str, Any]:
    """Each label to its option; where two languages have one label, that of the reader's counts."""
    found: dict[str, Any] = {}
    for language in (*languages(), spoken()):
        with speaking(language):
            found |= {str(label(option)): option for option in options}
    return found
