"""The catalogue has every message of the code and no other, each translated in the terms of the glossary.

And a third language is one file: a catalogue whose strings are longer by two fifths is offered like the others.
"""

import ast
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import longer_language
from tests.catalogues import ERRORS, FILES, extracted, has_words, is_translated, read, sources
from tests.chinese import glossary, missing, not_emphasised, otherwise
from tests.longer_language import CODE, LETTER, write_longer
from v3core import messages
from v3core.curriculum.presets import parse
from v3core.errors import V3Error
from v3core.insight.alarms import RULES
from v3core.insight.alarms.rules import STALLED
from v3core.messages import compile_catalogue, known_language, say, speaking, translated
from v3core.recall import CACHES, ids, recalled

(SOURCE,) = [path for path in sources() if "zh_CN" in path.parts]
EACH = pytest.mark.parametrize("source", sources(), ids=lambda path: path.parts[-3])
NOT_A_VERDICT = "not supported"
"""Of claims in the glossary; of what a program can do in errors."""
QUOTED = "Sparsemax from the start makes the router choose"
"""The founding document's own sentence, which is shown as it was written."""
SAYS = {"_", "say", "md", "several", "unseen", *ERRORS}


@EACH
def test_each_message_is_translated_and_none_is_left_over(source: Path) -> None:
    catalog, wanted = read(source), extracted()
    have = {message.id for message in catalog if message.id}
    need = {message.id for message in wanted if message.id}
    assert sorted(map(str, need - have)) == [], "new messages: `make messages`, then translate them"
    assert sorted(map(str, have - need)) == [], "messages that the code no longer has: `make messages`"
    assert [message.id for message in catalog if message.id and not is_translated(message)] == []
    assert [message.id for message in catalog if message.id and message.fuzzy] == []


def fields(template: str) -> set[str]:
    return {name for _text, name, _form, _conversion in string.Formatter().parse(template) if name is not None}


@EACH
def test_a_translation_has_no_values_that_the_message_lacks(source: Path) -> None:
    wrong = []
    for message in read(source):
        forms = [message.id] if isinstance(message.id, str) else list(message.id)
        said = [message.string] if isinstance(message.string, str) else list(message.string)
        known = set().union(*map(fields, forms))
        for one in said:
            places = {name for name in fields(one) if name.isdecimal()}
            if not fields(one) - places <= known or (places and "" not in known):
                wrong.append(one)
    assert wrong == []


@EACH
def test_a_translation_for_any_number_has_that_number(source: Path) -> None:
    """A language without plurals says both forms in one way, so a 1 of the first form would be said of seven too."""
    fixed = []
    for message in read(source):
        if isinstance(message.id, tuple | list):
            one, many = map(fields, message.id)
            said = message.string[-1]
            has_a_number = re.search(r"(?<![A-Za-z])\d", re.sub(r"\{[^{}]*\}", "", said))
            has_its_values = fields(said) >= many or (fields(said) >= one and "count" not in many)
            if has_a_number or not has_its_values:
                fixed.append(said)
    assert fixed == []


def test_values_within_quotation_marks_have_those_of_chinese() -> None:
    """But not click's own, and what a user types: code in backticks, subscripts."""
    said = [message.string for message in read(SOURCE) if all(file != "click" for file, _line in message.locations)]
    texts = [one for strings in said for one in ([strings] if isinstance(strings, str) else strings)]
    assert [one for one in texts if re.search(r"(?<![\[=(`])'\{\w+\}'(?![\]=`:])", one)] == []


def test_translations_are_in_the_terms_of_the_glossary() -> None:
    terms = tuple(term for term in glossary() if NOT_A_VERDICT not in term.english)
    wrong = {}
    for message in read(SOURCE):
        english = message.id if isinstance(message.id, str) else message.id[0]
        said = message.string if isinstance(message.string, str) else message.string[0]
        found = missing(words_of(english), said, terms) + otherwise(said, terms)
        if found and not english.startswith(QUOTED):
            wrong[english] = found
    assert wrong == {}


@EACH
def test_emphasis_in_a_translation_is_seen_as_such(source: Path) -> None:
    """Markdown shows asterisks between a full stop and a word, as in `**Newest.**5 episodes`, which English parts."""
    said: list[str] = []
    for message in read(source):
        said += [message.string] if isinstance(message.string, str) else list(message.string)
    assert [one for one in said if not_emphasised(re.sub(r"\{[^{}]*\}", "x", one))] == []


