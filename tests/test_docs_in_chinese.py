"""The documentation in Chinese says what the English one says now, in the glossary's terms."""

import math
import re
from collections import Counter
from dataclasses import replace

import pytest

from tests import chinese, claims_in_chinese, docs
from tests.chinese import ROOT, Section, glossary, in_chinese, missing, missing_numbers, read, sections, stale, term_of
from v3core.claims import document
from v3core.claims.findings import StudyVerdict
from v3core.claims.statements import claims, states
from v3core.claims.study import Hypothesis, Relation
from v3core.claims.study_outcomes import OUTCOMES
from v3core.curriculum.presets import preset_names
from v3core.insight.estimates import Estimate

WHOLE = {
    "README.zh-CN.md": "README.md",
    **{f"docs/zh-CN/{name}.md": f"docs/{name}.md" for name in ("index", "curricula", "alarms", "claims")},
}
"""Pages that have each section of an English one, in its order."""
PAGES = [*WHOLE, *sorted({f"docs/zh-CN/{path.name}" for path in (ROOT / "docs" / "zh-CN").glob("*.md")} - WHOLE.keys())]
LEFT_OUT = {"docs/zh-CN/claims.md": {"the-studies"}}
"""Sections of tables, which the Chinese page links to."""
SECTIONS = [pytest.param(page, one, id=f"{page}-{one.title}") for page in PAGES for one in sections(read(ROOT / page))]


@pytest.mark.parametrize("page", WHOLE)
def test_a_page_has_each_section_of_the_english_one(page):
    english = [one.anchor for one in sections(read(ROOT / WHOLE[page])) if one.anchor not in LEFT_OUT.get(page, ())]
    followed = [source for one in sections(read(ROOT / page)) for source in one.follows]
    assert [source.anchor for source in followed] == english
    assert {(source.how, source.page) for source in followed} == {("follows", WHOLE[page])}


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_a_section_follows_the_english_text_as_it_is_now(page, section):
    assert [*stale(page, section)] == []
    assert section.follows or page.endswith("glossary.md")


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_a_section_has_the_code_and_the_pictures_of_the_english_one(page, section):
    followed = [source.section() for source in section.follows if source.how == "follows"]
    assert section.code == [block for one in followed for block in one.code], page
    assert section.images == [image for one in followed for image in one.images], page


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_a_section_has_the_terms_and_the_numbers_of_the_english_one(page, section):
    for source in section.follows:
        if source.how == "follows":
            english = source.section()
            english_text, text = (f"{one.title}\n{one.text}" for one in (english, section))
            assert missing(english_text, text, glossary()) == [], page
            assert missing_numbers(english_text, text) == [], page


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_written_in_the_terms_of_the_glossary(page):
    text = read(ROOT / page)
    if page.endswith("glossary.md"):
        text = chinese.without_generated_parts(text)
    assert chinese.left_in_english(text, glossary()) == []
    assert chinese.otherwise(text, glossary()) == []
    assert chinese.careless(text) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_the_chinese_page_where_there_is_one(page):
    here = (ROOT / page).parent
    translated = {(ROOT / english).resolve() for english in WHOLE.values()}
    links = re.findall(r"(?<!!)\[([^\]]*)\]\((?!\w+:)([^)#\s]+)", read(ROOT / page))
    targets = {title: (here / target).resolve() for title, target in links}
    assert [title for title, target in targets.items() if not target.exists()] == []
    elsewhere = {"English", "英文页面"}
    assert [title for title, target in targets.items() if target in translated and title not in elsewhere] == []


@pytest.mark.parametrize("page", WHOLE)
def test_a_page_and_the_english_one_link_to_each_other(page):
    english = WHOLE[page]
    for this, title, other in ((page, "English", english), (english, "中文", page)):
        links = dict(re.findall(r"\[(English|中文)\]\(([^)]+)\)", read(ROOT / this)))
        assert ((ROOT / this).parent / links[title]).resolve() == ROOT / other


