"""Charts in the reader's language: one reader of runs serves tabs of different languages."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts.patched import applied, unfolded
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.messages import speaking
from v3core.store.database import Database
from v3core.ui.chart_sources import Source
from v3core.ui.feed import Feed, Shown

CHINESE = "zh_CN"
TEXTS = {"alt", "caption", "empty", "text", "name", "hovertemplate", "label", "value", "help", "progress", "left"}
"""Keys of figures whose values people read."""
OF_CODE = {"warmup", "transition", "fine", "tune", "softmax", "sparsemax", "nat", "nats", "ln", "KL", "PPO", "Adam"}


def asked(feed: Feed, *sources: Source) -> list[Any]:
    """What tabs that have nothing are sent, all in one question."""
    shown = [Shown(str(place), source) for place, source in enumerate(sources)]
    parts = json.loads(feed.answer(shown).text)["charts"]
    return [unfolded(applied(None, parts[one.id]["steps"])) for one in shown]


def said(tree: Any, key: str = "") -> Iterator[str]:
    """Every text of a figure that people read."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name != "shapes" and not (name == "name" and "showarrow" in tree):  # by which the browser finds texts
                yield from said(value, name)
    elif isinstance(tree, list):
        for value in tree:
            yield from said(value, key)
    elif isinstance(tree, str) and key in TEXTS:
        yield tree


def english_of(text: str, *names: str) -> set[str]:
    """Words of three letters and more, but for names, what plotly fills in, and symbols."""
    for name in names:
        text = text.replace(name, "")
    text = re.sub(r"%\{[^}]*\}|<[^>]*>|&#\d+;|[HE]\[[^\]]*\]|E\[H\([^)]*\)\]", "", text)
    return set(re.findall(r"[A-Za-z]{3,}", text)) - OF_CODE


@pytest.mark.parametrize("chart", ["return", "success", "loads", "gradients"])
def test_no_english_word_is_left(database: Database, chart: str) -> None:
    run_id = add_recorded_run(database, Status.RUNNING, name="甲", evaluated=(10, 20), success=True)
    [figure] = asked(Feed(database), Source(chart, (run_id,), language=CHINESE))
    left = {text: words for text in said(figure) if (words := english_of(text, "CartPole-v1"))}
    assert not left


def test_tabs_of_two_languages_look_at_one_run(database: Database) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)
    feed = Feed(database)
    for _ in range(2):  # drawn, then kept
        english, chinese, *_others = asked(
            feed, Source("loads", (run_id,), language="en"), Source("loads", (run_id,), language=CHINESE)
        )
        assert english["data"][0]["name"] == "Expert 1"
        assert english["layout"]["xaxis"]["title"]["text"] == "Episode"
        assert chinese["data"][0]["name"] == "专家 1"
        assert chinese["layout"]["xaxis"]["title"]["text"] == "回合"
    # By which the browser knows what was hidden, whatever the language is by now.
    assert [one["name"] for one in english["data"]] == [one["meta"] for one in chinese["data"]]


def test_a_source_is_in_the_language_of_its_page() -> None:
    assert Source("return", ("a",)).language == "en"
    with speaking(CHINESE):
        assert Source("return", ("a",)).language == CHINESE


def test_an_error_is_in_the_language_of_the_chart(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = add_recorded_run(database, Status.RUNNING)
    feed = Feed(database)
    monkeypatch.setattr("v3core.ui.feed.draw", lambda *_: 1 / 0)
    answer = feed.answer([Shown("0", Source("return", (run_id,), language=CHINESE))])
    assert "详情见服务器的日志" in json.loads(answer.text)["charts"]["0"]["error"]
