"""The feed: a chart is drawn once for all tabs, each tab gets what it lacks, and what it then has is what there is."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tests.charts.patched import applied, unfolded
from tests.pages.recorded import add_recorded_run, record_more
from v3core.charts.patch import whole
from v3core.curriculum import with_boundaries
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.metrics import CHARTS
from v3core.store.alarms import AlarmRow, put_alarm, set_muted
from v3core.store.commands import apply_revision, read_revisions
from v3core.store.database import Database
from v3core.store.runs import update_run
from v3core.store.writer import truncate
from v3core.ui import feed, news
from v3core.ui.chart_sources import COMPARE, NUMBERS, AsOfNow, Source, Zoom, draw
from v3core.ui.feed import Feed, Shown
from v3core.ui.run_data import _recorded


class Tab:
    """What the browser keeps of one chart."""

    def __init__(self, source: Feed, chart: str, *runs: str, visible: Zoom | None = None) -> None:
        self.source, self.shown = source, Shown("0", Source(chart, runs), visible)
        self.has: Any = None
        """As it was sent."""
        self.received = 0

    @property
    def figure(self) -> Any:
        """What it draws."""
        return unfolded(self.has)

    def ask(self) -> dict[str, Any]:
        """Asks, applies what comes, and returns the answer."""
        said = self.source.answer([self.shown])
        if not said.text:
            return {}
        self.received = len(said.text)
        answer: dict[str, Any] = json.loads(said.text)["charts"]["0"]
        if "steps" in answer:
            assert answer["from"] in ("", self.shown.have)
            self.shown, self.has = replace(self.shown, have=answer["version"]), applied(self.has, answer["steps"])
            assert said.after == (() if answer["rests"] else (self.shown,))
        return answer


def fresh(database: Database, chart: str, *runs: str) -> Any:
    """What a page has that is opened now, read without anything that is kept."""
    _recorded.cache_clear()
    return applied(None, whole(draw([AsOfNow(database, run_id) for run_id in runs], Source(chart, runs))))


def test_a_tab_is_sent_what_it_lacks_and_has_what_there_is(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=4000, recorded=0)
    source = Feed(database)
    tabs = [Tab(source, chart.name, run_id) for chart in CHARTS]
    for count in (0, 1, 30, 900, 100, 69, 800):  # up to 1,000 every episode, then buckets of 2
        if count:
            record_more(database, run_id, count)
        for tab in tabs:
            tab.ask()
            assert tab.figure == fresh(database, tab.shown.source.chart, run_id)
            assert tab.ask() == {}


OPEN_AT_FIRST = ("return", "success", "loads", "entropy", "effective", "gradients", "losses", "schedule", NUMBERS)
"""What Live shows without a click; `success` for some environments only."""


@pytest.mark.parametrize(
    ("recorded", "charts"),
    [(600, OPEN_AT_FIRST), (1400, OPEN_AT_FIRST), (2600, (*(chart.name for chart in CHARTS), NUMBERS))],
    ids=["every episode", "buckets of 2", "buckets of 4, all that there is"],
)
def test_a_hundred_new_episodes_are_20_kilobytes(database: Database, recorded: int, charts: tuple[str, ...]) -> None:
    """The goal: with every chart on the screen at once, and no number like another."""
    run_id = add_recorded_run(database, Status.RUNNING, episodes=100_000, recorded=0, success=True)
    random = np.random.default_rng(1)
    record_more(database, run_id, recorded, random=random)
    source = Feed(database)
    tabs = [Tab(source, chart, run_id) for chart in charts]
    for tab in tabs:
        tab.ask()
    record_more(database, run_id, 100, random=random)
    for tab in tabs:
        assert tab.ask()["steps"]
    sizes = {tab.shown.source.chart: tab.received for tab in tabs}
    assert 5_000 < sum(sizes.values()) <= 20_000, sizes


def test_moved_boundaries_and_replaced_episodes_arrive(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)
    source = Feed(database)
    tabs = [Tab(source, name, run_id) for name in ("return", "schedule")]
    for tab in tabs:
        tab.ask()
    moved = with_boundaries(control.current_curriculum(database, run_id), [60, 90])
    control.request_edit(database, run_id, moved, "user")
    with database.write() as tx:  # as the worker answers
        apply_revision(tx, run_id, read_revisions(tx, run_id)[-1].id, episode=50, now=datetime.now(UTC))
    for tab in tabs:
        assert tab.ask()["steps"]
        assert tab.figure == fresh(database, tab.shown.source.chart, run_id)
    with database.write() as tx:  # a resume is asked for …
        update_run(tx, run_id, {"generation": 1}, only_in=ACTIVE)
    for tab in tabs:
        tab.ask()
    with database.write() as tx:  # … and begins, from a checkpoint at episode 30
        truncate(tx, run_id, episode=30, step=600, now=datetime.now(UTC), phases=1)
    record_more(database, run_id, 30, returns=7)  # beyond what was read before
    for tab in tabs:
        tab.ask()
        assert tab.figure == fresh(database, tab.shown.source.chart, run_id)
    assert tabs[0].figure["data"][0]["y"][30:] == [20 + number + 7 for number in range(31, 61)]


def test_a_chart_is_drawn_once_for_all_tabs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)
    source, drawings = Feed(database), []
    monkeypatch.setattr(feed, "draw", lambda *given: drawings.append(given) or draw(*given))
    tabs = [Tab(source, "return", run_id) for _ in range(10)]
    for _ in range(3):
        for tab in tabs:
            tab.ask()
    assert len(drawings) == 1
    assert tabs[0].ask() == tabs[1].ask() == {}
    record_more(database, run_id, 5)
    for tab in tabs:
        tab.ask()
    assert len(drawings) == 2
    assert all(tab.figure == tabs[0].figure for tab in tabs)


def test_a_tab_that_was_away_and_one_of_another_server_get_all_of_it(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)
    source = Feed(database)
    away, other = Tab(source, "return", run_id), Tab(source, "return", run_id)
    away.ask()
    for _ in range(5):
        record_more(database, run_id, 5)
        other.ask()
    away.ask()
    assert away.figure == other.figure
    away.source = Feed(database)  # the server was started again
    assert away.ask()["steps"][0][1] == []
    assert away.figure == other.figure


def test_an_ended_run_rests_and_a_deleted_one_is_gone(database: Database) -> None:
    run_id = add_recorded_run(database, Status.COMPLETED)
    tab = Tab(Feed(database), "return", run_id)
    assert tab.ask()["rests"] is True
    running = add_recorded_run(database, Status.RUNNING)
    assert Tab(tab.source, COMPARE, run_id, running).ask()["rests"] is False
    control.delete(database, run_id)
    assert tab.ask() == {"gone": True}


@pytest.mark.parametrize("chart", ["return", NUMBERS])
def test_a_run_that_was_resumed_does_not_rest_on_older_news(
    database: Database, monkeypatch: pytest.MonkeyPatch, chart: str
) -> None:
    """The thread that looks twice a second may read what a page depends on before, and the page after, the resume."""
    run_id = add_recorded_run(database, Status.STOPPED)
    tab = Tab(Feed(database), chart, run_id)
    assert tab.ask()["rests"] is True
    topics = tab.source._topics(tab.shown.source)
    older = {topic: topic.value(None) for topic in topics}
    monkeypatch.setattr(news, "value", older.__getitem__)
    with database.write() as tx:
        update_run(tx, run_id, {"status": Status.RUNNING}, only_in=[Status.STOPPED])
    assert tab.ask().get("rests", False) is False
    record_more(database, run_id, 5)
    monkeypatch.setattr(news, "value", lambda topic: topic.value(None))
    tab.ask()
    assert tab.figure == fresh(database, chart, run_id)


def test_an_alarm_is_marked_until_it_is_muted(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)
    tab = Tab(Feed(database), "loads", run_id)
    tab.ask()

    def marks() -> int:
        tab.ask()
        return sum(shape.get("name") == "alarm" for shape in tab.figure["layout"]["shapes"])

    assert marks() == 0
    alarm = AlarmRow(1, "dead_expert", "warmup", 20, 50, 0.0, 0.01, "active", "1 of 4 experts dead")
    now = datetime.now(UTC)
    with database.write() as tx:
        put_alarm(tx, run_id, alarm, actor="worker", now=now, notify=False)
    assert marks() == 1
    with database.write() as tx:
        set_muted(tx, run_id, 1, reason="as wanted", actor="user", now=now)
    assert marks() == 0


def test_a_zoom_is_read_in_smaller_buckets(database: Database) -> None:
    run_id = add_recorded_run(database, Status.COMPLETED, episodes=2100, recorded=2100)
    source = Feed(database)
    zoomed = Tab(source, "return", run_id, visible=Zoom(1000.4, 1010.2, 800))
    zoomed.ask()
    assert zoomed.figure["data"][0]["x"] == list(range(901, 1112))


def test_what_cannot_be_drawn_is_said_once_until_it_can_be(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)
    source = Feed(database)
    showing: tuple[Shown, ...] = (Shown("0", Source("return", (run_id,))),)

    def broken(*_: object) -> None:
        raise V3Error("The database is busy.")

    monkeypatch.setattr(feed, "draw", broken)
    said = source.answer(showing)
    assert json.loads(said.text) == {"charts": {"0": {"error": "The database is busy."}}}
    assert said.failed
    again = source.answer(said.after)
    assert (again.text, again.failed) == ("", True)
    monkeypatch.setattr(feed, "draw", draw)
    drawn = source.answer(again.after)
    assert '"steps"' in drawn.text
    assert not drawn.failed
    assert source.answer(drawn.after).text == ""


def test_the_numbers_are_read_without_what_is_marked_on_charts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)
    monkeypatch.setattr(news, "recorded_of_run", lambda *_: pytest.fail("more than the run's row was read"))
    tab = Tab(Feed(database), NUMBERS, run_id)
    assert tab.ask()["steps"]
    assert tab.ask() == {}
    record_more(database, run_id, 5)
    assert tab.ask()["steps"]
    assert tab.figure["episode"] == 55
    with database.write() as tx:
        update_run(tx, run_id, {"status": Status.FAILED}, only_in=ACTIVE)
    control.delete(database, run_id)
    assert tab.ask() == {"gone": True}