def words_of(english: str) -> str:
    """Without values, and without what is code: quoted names, options, paths of settings."""
    code = (
        r"step\(action\)",
        r"'\{[^{}]*\}'",
        r"\S*[\w}][.=/][\w{]\S*",
        r"\{[^{}]*\}",
        r"'[\w.:= ]+'",
        r"--\w+",
        r"[\w, \n]*_[\w, \n]*",
    )
    words = (r"regular intervals", r"default: \w+", r"observation, info", r"^actions is", r"\b[A-Z]{4,}\b")
    return re.sub("|".join((*words, *code)), " ", english)


def glued() -> Iterator[str]:
    """Messages that are put together before they are looked up: an f-string, or a string with something added."""
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        own = set() if re.search(r"^from v3core\.messages import .*\bsay\b", source, re.MULTILINE) else {"say"}
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and node.args and name_of(node.func) in SAYS - own:
                text = node.args[0]
                if isinstance(text, ast.JoinedStr | ast.BinOp) and _has_words(text):
                    yield f"{path.name}:{node.lineno}: {ast.unparse(text)[:80]}"


def untranslated() -> Iterator[str]:
    """Texts with words that a command says, or that stand in a message if a condition holds, and are no messages."""
    for path in FILES:
        for scope, call in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            name = name_of(call.func)
            said = call.args[:2] if name in SHOWN and not isinstance(call.func, ast.Attribute) else []
            if name in SAYS:
                said = [*call.args[2 if name == "several" else 1 :], *(one.value for one in call.keywords)]
            for text in said:
                alternatives = list(_alternatives(text, scope))
                for one in alternatives:
                    is_whole = name in SAYS and len(alternatives) == 1 and not isinstance(text, ast.Name)
                    if (
                        isinstance(one, TEXTS)
                        and not is_whole
                        and re.search("[a-z]", _words(one))
                        and _has_words(one)
                        and not CODE_WORDS.match(_words(one))
                    ):
                        yield f"{path.name}:{call.lineno}: {ast.unparse(one)[:80]}"


def pieced() -> Iterator[str]:
    """Values of messages that are strings put together where they are given, so that no part is said in a language."""
    for path in FILES:
        for scope, call in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            if name_of(call.func) not in SAYS:
                continue
            values = [*call.args[2 if name_of(call.func) == "several" else 1 :], *(one.value for one in call.keywords)]
            for text in (one for value in values for one in _alternatives(value, scope)):
                if _is_pieced(text):
                    yield f"{path.name}:{call.lineno}: {ast.unparse(text)[:80]}"


def _is_pieced(text: ast.expr) -> bool:
    """A list that is joined, the English of an error, or an f-string around a phrase."""
    if isinstance(text, ast.JoinedStr):
        return any(isinstance(one, ast.Call) and name_of(one.func) in PHRASES for one in ast.walk(text))
    if not isinstance(text, ast.Call):
        return False
    if name_of(text.func) == "str":
        return bool(text.args) and name_of(text.args[0]) in ("error", "problem", "failure", "reason")
    joins = isinstance(text.func, ast.Attribute) and text.func.attr == "join"
    return (
        joins and isinstance(text.func.value, ast.Constant) and text.func.value.value in (", ", "; ", " or ", " and ")
    )  # type: ignore[attr-defined]


PHRASES = (SAYS - {"md"}) | {"counted", "listed", "one_of", "all_of", "strung", "within", "unended", "with_unit"}
"""What makes a message; `listed` and `strung` join several, and an error is a value itself."""
SHOWN = ("echo", "fail", "refuse", "explain", "explained", "error", "ValueError", "TypeError", "_wrong")
"""What prints or raises its first or second argument, for people."""
TEXTS = (ast.Constant, ast.JoinedStr, ast.BinOp)
CODE_WORDS = re.compile(
    r" ?(python -m|pip|make|train|knockout) |PORT=|--port |: $|V3_[A-Z]+|(reset|step|render)\(|observation, reward|"
    r"/\w+\?|data/|, \{| *(cuda|read|written|knockout|rgb_array|task|task_id|topk|ln|GPU)\b|[ .,:]*$"
)
"""Commands, options, variables and other names of code; and what an error of another program says."""


def _calls(tree: ast.Module) -> Iterator[tuple[dict[str, list[ast.expr]], ast.Call]]:
    """Each call of a module, with what the names of the module and of the function around it stand for."""
    own = _assigned(tree.body)
    inner: set[ast.Call] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = {one for one in ast.walk(node) if isinstance(one, ast.Call)}
            local = _assigned(one for one in ast.walk(node) if isinstance(one, ast.stmt))
            yield from (({**own, **local}, one) for one in calls - inner)
            inner |= calls
    yield from ((own, one) for one in ast.walk(tree) if isinstance(one, ast.Call) and one not in inner)


