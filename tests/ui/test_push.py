"""One WebSocket per tab: what is new arrives unasked, once computed for all, and no tab can hold up another."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocket

from tests.charts.patched import applied, unfolded
from tests.pages.recorded import add_recorded_run, record_more
from tests.waiting import PATIENCE_SECONDS
from v3core.charts.patch import whole
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.jobs.lifecycle import ACTIVE, Status
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.store.runs import update_run
from v3core.ui import feed, news, push, ticks
from v3core.ui.chart_sources import AsOfNow, Source, draw
from v3core.ui.feed import Feed
from v3core.ui.run_data import _recorded

HOST = "localhost:8501"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A store that is looked at often, and whose news are pushed at once."""
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    monkeypatch.setattr(news, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(push, "shared_database", lambda: opened)
    monkeypatch.setenv(ticks.VARIABLE, "0.01")
    yield opened
    opened.close()


class Tab:
    """The browser's end of a connection."""

    def __init__(self, **headers: str) -> None:
        sent = {"host": HOST, "origin": f"http://{HOST}"} | headers
        scope = {
            "type": "websocket",
            "path": "/v3/feed",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.figures: dict[str, Any] = {}
        self.versions: dict[str, str] = {}
        self._to_server.put_nowait({"type": "websocket.connect"})
        self.connection = asyncio.create_task(push.endpoint(WebSocket(scope, self._to_server.get, self._take)))

    async def _take(self, message: Any) -> None:
        await self.reads.wait()
        self._from_server.put_nowait(message)

    async def next(self) -> dict[str, Any]:
        """The next message of the protocol."""
        return await asyncio.wait_for(self._from_server.get(), PATIENCE_SECONDS)

    async def opened(self) -> "Tab":
        assert (await self.next())["type"] == "websocket.accept"
        return self

    def says(self, text: str | bytes) -> None:
        kind = "text" if isinstance(text, str) else "bytes"
        self._to_server.put_nowait({"type": "websocket.receive", kind: text})

    def shows(self, *charts: dict[str, Any]) -> None:
        self.says(json.dumps({"charts": charts}))

    async def hears(self) -> Any:
        """The next message as it was written; patches are applied."""
        text = (await self.next())["text"]
        for name, answer in json.loads(text).get("charts", {}).items():
            if "steps" in answer:
                assert answer["from"] in ("", self.versions.get(name))
                self.figures[name] = applied(self.figures.get(name), answer["steps"])
                self.versions[name] = answer["version"]
        return text

    async def has(self, name: str, figure: Any) -> None:
        """Returns once a chart is like that."""
        while unfolded(self.figures.get(name)) != figure:
            await self.hears()

    @property
    def unread(self) -> int:
        """Messages that have arrived."""
        return self._from_server.qsize()

    async def closes(self) -> None:
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await self.connection


def wanted(run_id: str, chart: str = "return", **more: Any) -> dict[str, Any]:
    return {"id": chart, "source": {"chart": chart, "runs": [run_id]}} | more


def fresh(database: Database, run_id: str, chart: str = "return") -> Any:
    """What a page has that is opened now, read without anything that is kept."""
    _recorded.cache_clear()
    return applied(None, whole(draw([AsOfNow(database, run_id)], Source(chart, (run_id,)))))


def error_of(text: str) -> str:
    return str(json.loads(text)["error"])


async def looked(database: Database, times: int = 5) -> None:
    """Returns after some more looks at the database, and when what they found has been pushed."""
    probe = news._watcher(database)._probe
    count, look = 0, probe.look

    def counted() -> Any:
        nonlocal count
        count += 1
        return look()

    probe.look = counted  # type: ignore[method-assign]
    await until(lambda: count >= times)
    probe.look = look  # type: ignore[method-assign]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def scenario(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())  # type: ignore[arg-type]


def test_what_is_new_is_pushed_and_nothing_while_nothing_is(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)

    async def body() -> None:
        tab = await Tab().opened()
        tab.shows(wanted(run_id), wanted(run_id, "numbers"))
        await tab.has("return", fresh(database, run_id))
        await looked(database)
        assert tab.unread == 0
        record_more(database, run_id, 5)
        text = await tab.hears()
        assert len(text) < 2000  # a patch
        await tab.has("return", fresh(database, run_id))
        assert tab.figures["numbers"]["episode"] == 55
        await tab.closes()

    scenario(body)


def test_ten_tabs_are_answered_once_with_one_text(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)
    answers = []
    answer = Feed.answer

    def counted(self: Feed, showing: Any) -> Any:
        answers.append(answer(self, showing))
        return answers[-1]

    monkeypatch.setattr(Feed, "answer", counted)

    async def body() -> None:
        tabs = [await Tab().opened() for _ in range(10)]
        for tab in tabs:
            tab.shows(wanted(run_id), wanted(run_id, "loads"))
        assert len({await tab.hears() for tab in tabs}) == 1
        answers.clear()
        record_more(database, run_id, 5)
        assert len({await tab.hears() for tab in tabs}) == 1
        # On a busy machine there can be another one, which finds nothing new and says nothing.
        assert len([answer for answer in answers if answer.text]) == 1
        for tab in tabs:
            await tab.closes()

    scenario(body)


def test_a_slow_tab_has_one_unsent_answer_and_then_what_there_is(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)

    async def body() -> None:
        slow, quick = await Tab().opened(), await Tab().opened()
        for tab in (slow, quick):
            tab.shows(wanted(run_id))
            await tab.hears()
        slow.reads.clear()
        for _ in range(6):
            record_more(database, run_id, 5)
            await quick.has("return", fresh(database, run_id))
        assert slow.unread == 0
        slow.reads.set()
        await slow.hears()
        assert slow.figures != quick.figures  # it was written when the tab began to be slow
        await slow.hears()
        assert slow.figures == quick.figures
        await looked(database)
        assert slow.unread == 0
        for tab in (slow, quick):
            await tab.closes()

    scenario(body)


def test_a_hidden_tab_costs_nothing_and_gets_what_it_lacks_when_it_is_shown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)

    async def body() -> None:
        hidden, other = await Tab().opened(), await Tab().opened()
        for tab in (hidden, other):
            tab.shows(wanted(run_id))
            await tab.hears()
        other.shows()
        hidden.shows()
        await until(lambda: push._pusher._watch is None)  # type: ignore[union-attr]
        monkeypatch.setattr(feed, "draw", lambda *_: pytest.fail("a chart was drawn for nobody"))
        record_more(database, run_id, 5)
        await looked(database)
        assert (hidden.unread, other.unread) == (0, 0)
        monkeypatch.setattr(feed, "draw", draw)
        hidden.shows(wanted(run_id, have=hidden.versions["return"]))
        text = await hidden.hears()
        assert len(text) < 2000  # a patch
        assert unfolded(hidden.figures["return"]) == fresh(database, run_id)
        for tab in (hidden, other):
            await tab.closes()

    scenario(body)


def test_a_tab_that_is_closed_is_forgotten(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)

    async def body() -> None:
        tab = await Tab().opened()
        tab.shows(wanted(run_id))
        await tab.hears()
        pusher = push._pusher
        assert pusher is not None
        assert pusher._watch is not None
        await tab.closes()
        assert pusher._tabs == set()
        assert pusher._watch is None

    scenario(body)


def test_an_answer_says_what_it_answers(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)

    async def body() -> None:
        tab = await Tab().opened()
        for asked in (3, 4):
            tab.says(json.dumps({"asked": asked, "charts": [wanted(run_id)]}))
            assert json.loads(await tab.hears())["asked"] == asked
        record_more(database, run_id, 5)
        assert json.loads(await tab.hears())["asked"] == 4
        await tab.closes()

    scenario(body)


def test_what_was_answered_while_a_run_rested_is_not_answered_again(database: Database) -> None:
    run_id = add_recorded_run(database, Status.STOPPED)

    async def body() -> None:
        tab = await Tab().opened()
        tab.shows(wanted(run_id))
        await tab.hears()
        again = wanted(run_id, have=tab.versions["return"])
        tab.shows(again)
        assert json.loads(await tab.hears())["charts"]["return"]["rests"] is True
        with database.write() as tx:  # nobody watches it
            update_run(tx, run_id, {"status": Status.RUNNING}, only_in=[Status.STOPPED])
        tab.shows(again)
        record_more(database, run_id, 5)
        await tab.has("return", fresh(database, run_id))
        await tab.closes()

    scenario(body)


def test_a_run_that_ends_rests_and_a_deleted_one_is_gone(database: Database) -> None:
    running, ended = (add_recorded_run(database, status) for status in (Status.RUNNING, Status.COMPLETED))

    async def body() -> None:
        tab = await Tab().opened()
        tab.shows(wanted(ended))
        assert json.loads(await tab.hears())["charts"]["return"]["rests"] is True
        await until(lambda: push._pusher._watch is None)  # type: ignore[union-attr]
        tab.shows(wanted(ended, have=tab.versions["return"]))  # the page was drawn again
        assert json.loads(await tab.hears())["charts"]["return"]["steps"] == []
        tab.shows(wanted(running))
        await tab.hears()
        with database.write() as tx:
            update_run(tx, running, {"status": Status.FAILED}, only_in=ACTIVE)
        while not json.loads(await tab.hears())["charts"]["return"]["rests"]:
            pass
        control.delete(database, running)
        await looked(database)
        tab.shows(wanted(running))
        assert json.loads(await tab.hears()) == {"asked": 0, "charts": {"return": {"gone": True}}}
        await tab.closes()

    scenario(body)


def test_a_run_that_is_deleted_while_it_is_looked_at_is_gone_once(database: Database) -> None:
    deleted, other = (add_recorded_run(database, Status.COMPLETED) for _ in range(2))
    running = add_recorded_run(database, Status.RUNNING)

    async def body() -> None:
        tab = await Tab().opened()
        source = {"chart": "compare", "runs": [deleted, running]}  # of which one is active, so that it is watched
        tab.shows({"id": "both", "source": source}, wanted(running))
        await tab.hears()
        control.delete(database, deleted)
        assert json.loads(await tab.hears()) == {"asked": 0, "charts": {"both": {"gone": True}}}
        control.delete(database, other)
        record_more(database, running, 5)
        await tab.has("return", fresh(database, running))
        await tab.closes()

    scenario(body)


def test_what_cannot_be_drawn_is_tried_again_without_news(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)
    monkeypatch.setattr(push, "RETRY_SECONDS", 0.02)
    tries = []

    def broken(*_: object) -> None:
        tries.append(1)
        raise V3Error("The database is busy.")

    monkeypatch.setattr(feed, "draw", broken)

    async def body() -> None:
        tab = await Tab().opened()
        tab.shows(wanted(run_id))
        assert json.loads(await tab.hears()) == {"asked": 0, "charts": {"return": {"error": "The database is busy."}}}
        await until(lambda: len(tries) > 3)
        assert tab.unread == 0  # it is not said again
        monkeypatch.setattr(feed, "draw", draw)
        await tab.has("return", fresh(database, run_id))
        await tab.closes()

    scenario(body)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("", "cannot be read (the message: "),
        ("[]", "cannot be read (the message: "),
        (b"\xff\x00", "cannot be read (the message: "),
        ('{"charts": [{}]}', "cannot be read (charts.0.id: Field required)"),
        ('{"charts": [], "more": 1}', "cannot be read (more: "),
        (json.dumps({"charts": [wanted("x")] * 65}), "cannot be read (charts: List should have at most 64 items"),
        ('{"charts": [' + " " * push.MAX_BYTES + "]}", "more than 262,144; reload it."),
        (json.dumps({"charts": [wanted("x", visible=[1, 2])]}), "cannot be read (charts.0.visible.2: Field required)"),
    ],
)
def test_what_cannot_be_read_is_refused_and_the_tab_keeps_what_it_has_shown(
    database: Database, said: str | bytes, sentence: str
) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, episodes=400, recorded=50)

    async def body() -> None:
        tab, other = await Tab().opened(), await Tab().opened()
        for one in (tab, other):
            one.shows(wanted(run_id))
            await one.hears()
        tab.says(said)
        assert sentence in error_of(await tab.hears())
        record_more(database, run_id, 5)
        for one in (tab, other):
            await one.has("return", fresh(database, run_id))
            await one.closes()

    scenario(body)