def test_the_english_page_has_changed():
    (section,) = sections("# 告警\n<!-- follows docs/alarms.md#alarms 00000000 -->\n")
    (sentence,) = stale("docs/zh-CN/alarms.md", section)
    assert "'alarms' of docs/alarms.md has changed: bring the section '告警' of docs/zh-CN/alarms.md" in sentence
    with pytest.raises(AssertionError, match="no section #no-such"):
        [*stale("a.md", Section("一", "<!-- sums up docs/alarms.md#no-such 00000000 -->"))]


def test_what_is_generated_or_only_broken_into_other_lines_is_no_change():
    first = sections("# A\n\none two\n\n<!-- x: made -->\nold\n<!-- end of x -->\n")
    second = sections("# A\n\none\ntwo\n\n<!-- x: made -->\nnew\n<!-- end of x -->\n")
    assert first[0].hash == second[0].hash != sections("# A\n\none three\n")[0].hash


def test_a_comment_in_code_is_no_heading():
    assert [one.title for one in sections("# A\n```\n# B\n```\n## C\n")] == ["A", "C"]


# ----------------------------------------------- What the code declares ----------------------------------------------


@pytest.fixture(scope="module")
def asked():
    """Every text that the generated parts ask for, and those that they will once all studies have results."""
    texts: dict[str, None] = {}

    def say(text):
        texts[str(text)] = None
        return in_chinese(text)

    for part in (docs.knobs, docs.alarm_rules):
        part(say)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims_in_chinese, "say", say)
        claims_in_chinese.verdicts()
    for state in states():
        names = {arm.name for arm in state.study.arms} - {*preset_names()}
        texts |= dict.fromkeys(sorted(names))
    texts |= dict.fromkeys(outcome.title for outcome in OUTCOMES.values())
    texts |= dict.fromkeys(
        " ".join(text.split()) for claim in claims().values() for text in (claim.english, claim.measured, claim.sources)
    )
    return list(texts)


def has_words(text):
    """Beside code, the numbers of papers and the places of values."""
    return re.search(r"[A-Za-z]{2}", re.sub(r"`[^`]*`|arXiv:\S+|\{[^}]*\}", "", text)) is not None


def test_all_that_is_declared_is_translated_and_nothing_else(asked):
    known = chinese.declarations()
    without = [text for text in asked if text not in known and has_words(text) and text not in preset_names()]
    assert not without, f"v3core/locale/zh_CN/declarations.yaml does not have: {'; '.join(without)}"
    unused = known.keys() - set(asked)
    assert not unused, f"v3core/locale/zh_CN/declarations.yaml has what nothing declares: {'; '.join(sorted(unused))}"


@pytest.mark.parametrize("english", chinese.declarations())
def test_a_declared_text_has_the_terms_of_the_glossary(english):
    said = chinese.declarations()[english]
    assert chinese.otherwise(said, glossary()) == []
    assert chinese.careless(said) == []
    if said:
        assert missing(english, said, glossary()) == []
        assert missing_numbers(english, said) == []
        assert [*map(str, re.findall(r"\{[^}]*\}", english))] == re.findall(r"\{[^}]*\}", said)


def test_what_is_not_translated_yet_stays_in_english():
    assert in_chinese("no such text") == "no such text"
    assert "| 键 |" in docs.knobs(in_chinese)


# ----------------------------------------------- Claims and their verdicts --------------------------------------------


@pytest.fixture(scope="module")
def finding():
    """One that has results, of two arms."""
    return next(one for one in states(["collapse-cartpole"])[0].findings if one.hypothesis.claim == "collapse")


@pytest.mark.parametrize(
    ("verdicts", "waiting", "said"),
    [
        ("", 0, "未检验。"),
        ("", 2, "未检验。有 2 项比较尚无任何运行。"),
        ("sss", 0, "共 3 项比较：3 项得到支持。"),
        ("snnu", 1, "共 4 项比较：1 项得到支持，2 项未得到支持，1 项尚无定论。另有 1 项比较尚无任何运行。"),
    ],
)
def test_the_verdict_over_comparisons(finding, verdicts, waiting, said):
    by_letter = {str(verdict)[0]: verdict for verdict in StudyVerdict}
    none = replace(finding, measured=Estimate(math.nan, None, None, 0))
    findings = [replace(finding, verdict=by_letter[letter]) for letter in verdicts] + waiting * [none]
    assert claims_in_chinese.verdict_over(findings) == said