def _assigned(statements: Iterable[ast.stmt]) -> dict[str, list[ast.expr]]:
    """Values of names that get words on one side of a condition: `what = "rows" if … else "steps"`."""
    found: dict[str, list[ast.expr]] = {}
    for one in statements:
        if isinstance(one, ast.Assign) and len(one.targets) == 1 and isinstance(one.targets[0], ast.Name):
            found.setdefault(one.targets[0].id, []).append(one.value)
    return found


def _alternatives(text: ast.expr, names: Mapping[str, list[ast.expr]]) -> Iterator[ast.expr]:
    """What a text may be: both sides of a condition, and what a name stands for."""
    if isinstance(text, ast.IfExp):
        yield from (*_alternatives(text.body, names), *_alternatives(text.orelse, names))
    elif isinstance(text, ast.BoolOp):
        yield from (one for value in text.values for one in _alternatives(value, names))
    elif isinstance(text, ast.Name) and text.id in names:
        yield from (one for value in names.get(text.id, ()) for one in _alternatives(value, {}))
    else:
        yield text


def _words(text: ast.AST) -> str:
    """The texts within an expression, but not those within a call, which may be a message."""
    if isinstance(text, ast.Constant):
        return text.value if isinstance(text.value, str) else ""
    return " ".join(_words(one) for one in ast.iter_child_nodes(text) if not isinstance(one, ast.Call))


def _has_words(text: ast.expr) -> bool:
    """Whether there is anything to translate."""
    return has_words(_words(text))