@pytest.mark.parametrize(
    ("source", "more", "sentence"),
    [
        ({"chart": "nothing"}, {}, "no chart 'nothing'"),
        ({"chart": []}, {}, "does not know; reload"),
        ({"runs": []}, {}, "cannot be drawn of 0 runs"),
        ({"runs": 5}, {}, "does not know; reload"),
        ({"metric": "nothing"}, {}, "no metric 'nothing'"),
        ({"look": {"x": "nothing"}}, {}, "cannot be looked at"),
        ({"look": None}, {}, "does not know; reload"),
        ({"more": 1}, {}, "does not know; reload"),
        ({}, {"visible": [5, 5, 800]}, "zoomed to nothing"),
        ({}, {"visible": [-math.inf, math.inf, 800]}, "zoomed to nothing"),
    ],
)
def test_a_chart_that_does_not_exist_is_refused_in_its_place(
    database: Database, source: dict[str, Any], more: dict[str, Any], sentence: str
) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)

    async def body() -> None:
        tab = await Tab().opened()
        odd = wanted(run_id, **more) | {"id": "odd"}
        odd["source"] = odd["source"] | source
        tab.shows(odd, wanted(run_id))
        assert sentence in json.loads(await tab.hears())["charts"]["odd"]["error"]
        await tab.has("return", fresh(database, run_id))
        await tab.closes()

    scenario(body)


