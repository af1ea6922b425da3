"""When a part of a page is drawn again."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from v3core.ui import news, ticks
from v3core.ui.status import age, latency


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1000.0
        self.used = 0.0

    def monotonic(self):
        return self.now

    def thread_time(self):
        return self.used


@pytest.fixture
def clock(monkeypatch):
    """The only clock that ticks see."""
    clock = Clock()
    monkeypatch.setattr(ticks, "time", clock)
    monkeypatch.delenv(ticks.VARIABLE, raising=False)
    return clock


@pytest.fixture
def values(monkeypatch):
    """Topic to its value, as the watcher of the database has it."""
    values = {}
    monkeypatch.setattr(news, "value", lambda topic: values.get(topic))
    monkeypatch.setattr(ticks, "get_script_run_ctx", lambda: SimpleNamespace(session_id="tab"))
    monkeypatch.setattr(ticks.ThreadState, "get", lambda: SimpleNamespace(fragment_id="part"))
    monkeypatch.setattr(ticks, "_parts", ticks.OrderedDict())
    return values


class Watch:
    """What is watched, in place of the thread that looks."""

    def __init__(self, database, wake):
        self.topics, self.wake, self.is_open = frozenset(), wake, True
        Watch.made.append(self)

    def close(self):
        self.is_open = False


@pytest.fixture
def asked(values, monkeypatch):
    """Parts that the server is to draw, and after how many seconds; `values` are of an open tab."""
    asked = []
    Watch.made = []
    monkeypatch.setattr(news, "Watch", Watch)
    monkeypatch.setattr(ticks, "_draws", {})
    monkeypatch.setattr(ticks, "_watches", {})
    monkeypatch.setattr(ticks, "_hidden", set())
    monkeypatch.setattr(ticks, "_tabs", ticks.OrderedDict(name="tab"))
    ticks.attend("tab", lambda *one: asked.append(one))
    return asked


def watched():
    return [watch.topics for watch in Watch.made if watch.is_open]


TOPIC = news.Topic("a run", database=None, read=None)


def due():
    return ticks.is_due("tab", "part")


def test_a_part_is_drawn_again_only_once_its_topic_has_changed(clock, values):
    assert due()
    values[TOPIC] = 1
    ticks._draw([TOPIC], lambda: None)
    assert not due()
    clock.now += 10_000
    assert not due()
    values[TOPIC] = 2
    assert due()
    assert ticks.is_due("another tab", "part")


def test_what_changes_while_a_part_is_drawn_is_news(clock, values):
    values[TOPIC] = 1
    ticks._draw([TOPIC], lambda: values.update({TOPIC: 2}))
    assert due()


def test_a_part_is_not_drawn_twice_at_once_and_rests_after_a_long_drawing(clock, values):
    def draw():
        values[TOPIC] = 2
        assert not due()
        clock.now += 2
        clock.used += 2

    ticks._draw([TOPIC], draw)
    assert not due()
    clock.now += 2 * ticks.REST - 0.1
    assert not due()
    clock.now += 0.2
    assert due()


def test_a_part_that_waited_most_of_the_time_rests_as_long_as_it_took(clock, values):
    def draw():
        values[TOPIC] = 2
        clock.now += 4
        clock.used += 0.2

    ticks._draw([TOPIC], draw)
    clock.now += 3.9
    assert not due()
    clock.now += 0.2
    assert due()


def test_a_part_that_was_not_drawn_to_its_end_is_due(clock, values):
    class LeftEarly(BaseException):
        pass

    def draw():
        raise LeftEarly

    with pytest.raises(LeftEarly):
        ticks._draw([TOPIC], draw)
    assert due()


def test_a_part_that_cannot_be_drawn_is_tried_again_later(clock, values):
    def draw():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ticks._draw([TOPIC], draw)
    assert not due()
    clock.now += ticks.RETRY_SECONDS
    assert due()


@pytest.mark.parametrize(("ago", "holds"), [(3, 1), (200, 20), (7200, 1200), (200_000, 28_800)])
def test_an_age_is_drawn_again_before_it_is_off_by_half_its_unit(clock, values, ago, holds):
    ticks._draw([TOPIC], lambda: age(datetime.now(UTC) - timedelta(seconds=ago)))
    clock.now += holds - 0.1
    assert not due()
    clock.now += 0.2
    assert due()


def test_a_time_that_is_over_does_not_age(clock, values):
    moment = datetime.now(UTC)
    ticks._draw([TOPIC], lambda: latency(moment - timedelta(seconds=40), moment))
    clock.now += 10_000
    assert not due()


def test_in_tests_every_tick_is_news(clock, values, monkeypatch):
    monkeypatch.setenv(ticks.VARIABLE, "0.15")
    ticks._draw([TOPIC], lambda: None)
    assert due()


def test_parts_of_tabs_that_are_long_closed_are_forgotten(clock, values, monkeypatch):
    monkeypatch.setattr(ticks, "_KEPT", 3)
    for number in range(10):
        monkeypatch.setattr(ticks.ThreadState, "get", lambda number=number: SimpleNamespace(fragment_id=str(number)))
        ticks._draw([TOPIC], lambda: None)
    assert [fragment for _, fragment in ticks._parts] == ["7", "8", "9"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "a moment"), (12, "12 seconds"), (60, "a minute"), (7300, "2 hours"), (200_000, "2 days")],
)
def test_an_age_is_in_the_largest_unit_that_fits(seconds, words):
    now = datetime.now(UTC)
    assert age(now - timedelta(seconds=seconds), now) == words
    assert latency(now - timedelta(seconds=seconds), now) == (words if seconds > 10 else "0.0 seconds")


def test_a_part_that_has_opened_a_dialog_is_not_drawn_until_the_dialog_is_closed(clock, values):
    ticks._draw([TOPIC], ticks.rest_for_dialog)
    values[TOPIC] = 1
    clock.now += 10_000
    assert not due()
    assert ticks.rests_for_dialog("tab", "part")
    ticks._draw([TOPIC], lambda: None)  # it was closed, and the page is drawn again
    assert not ticks.rests_for_dialog("tab", "part")
    values[TOPIC] = 2
    clock.now += 10_000
    assert due()


def test_a_hidden_tab_is_not_due_until_it_is_shown(clock, values):
    ticks.name_tab("tab", "its name")
    assert ticks.is_due("tab", "unknown part")
    ticks.note_hidden("its name", True)
    ticks.note_hidden("another name", True)
    assert not ticks.is_due("tab", "unknown part")
    assert ticks.is_due("another tab", "unknown part")
    ticks.note_hidden("its name", False)
    assert ticks.is_due("tab", "unknown part")


def test_the_server_draws_a_part_when_its_topic_changes_and_once_it_has_rested(clock, values, asked):
    values[TOPIC] = 1
    ticks._draw([TOPIC], lambda: None, 2.0)
    assert asked == []
    assert watched() == [{TOPIC}]
    values[TOPIC] = 2
    Watch.made[0].wake(frozenset([TOPIC]))
    assert asked == [("part", 2.0)]
    clock.now += 5
    Watch.made[0].wake(frozenset([TOPIC]))
    assert asked[1:] == [("part", 0.0)]
    Watch.made[0].wake(frozenset([news.Topic("another", database=None, read=None)]))
    assert len(asked) == 2


def test_the_server_draws_what_has_changed_meanwhile_and_what_ages(clock, values, asked):
    values[TOPIC] = 1

    def draw():
        values[TOPIC] = 2
        ticks._hear(frozenset([TOPIC]))
        assert asked == []

    ticks._draw([TOPIC], draw, 1.0)
    assert asked == [("part", 1.0)]
    asked.clear()
    ticks._draw([TOPIC], lambda: ticks.draw_again_in(20), 1.0)
    assert asked == [("part", 20.0)]
    asked.clear()
    with pytest.raises(ZeroDivisionError):
        ticks._draw([TOPIC], lambda: 1 / 0)
    assert asked == [("part", ticks.RETRY_SECONDS)]


def test_nothing_of_a_hidden_tab_is_watched_and_all_of_it_is_looked_at_when_it_is_shown(clock, values, asked):
    ticks._draw([TOPIC], lambda: None)
    ticks.note_hidden("name", True)
    assert watched() == []
    values[TOPIC] = 2
    ticks._hear(frozenset([TOPIC]))
    assert asked == []
    ticks.note_hidden("name", False)
    assert asked == [("part", 0.0)]
    assert watched() == [{TOPIC}]


def test_nothing_of_a_closed_tab_or_of_a_part_that_is_gone_is_watched(clock, values, asked):
    ticks._draw([TOPIC], lambda: None)
    ticks.forget("tab", "part")
    assert watched() == []
    ticks._draw([TOPIC], lambda: None)
    assert watched() == [{TOPIC}]
    ticks.leave("tab")
    assert watched() == []
    assert not ticks._parts
