"""Counts, places, durations, dates and lists: English as they have always been, and as other languages have them."""

import pickle
from datetime import UTC, datetime

import pytest

from v3core.messages import Filling, Message, _, localised
from v3core.phrases import (
    all_of,
    capitalised,
    counted,
    day_and_time,
    delta,
    listed,
    one_of,
    ordinal,
    sentences,
    share,
    strung,
    with_unit,
)

MOMENT = datetime(2026, 11, 3, 14, 3, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("phrase", "english", "chinese", "german"),
    [
        (counted(1, "run"), "1 run", "1 次运行", "1 run"),
        (counted(1200, "episode"), "1,200 episodes", "1,200 个回合", "1,200 episodes"),
        (ordinal(22), "22nd", "第 22", "22nd"),
        (with_unit("2.5", "min"), "2.5 min", "2.5分钟", "2,5 Min."),
        (with_unit("3", "days"), "3 days", "3天", "3 Tg."),
        (delta(12.3), "12 seconds", "12秒钟", "12 Sekunden"),
        (delta(3700), "an hour", "1小时", "1 Stunde"),
        (day_and_time(MOMENT), "3 Nov 14:03:22", "11月3日 14:03:22", "3. Nov. 14:03:22"),
        (share(0.456, 1), "45.6%", "45.6%", "45,6%"),
        (one_of(["A", "B", "C"]), "A, B or C", "A、B 或 C", "A, B oder C"),
        (one_of(["A"]), "A", "A", "A"),
        (all_of(["A", counted(2, "run")]), "A and 2 runs", "A 和 2 次运行", "A und 2 runs"),
        (all_of(["A和B", "C"]), "A和B and C", "A和B 和 C", "A和B und C"),
        (one_of(["或x", "y"]), "或x or y", "或x 或 y", "或x oder y"),
        (all_of([]), "", "", ""),
        (listed(["A", "B"]), "A, B", "A、B", "A, B"),
        (strung(" · ", [counted(2, "run"), "x"]), "2 runs · x", "2 次运行 · x", "2 runs · x"),
        (capitalised(counted(2, "run")), "2 runs", "2 次运行", "2 runs"),
        (capitalised("about"), "About", "About", "About"),
        (sentences("A.", "", "B."), "A. B.", "A. B.", "A. B."),
    ],
)
def test_a_phrase_is_english_and_is_said_as_another_language_does(
    phrase: Message, english: str, chinese: str, german: str
) -> None:
    assert phrase == english
    assert (phrase.in_language("en"), phrase.in_language("zh_CN"), phrase.in_language("de")) == (
        english, chinese, german
    )  # fmt: skip
    assert pickle.loads(pickle.dumps(phrase)).in_language("zh_CN") == chinese


def test_a_phrase_within_a_message_is_said_in_its_language() -> None:
    message = _("{first} · {second}", first=counted(3, "run"), second=one_of(["A", "B"]))
    assert message == "3 runs · A or B"
    assert message.in_language("zh_CN") == "3 次运行 · A 或 B"


def test_no_space_follows_a_full_stop_of_east_asian_width() -> None:
    assert sentences("一。", "二。").in_language("zh_CN") == "一。二。"


def test_a_number_has_the_signs_of_the_language() -> None:
    assert [localised("1,234.5", language) for language in ("en", "zh_CN", "de")] == ["1,234.5", "1,234.5", "1.234,5"]


def test_numbers_within_a_message_have_the_marks_of_its_language():
    message = _("{count:,} episodes, mean {mean:.1f}, {share:.1%}", count=1234567, mean=-0.5, share=0.125)
    assert [message.in_language(one) for one in ("en", "zh_CN")] == ["1,234,567 episodes, mean −0.5, 12.5%"] * 2
    assert Filling("de").vformat(message.template, (), message.values) == "1.234.567 episodes, mean −0,5, 12,5%"