def name_of(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def test_no_message_is_glued_of_parts() -> None:
    assert list(glued()) == []


def test_what_a_command_says_and_words_within_a_message_are_messages() -> None:
    assert sorted(untranslated()) == []


def test_a_value_within_a_message_is_not_put_together_of_its_english() -> None:
    assert sorted(pieced()) == []


@pytest.fixture
def longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A third language, made of one file."""
    write_longer(tmp_path)
    monkeypatch.setattr(messages, "LOCALE", tmp_path)
    for cache in CACHES:
        cache.cache_clear()
    yield CODE
    for cache in CACHES:
        cache.cache_clear()


def test_a_third_language_is_one_file(longer: str) -> None:
    assert messages.languages() == ("en", "de")
    assert known_language("de-AT") == longer
    with speaking(longer):
        assert say("Cancel") == f"Cancel{3 * LETTER}"
    text = "Delete {count:,} of **{name}**, see `docs` :material/delete:?"
    more = longer_language.longer(text)
    assert re.fullmatch(r"Deleteö+ \{count:,\} ofö* \*\*\{name\}\*\*, seeö+ `docs` :material/delete:\?", more)
    assert len(more) - len(text) == 5  # of 11 letters


def test_it_is_compiled_with_every_string() -> None:
    assert len(compile_catalogue(SOURCE)) > 50_000


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "Alarm 'Dead experts' of episode 5 was muted: Known; we test this.",
            "第 5 回合的告警“死亡专家”已静音：Known; we test this.",
        ),
        (
            "Phase 2 'x' would end at episode 5, but the run is already at 9; choose 10 or later.",
            "阶段 2 “x”将在第 5 回合结束，但运行已到 9；请选择 10 或更大的值。",
        ),
        (
            "Phase 2 'x' would end at step 5,000, but the run is already at 9; choose 10 or later.",
            "阶段 2 “x”将在第 5,000 步结束，但运行已到 9；请选择 10 或更大的值。",
        ),
        (
            "Alarm 'Two experts share everything' of episode 10: Experts 1 and 3 share 98.7% of the load "
            "(50% and 49%) among 4; routing entropy 0.693 nats; raise load balance or the temperature.",
            "第 10 回合的告警“两个专家包揽一切”：4 个专家中，专家 1 和 3 共占负载的 98.7%（50% 和 49%）；"
            "路由熵为 0.693 nat；提高负载均衡系数或温度。",
        ),
        (
            "Alarm 'Dead experts' of episode 5: 3 of 16 experts dead, last used at episodes 3, 4; raise load balance.",
            "第 5 回合的告警“死亡专家”：16 个专家中有 3 个死亡专家，最后一次用到是在第 3、4 回合；提高负载均衡系数。",
        ),
        (
            "Alarm 'A setting without effect' of episode 12: alpha is planned at 1.5 but not used; jitter is planned "
            "at 0.1 but not used; lr is planned at 1e-05 but 0.001 in effect during phase 'x y'; change the routing or "
            "remove the setting.",
            "第 12 回合的告警“不起作用的设置”：在阶段“x y”中，alpha 计划为 1.5，但没有使用；"
            "jitter 计划为 0.1，但没有使用；lr 计划为 1e-05，但实际为 0.001；换一种路由或去掉该设置。",
        ),
        ("Lost after 3 episodes: ValueError: bad: value", "在 3 个回合后丢失：ValueError: bad: value"),
        ("Environment X-v0: reset raised ValueError: x: y.", "环境 X-v0：reset raised ValueError: x: y。"),
        ("its graph builder 'a' raised KeyError: x; y.", "其图构建函数“a”引发了 KeyError：x; y。"),
        ("The replay cannot be made: Run: it broke: now.", "无法制作回放：Run：it broke: now。"),
        (
            "Update 7, at episode 5 and step 9000 in phase 'x': step(action) of environment 1 returned a reward of "
            "-inf at step 3 of the rollout, which is not a finite number, 3 times in a row; fix the environment.",
            "第 7 次更新，位于阶段“x”的第 5 回合、第 9000 步：在采样的第 3 步，环境 1 的 step(action) "
            "返回的奖励为 -inf，这不是有限的数，连续 3 次；请修正环境。",
        ),
        (
            "Rollout without an update: step(action) of environment 2 returned a reward of 1e+13 at step 1 of the "
            "rollout, too large to learn from (at most 1e+12) (2 in a row).",
            "一次采样没有更新：在采样的第 1 步，环境 2 的 step(action) 返回的奖励为 1e+13，"
            "太大，无法从中学习（最多 1e+12）（连续 2 次）。",
        ),
        (
            "https://example.org could not be notified: it answered 503 Busy (3 tries); check V3_WEBHOOK_URL.",
            "无法通知 https://example.org：它的回答是 503 Busy（尝试 3 次）；请检查 V3_WEBHOOK_URL。",
        ),
        ("https://example.org was notified: 200 OK.", "已通知 https://example.org：200 OK。"),
        (
            "The episode does not go the same when it is played again: its reward at step 3 is another one. X-v1 draws "
            "random numbers elsewhere than from its seed, or it has changed since.",
            "重新播放时，此回合的过程不一样：其第 3 步的奖励不同。X-v1 在其种子之外抽取随机数，或者此后有了改动。",
        ),
        (
            "Torch computes the network, because the native library does not cover it: its observations have a part of "
            "kind words.",
            "网络由 Torch 计算，因为原生库不支持它：其观测中有类型为 words 的部分。",
        ),
        ("Resuming from the checkpoint at episode 50.", "从第 50 回合的检查点恢复。"),
        ("Training from the checkpoint at episode 50.", "从第 50 回合的检查点训练。"),
        ("Resuming from the beginning.", "从头恢复。"),
        (
            "Resuming from the beginning. It no longer needs the cluster at ray://x, because it was resumed elsewhere.",
            "从头恢复。它不再需要位于 ray://x 的集群，因为它是在别处恢复的。",
        ),
        (
            "Forked from Run 3f2a 'x' at episode 1,500, with curriculum c and seed 3.",
            "由运行 3f2a“x”在第 1,500 回合分叉，课程 c，种子 3。",
        ),
        (
            "Forked from Run 3f2a 'x y' at episode 1,500, with curriculum c and seed 3.",
            "由运行 3f2a“x y”在第 1,500 回合分叉，课程 c，种子 3。",
        ),
        (
            "Environment X-v0, copy 3, failed at step 5: step(action) raised ValueError: bad value; "
            "fix the environment.",
            "环境 X-v0 的第 3 个副本在第 5 步失败：step(action) 引发了 ValueError: bad value；请修正环境。",
        ),
        (
            "Environment X-v0, copy 3, failed at its first reset: reset(seed=…) raised ValueError: "
            "x; fix the environment.",
            "环境 X-v0 的第 3 个副本在其第一次重置失败：reset(seed=…) 引发了 ValueError: x；请修正环境。",
        ),
        (
            "Environment X-v0: its constructor crashed the process (signal 11); fix the environment.",
            "环境 X-v0：其构造函数使进程崩溃（信号 11）；请修复该环境。",
        ),
        (
            "Imported from an archive of 2026-01-02 03:04 UTC; trained on 'h1'.",
            "导入自 2026-01-02 03:04 UTC 的归档；在“h1”上训练。",
        ),
        ("New tags and notes.", "新的标签和备注。"),
        ("New notes.", "新的备注。"),
        (
            "Queued: 100 episodes or 5,000 steps of X-v0 with curriculum c.",
            "已排队：X-v0，100 个回合或 5,000 步，课程 c。",
        ),
        (
            "Length changed from 100 episodes or 5,000 steps to 200 episodes or 9,000 steps.",
            "长度已更改：从 100 个回合或 5,000 步到 200 个回合或 9,000 步。",
        ),
        (
            "Alarm 'Dead experts' of episode 5: 3 of 16 experts dead, last used at episode 3, 1 never used; "
            "raise load balance.",
            "第 5 回合的告警“死亡专家”：16 个专家中有 3 个死亡专家，最后一次用到是在第 3 回合，1 个从未用到；"
            "提高负载均衡系数。",
        ),
        ("Curriculum: 'lr' of phase 1 is missing.", "课程：缺少阶段 1 的“lr”。"),
        (
            "Curriculum: 'top_k' of phase 1 is 0; it must be at least 1.",
            "课程：阶段 1 的“top_k”（0）应为不小于 1 的值。",
        ),
        ("Completed at episode 5, before b and c began.", "于第 5 回合完成，此时 b 和 c 尚未开始。"),
        ("Curriculum edited from episode 7 on; boundaries: none.", "课程自第 7 回合起已修改；边界：无。"),
        (
            "Its row in the database is invalid: seed is 'x', not a whole number from 1 to 3; name is 7, not a text.",
            "它在数据库中的行无效：seed 是 'x'，不是从 1 到 3 的整数；name 是 7，不是文本。",
        ),
        (
            "Alarm 'Dead experts' of episode 5 was muted: Known and tested.",
            "第 5 回合的告警“死亡专家”已静音：Known and tested.",
        ),
        ("Alarm 'Dead experts' of episode 5 was muted: step 5.", "第 5 回合的告警“死亡专家”已静音：step 5."),
    ],
)
def test_values_within_a_stored_sentence_are_recalled(english, chinese):
    assert recalled(english, "zh_CN") == chinese


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.name != STALLED], ids=lambda rule: rule.name)
def test_advice_is_found_after_any_evidence(rule):
    evidence = "Experts 1 and 2 share 99.0% of the load (50% and 49%) among 4; routing entropy 0.693 nats"
    stored = f"Alarm '{rule.title}' of episode 7: {evidence}; {rule.advice}."
    said = [translated(rule.title, "zh_CN"), recalled(evidence, "zh_CN"), translated(rule.advice, "zh_CN")]
    assert recalled(stored, "zh_CN") == "第 7 回合的告警“{}”：{}；{}。".format(*said)


def test_every_message_that_depends_on_a_number_is_recalled():
    """Of click's, the forms of one and of several have different values."""
    for _one, many in ids("zh_CN"):
        if many:
            values = {name: 7 for name in fields(many) if name}
            if "" not in fields(many):
                assert recalled(string.Formatter().vformat(re.sub(r"[!:][^{}]*", "", many), (), values), "zh_CN")


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        (
            "{name: x, phases: [{name: a, until: {}}]}",
            "Curriculum: phase 'a': An 'until' must have exactly one of 'episode', 'step' and 'metric'; this one has "
            "none.",
            "课程：阶段“a”：'until' 必须有且只有 'episode'、'step' 和 'metric' 之一；此处为：无。",
        ),
        (
            "{name: x, phases: [{name: a, until: {step: 0}}]}",
            "Curriculum: 'until.step' of phase 1 is 0; it must be at least 1.",
            "课程：阶段 1 的“until.step”（0）应为不小于 1 的值。",
        ),
        (
            "{name: x, phases: [{name: a, env_args: {3: 4}}]}",
            "Curriculum: 3 is not a valid name of an environment argument; use letters, digits and _.",
            "课程：3 不是有效的环境参数名；请使用字母、数字和 _。",
        ),
        ("{name: x, phases: 4}", "Curriculum: 'phases' is 4; it must be a list.", "课程：'phases'（4）应为列表。"),
        (
            "{name: x, phases: [{name: a, top_k_weights: x}]}",
            "Curriculum: 'top_k_weights' of phase 1 is 'x'; it must be 'renormalised', 'probabilities' or 'sigmoid'.",
            "课程：阶段 1 的“top_k_weights”（'x'）应为'renormalised'、'probabilities' 或 'sigmoid'。",
        ),
    ],
)
def test_what_is_wrong_with_a_curriculum_is_in_one_language(text: str, english: str, chinese: str) -> None:
    with pytest.raises(V3Error) as caught:
        parse(text)
    assert (str(caught.value), caught.value.message.in_language("zh_CN")) == (english, chinese)
