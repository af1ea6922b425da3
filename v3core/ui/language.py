"""The language of a page: `?lang=zh` in its address, else what this browser chose before, else what it prefers.

A choice is kept by the session for its other pages, and by the browser in a cookie for later ones. `page_language.js`
draws the buttons, one for each other language.
"""

import re
import threading

import streamlit as st
from starlette.datastructures import Headers, QueryParams
from starlette.requests import cookie_parser
from streamlit.runtime.scriptrunner import get_script_run_ctx

from v3core import messages
from v3core.messages import ENGLISH, from_environment, known_language, languages, spoken
from v3core.phrases import own_name

PARAMETER = "lang"
COOKIE = "v3lab-language"
_KEY = "language"
_SWITCHED = "language-switched"
"""In the session: the language that a button chose, and what the address asked for, as Streamlit knew it then."""


class _Here(threading.local):
    """What the script of this thread speaks: a page asks some 400 times, and the session's state is slow to ask."""

    context: object = None
    language: str | None = None


_here = _Here()


def choose() -> None:
    """Call at the start of a page: from here on it speaks the language of its reader."""
    wanted = _switched_to() or known_language(st.query_params.get(PARAMETER))
    if wanted is None:
        wanted = st.session_state.get(_KEY) or known_language(_text(st.context.cookies.get(COOKIE)))
    if wanted is None and (preferred := _text(st.context.locale)):
        wanted = known_language(preferred) or ENGLISH
    wanted = wanted or from_environment()
    st.session_state[_KEY] = wanted
    _here.context, _here.language = get_script_run_ctx(suppress_warning=True), wanted


def switch(frame: str) -> None:
    """What a button does: the page speaks its language from now on; `frame` is the key of the buttons' component.

    The browser keeps sending Streamlit the address as it was before the button changed it.
    """
    st.session_state[_SWITCHED] = (st.session_state[frame].language, st.query_params.get(PARAMETER))


def _switched_to() -> str | None:
    """The language that a button chose, until Streamlit knows of another address."""
    language, asked = st.session_state.get(_SWITCHED, (None, None))
    if language is not None and asked != st.query_params.get(PARAMETER):
        del st.session_state[_SWITCHED]
        return None
    return known_language(language)


def _text(value: object) -> str:
    """What a browser sent; a page that is tested without one has other things there."""
    return value if isinstance(value, str) else ""


def as_data() -> dict[str, object]:
    """The language of the page, and the others with their own names, for `page_language.js`."""
    here = spoken()
    others = [{"code": one, "tag": tag(one), "name": own_name(one)} for one in languages() if one != here]
    is_asked = known_language(st.query_params.get(PARAMETER)) is not None
    return {
        "tag": tag(here),
        "code": here,
        "others": others,
        "parameter": PARAMETER,
        "isAsked": is_asked,
        "isSwitched": _SWITCHED in st.session_state,
        "cookie": COOKIE,
    }


def with_language(query: dict[str, str]) -> dict[str, str]:
    """Parameters of an address of this page, with the language of the page if its present address names one."""
    return {**query, PARAMETER: tag(spoken())} if PARAMETER in st.query_params else query


def of_page() -> str | None:
    """The language of the script that runs in this thread; None where none does, or its reader's is not known."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return None
    if _here.context is not context:
        _here.context, _here.language = context, st.session_state.get(_KEY)
    return _here.language


def of_request(headers: Headers, query: QueryParams | None = None) -> str:
    """The language of a request without a page: of its address, else of the cookie, else what the browser prefers."""
    query = QueryParams() if query is None else query
    preferred = re.split("[,;]", headers.get("accept-language") or "")[0].strip()
    wishes = (query.get(PARAMETER), cookie_parser(headers.get("cookie") or "").get(COOKIE), preferred)
    found = next(filter(None, map(known_language, wishes)), None)
    return found or (ENGLISH if preferred else from_environment())


def tag(language: str) -> str:
    """As HTML writes it: `zh-CN`."""
    return language.replace("_", "-")


messages.ask_for_language(of_page)
