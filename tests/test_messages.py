"""A message is English as a string, and is said in another language with its values, also after it was stored."""

import ast
import copy
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from v3core import messages
from v3core.errors import V3Error
from v3core.messages import Message, _, known_language, say, several, speaking, translated
from v3core.recall import CACHES, recalled, recognised

CATALOGUE = """
msgid ""
msgstr ""
"Language: xx\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

msgid "There is no run {run}."
msgstr "没有运行 {run}。"

msgid "There is no run {run}. {more}"
msgstr "{more}没有运行 {run}。"

msgid "{count:,} run is queued: {reason}"
msgid_plural "{count:,} runs are queued: {reason}"
msgstr[0] "{count:,} 个运行在排队：{reason}"

msgid "Stopped {part}."
msgstr "{part}停止。"

msgid "gone"
msgstr "消失"

msgid "Stopped."
msgstr "已停止。"
"""


@pytest.fixture(autouse=True)
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "xx" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "v3lab.po").write_text(CATALOGUE, encoding="utf-8")
    monkeypatch.setattr(messages, "LOCALE", tmp_path)
    for cache in CACHES:
        cache.cache_clear()
    yield
    for cache in CACHES:
        cache.cache_clear()


def test_an_error_fills_in_its_values_also_where_its_template_is_a_message():
    assert str(V3Error(_("No {thing} here."), thing="cat")) == "No cat here."
    assert str(V3Error(_("No {thing} here.", thing="dog"))) == "No dog here."


def test_a_message_is_english_and_is_said_in_another_language_with_its_values() -> None:
    message = _("There is no run {run}.", run="ab{c}")
    assert message == "There is no run ab{c}."
    assert message.in_language("xx") == "没有运行 ab{c}。"
    assert message.in_language("en") == message.in_language("nowhere") == message
    with speaking("xx"):
        assert say("Stopped.") == "已停止。"
        assert translated(message) == "没有运行 ab{c}。"
        assert translated("Stopped.") == "Stopped.", "what people wrote"
        assert say("Not translated {x}.", x=1) == "Not translated 1."


@pytest.mark.parametrize(("count", "english"), [(1, "1 run is"), (0, "0 runs are"), (1200, "1,200 runs are")])
def test_the_number_of_things_decides(count: int, english: str) -> None:
    message = several(
        "{count:,} run is queued: {reason}",
        "{count:,} runs are queued: {reason}",
        count=count,
        reason=_("There is no run {run}.", run="a"),
    )
    assert message == f"{english} queued: There is no run a."
    assert message.in_language("xx") == f"{count:,} 个运行在排队：没有运行 a。"
    # Stored as text alone, it is found out with its values and what is a message among them.
    assert recalled(str(message), "xx") == message.in_language("xx")


def test_of_several_that_fit_the_one_with_most_words_of_its_own_is_recognised() -> None:
    assert recalled("There is no run a. Stopped.", "xx") == "Stopped.没有运行 a。"
    found = recognised("There is no run a.", "xx")
    assert found is not None
    assert (found.template, dict(found.values)) == ("There is no run {run}.", {"run": "a"})
    assert recalled("Something else.", "xx") == "Something else."
    assert recalled("Stopped.", "xx") == "已停止。"
    assert recalled("Stopped.", "en") == "Stopped."


def test_a_message_survives_copies_and_pickles() -> None:
    message = several("{count} run", "{count} runs", count=2)
    for again in (pickle.loads(pickle.dumps(message)), copy.deepcopy(message)):
        assert (again, again.template, again.templates, dict(again.values)) == (
            "2 runs", "{count} run", "{count} runs", {"count": 2}
        )  # fmt: skip
        assert isinstance(again, Message)


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("xx", "xx"),
        ("xx-YY", "xx"),
        ("xx_YY.UTF-8", "xx"),
        ("C", "en"),
        ("C.UTF-8", "en"),
        ("en_GB", "en"),
        ("fr", None),
        ("", None),
        (None, None),
        ("POSIX", "en"),
    ],
)
def test_what_serves_a_wish(wish: str | None, language: str | None) -> None:
    assert known_language(wish) == language


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"V3_LANG": "xx", "LANG": "en_US.UTF-8"}, "xx"),
        ({"LANG": "xx_XX.UTF-8"}, "xx"),
        ({"LC_ALL": "C", "LANG": "xx"}, "en"),
        ({"LANGUAGE": "fr:xx", "LANG": "C"}, "xx"),
        ({"V3_LANG": "fr"}, "en"),
        ({}, "en"),
    ],
)
def test_the_environment_says_which(variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in messages.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert messages.from_environment() == language


def test_nothing_in_a_function_hides_the_one_that_makes_messages() -> None:
    root = Path(__file__).resolve().parents[1]
    hidden = []
    for path in [*(root / "v3core").rglob("*.py"), *(root / "pages").glob("*.py"), root / "app.py"]:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.Lambda):
                names = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == "_"]
                calls = {id(call.func) for call in ast.walk(function) if isinstance(call, ast.Call)}
                parameters = [one for one in ast.walk(function.args) if isinstance(one, ast.arg) and one.arg == "_"]
                loops = [one for one in ast.walk(function) if isinstance(one, ast.comprehension)]
                own = {id(node) for loop in loops for node in ast.walk(loop.target)}  # a comprehension's own names
                stored = [*parameters, *(one for one in names if isinstance(one.ctx, ast.Store) and id(one) not in own)]
                if stored and any(id(node) in calls for node in names):
                    hidden.append(f"{path.relative_to(root)}:{function.lineno}")
    assert hidden == [], "a local `_` is called there as if it were v3core.messages._"


def test_long_texts_of_others_take_no_time_to_be_looked_up() -> None:
    """A regular expression took half a minute for a library's error of 1,200 characters."""
    recognised("Something else.", "zh_CN")
    texts = ["a of b: c " * 120, ": " * 600, "operands of shapes (3,4) (5,) in x of y: z; " * 27]
    began = time.process_time()
    assert [recognised(text, "zh_CN") for text in texts] == [None] * 3
    assert time.process_time() - began < 0.5


def test_nothing_stays_nothing_in_every_language() -> None:
    assert [_("").in_language(language) for language in ("en", "zh_CN")] == ["", ""]


@pytest.mark.parametrize(
    ("value", "said"),
    [(_("gone"), "没有消失，其 消失"), ("cart", "没有 cart，其 消失"), ("小车 甲", "没有小车 甲，其 消失")],
)
def test_chinese_has_no_space_between_a_template_and_chinese_words(value: str, said: str) -> None:
    """Only at the edges of values: those that people wrote stay as they are, and so does the template."""
    zh = messages.Filling("zh_CN")
    values = {"value": translated(value, "xx")}
    assert zh.vformat("没有 {value}，其 消失", (), values) == said
    assert messages.Filling("de").vformat("没有 {value}", (), values) == f"没有 {values['value']}"
