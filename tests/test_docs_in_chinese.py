"""The documentation in Chinese says what the English one says now, in the glossary's terms."""

import re
from collections import Counter

import pytest

from tests import chinese, docs
from tests.chinese import ROOT, Section, glossary, missing, missing_numbers, read, sections, stale, term_of
from v3core.curriculum.presets import preset_names

WHOLE = {
    "README.zh-CN.md": "README.md",
    **{f"docs/zh-CN/{name}.md": f"docs/{name}.md" for name in ("index", "curricula", "alarms", "claims")},
}
"""Pages that have each section of an English one, in its order."""
PAGES = [*WHOLE, *sorted({f"docs/zh-CN/{path.name}" for path in (ROOT / "docs" / "zh-CN").glob("*.md")} - WHOLE.keys())]
NAMES_OF_CODE = {*preset_names()}
"""What may stand in quotation marks in English."""
SECTIONS = [pytest.param(page, one, id=f"{page}-{one.title}") for page in PAGES for one in sections(read(ROOT / page))]


@pytest.mark.parametrize("page", WHOLE)
def test_a_page_has_each_section_of_the_english_one(page):
    english = [one.anchor for one in sections(read(ROOT / WHOLE[page]))]
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
def test_names_of_pages_buttons_and_fields_are_those_of_the_dashboard_in_chinese(page):
    assert sorted({*chinese.names_in_english(read(ROOT / page))} - NAMES_OF_CODE) == []


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_a_section_names_what_the_english_one_names_on_pages(page, section):
    for source in section.follows:
        if source.how == "follows":
            names = chinese.names_of_pages(source.section().text)
            assert {name: said for name, said in names.items() if said not in section.text} == {}, page


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


# ---------------------------------------------- What the catalogue has -----------------------------------------------


SAME = {
    *(
        "softmax",
        "sparsemax",
        "entmax",
        "topk",
        "sigmoid",
        "logits",
        "logsumexp",
        "mean",
        "max",
        "cosine",
        "nat",
        "token",
    ),
    *("count", "jitter", "size", "uniform", "random", "renormalised", "probabilities"),
}
"""Words that are code or the same in Chinese."""


@pytest.mark.parametrize(("file", "name"), [one for one, (spoken, _) in docs.PARTS.items() if spoken == docs.CHINESE])
def test_generated_parts_have_no_english(file, name):
    text = re.sub(r"`[^`]*`|arXiv:\S+|\S*-\S*|^>.*", "", docs.part(file, name), flags=re.MULTILINE)
    words = re.findall(r"(?<![A-Za-z])[a-z]{3,}(?![A-Za-z])", text)
    assert name == "terms" or sorted({*words} - SAME) == []


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


def test_names_that_are_left_in_english():
    text = "**Compare** 页和 Live 页的“What if”；![Launch](a.png)，*Lengthen this phase*；**比较**页、`Runs`、“v3”。"
    assert chinese.names_in_english(text) == ["Compare", "Live", "What if", "Launch", "Lengthen this phase", "v3"]
    english = 'Press **Start the demo**, or "Add 5 seeds" on **Compare**; "No such name" says `"Cancel"`.'
    assert chinese.names_of_pages(english) == {
        "Start the demo": "启动演示",
        "Add 5 seeds": "添加 5 个种子",
        "Compare": "比较",
    }


def test_careful_text_is_left_alone():
    text = (
        "# 专家\n\n16 个专家（`load`）占 95%，见 [表](a,b.md)。\n- 第一\n- **第二**：*“三”*，**第四。**\n\n| 一 | 二 |"
    )
    assert chinese.careless(text) == []
