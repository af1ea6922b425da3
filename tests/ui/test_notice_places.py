"""Notices have places of their own, and one that the browser may have missed is shown there again."""

import pytest
from streamlit.testing.v1 import AppTest

from v3core.ui import notices


def script():
    import streamlit as st

    from v3core.ui.notices import notify, prepare_notices, show_pending_notices
    from v3core.ui.text import md

    prepare_notices()
    for name in ("first", "second"):
        if st.button(name):
            notify(md("{}", name), icon=":material/info:")
            show_pending_notices()


@pytest.fixture
def app():
    return AppTest.from_function(script).run()


def shown(app):
    """Text by place."""
    places = app._tree[2].children
    assert len(places) == notices.PLACES
    return {place: element.value for place, element in places.items() if element.type == "toast"}


def press(app, name):
    (button,) = (button for button in app.button if button.label == name)
    button.click().run()


def test_a_page_drawn_soon_after_a_notice_shows_it_again_at_its_place(app):
    press(app, "first")
    before = shown(app)
    assert list(before.values()) == ["first"]
    assert shown(app.run()) == before


def test_a_notice_is_not_shown_again_for_long(app, monkeypatch):
    press(app, "first")
    monkeypatch.setattr(notices, "AGAIN_SECONDS", 0)
    assert shown(app.run()) == {}


def test_a_notice_does_not_take_the_place_of_another(app):
    press(app, "first")
    before = shown(app)
    press(app, "second")
    assert sorted(shown(app).values()) == ["first", "second"]
    assert before.items() <= shown(app).items()


def test_one_notice_too_many_takes_the_place_of_the_oldest(app):
    press(app, "first")
    for _ in range(notices.PLACES):
        press(app, "second")
    assert list(shown(app).values()) == ["second"] * notices.PLACES