@pytest.mark.parametrize(
    ("headers", "is_accepted"),
    [
        ({}, True),
        ({"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"}, True),
        ({"host": "127.0.0.1:8501", "origin": "http://localhost:8501"}, True),  # as Streamlit's own socket
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://[not an origin"}, False),
        ({"host": "evil.example", "origin": "http://evil.example"}, False),
    ],
)
def test_only_pages_of_this_server_connect(database: Database, headers: dict[str, str], is_accepted: bool) -> None:
    async def body() -> None:
        tab = Tab(**headers)
        said = await tab.next()
        assert (said["type"] == "websocket.accept") is is_accepted
        if is_accepted:
            await tab.closes()
        else:
            assert said["code"] == 1008
            await tab.connection

    scenario(body)


@pytest.mark.parametrize(("used", "factor"), [(0.0, 1.0), (20.0, ticks.REST)])
def test_after_an_answer_it_rests_by_its_processor_time_or_as_long_as_it_took(
    database: Database, monkeypatch: pytest.MonkeyPatch, used: float, factor: float
) -> None:
    async def rests_until() -> tuple[float, float, float]:
        loop, pusher = asyncio.get_running_loop(), push.Pusher(Feed(database))
        began = loop.time()
        await pusher.answer(())
        return began, loop.time(), pusher._rests_until

    monkeypatch.setattr(push.Pusher, "_measured", lambda *_: (time.sleep(0.2), (feed.Answer("", ()), used))[1])
    began, ended, until = asyncio.run(rests_until())
    took = ended - began
    assert began + 2 * 0.2 <= until + 1e-3
    assert until <= ended + max(took, factor * used) + 1e-3
    assert until >= began + factor * used


def test_what_is_refused_is_said_in_the_language_of_the_tab(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)

    async def body() -> None:
        tab = await Tab(cookie="v3lab-language=zh_CN").opened()
        tab.says("[")
        assert error_of(await tab.hears()).startswith("页面")
        preferring = await Tab(**{"accept-language": "zh-CN,zh;q=0.9"}).opened()
        preferring.says("[")
        assert error_of(await preferring.hears()).startswith("页面")
        odd = wanted(run_id)
        odd["source"] |= {"metric": "nothing", "language": "zh_CN"}
        tab.shows(odd)
        assert "没有可比较的指标" in json.loads(await tab.hears())["charts"]["return"]["error"]
        for one in (tab, preferring):
            await one.closes()

    scenario(body)