def test_a_comparison_has_the_numbers_of_the_english_one(finding):
    english, said = (module.comparisons([finding]).splitlines()[-1] for module in (document, claims_in_chinese))
    number = r"[−-]?\d+(?:\.\d+)?"
    assert Counter(re.findall(number, english)) == Counter(re.findall(number, said))
    assert said.endswith(f"| {in_chinese(finding.verdict)} |")


def test_what_was_expected():
    of = Hypothesis(claim="collapse", outcome="dead_experts", arm="sudden", than="v3", expected="lower", matters=2)
    assert claims_in_chinese.expectation(of) == "“突变”低于“v3”，至少低 2.00"
    arms = ["sudden", "gradual"]
    of = Relation(
        claim="ties", outcome="boundary_drop", foretold_by="ties_before", arms=arms, expected="lower", matters=0.3
    )
    assert claims_in_chinese.expectation(of) == (
        "“边界前的近似平局步”越高，“边界处的降幅”越低（在突变、渐进各自之内）；r ≤ −0.300"
    )


# ----------------------------------------------------- The glossary --------------------------------------------------


def test_a_term_has_one_chinese_word_and_that_is_not_refused():
    forms = Counter(form.lower() for term in glossary() for form in term.english)
    assert [form for form, count in forms.items() if count > 1] == []
    words = Counter(term.chinese for term in glossary())
    assert [word for word, count in words.items() if count > 1] == []
    refused = {word for term in glossary() for word in term.refused}
    assert [word for word in words if any(other in word for other in refused)] == []


def test_an_entry_with_a_key_that_is_not_known():
    with pytest.raises(AssertionError, match="'load' has unknown keys: nto"):
        term_of("load", {"is": "负载", "nto": ["负荷"]})


TERMS = (
    term_of("load", "负载"),
    term_of("load balance", "负载均衡"),
    term_of("boundary", {"is": "边界", "not": ["界线"]}),
)


@pytest.mark.parametrize(
    ("english", "said", "lacks"),
    [
        ("The load of the boundaries.", "边界的负载。", []),
        ("The load balance.", "负载。", ["load balance → 负载均衡"]),
        ("Two boundaries.", "两个界限。", ["boundary → 边界"]),
        ('Set `load`, see "Load balance" and [this](load.md).', "设置 `load`。", []),
    ],
)
def test_terms_that_a_translation_lacks(english, said, lacks):
    assert missing(english, said, TERMS) == lacks


def test_numbers_that_a_translation_lacks():
    assert chinese.missing_numbers("From 1,000 to 0.5, in 2.02 of 3 and 3; `7`", "从 1,000 到 0.5，2.02，3") == ["3"]


def test_terms_left_in_english_and_said_otherwise():
    assert chinese.left_in_english("专家的 load，`load`，“Load balance”，**Load**。\n\n> load", TERMS) == ["load"]
    assert chinese.otherwise("阶段的界线。", TERMS) == ["界线 (→ 边界)"]


@pytest.mark.parametrize(
    "text",
    [
        "专家,路由",
        "专家CPU",
        "16个",
        "专家`load`",
        "专家 ，路由",
        "第一行\n第二行",
        "它叫**专家。**路由",
        "它叫**“专家”**，",
        "CPU（快） 路由",
    ],
)
def test_careless_text_is_found(text):
    assert len(chinese.careless(text)) == 1


def test_careful_text_is_left_alone():
    text = (
        "# 专家\n\n16 个专家（`load`）占 95%，见 [表](a,b.md)。\n- 第一\n- **第二**：*“三”*，**第四。**\n\n| 一 | 二 |"
    )
    assert chinese.careless(text) == []
