"""The documentation in Chinese: its glossary, its generated tables, and which English text each section follows.

A section of a Chinese page names the English section that it follows, and a hash of that one's text, in a comment
below its heading: `<!-- follows docs/alarms.md#rules 1a2b3c4d -->`, or `sums up` if it says less. Generated parts have
no hash: `python -m tests.docs` writes them in both languages, with what the catalogue has.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from v3core.recall import recalled

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "v3core" / "locale" / "zh_CN"

_FENCE = re.compile(r"^```[^\n]*\n.*?^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"(?<=\])\([^)\s]+\)")
_HAN = r"\u4e00-\u9fff"
_FULL = "，。；：！？、（）“”《》…—"
"""Punctuation of Chinese text."""


# ----------------------------------------------------- The glossary ---------------------------------------------------


@dataclass(frozen=True)
class Term:
    """An English term with its Chinese one."""

    english: tuple[str, ...]
    """All forms, the first of which names it."""
    chinese: str
    refused: tuple[str, ...]
    """Other Chinese words for it."""
    is_loose: bool
    """Whether a translation may do without it."""


def term_of(english: str, entry: str | Mapping[str, Any]) -> Term:
    """An entry of the glossary."""
    if isinstance(entry, str):
        entry = {"is": entry}
    unknown = entry.keys() - {"is", "also", "not", "loose"}
    assert not unknown, f"The entry '{english}' has unknown keys: {', '.join(sorted(unknown))}."
    return Term(
        (english, *entry.get("also", ())), entry["is"], tuple(entry.get("not", ())), bool(entry.get("loose", False))
    )


@cache
def glossary() -> tuple[Term, ...]:
    """All terms, in the order of the file."""
    entries = yaml.safe_load((LOCALE / "glossary.yaml").read_text(encoding="utf-8"))
    return tuple(term_of(english, entry) for english, entry in entries.items())


@cache
def _patterns(terms: tuple[Term, ...]) -> tuple[tuple[re.Pattern[str], Term], ...]:
    """The longest first, so that `load balance` is not `load`; one or several of each."""
    forms = sorted(((form, term) for term in terms for form in term.english), key=lambda one: -len(one[0]))
    return tuple((re.compile(rf"(?<![\w-]){_plural(form)}(?![\w-])", re.IGNORECASE), term) for form, term in forms)


def _plural(form: str) -> str:
    if form.endswith("y") and form[-2] not in "aeiou":
        return f"{re.escape(form[:-1])}(?:y|ies)"
    return f"{re.escape(form)}(?:e?s)?"


def english_terms(text: str, terms: tuple[Term, ...]) -> list[Term]:
    """The terms of the glossary that a text in English has, each once."""
    found: dict[Term, None] = {}
    for pattern, term in _patterns(terms):
        text, count = pattern.subn(" … ", text)
        if count:
            found[term] = None
    return list(found)


def left_in_english(text: str, terms: tuple[Term, ...]) -> list[str]:
    """Terms that a Chinese text has in English, outside code, quotations and names."""
    return [term.english[0] for term in english_terms(_own_words(text), terms)]


def otherwise(text: str, terms: tuple[Term, ...]) -> list[str]:
    """Chinese words that the glossary has another one for."""
    words = _own_words(text)
    return [f"{word} (→ {term.chinese})" for term in terms for word in term.refused if word in words]


def missing(english: str, chinese: str, terms: tuple[Term, ...]) -> list[str]:
    """Terms of an English text whose Chinese one the translation does not have."""
    wanted = english_terms(re.sub(r'"[A-Z][^"]{0,60}"', " ", _prose(english)), terms)
    return [
        f"{term.english[0]} → {term.chinese}" for term in wanted if not term.is_loose and term.chinese not in chinese
    ]


def missing_numbers(english: str, chinese: str) -> list[str]:
    """Numbers of an English text that the translation has less often."""
    have, wanted = (Counter(re.findall(r"\d+(?:[.,]\d+)*", _prose(text))) for text in (chinese, english))
    return sorted((wanted - have).elements())


def names_in_english(chinese: str) -> list[str]:
    """What has English words between quotation marks or asterisks, as the text of a picture, or before 页."""
    marked = r"“([ -~]+?)”|\*\*?([ -~]+?)\*\*?|!\[([ -~]+?)\]|\b([A-Z][A-Za-z ]*?)\*{0,2} ?页"
    return [next(filter(None, found)) for found in re.findall(marked, _prose(chinese))]


def names_of_pages(english: str) -> dict[str, str]:
    """What an English text names between quotation marks or asterisks, with what the dashboard in Chinese has."""
    names = [one or other for one, other in re.findall(r'"([A-Z][^"\n]*)"|\*\*([A-Z][^*\n]*)\*\*', _prose(english))]
    said = {name: recalled(name, "zh_CN") for name in names}
    return {name: word for name, word in said.items() if word != name}


def _prose(text: str) -> str:
    """Without code, comments and the targets of links."""
    for pattern in (_FENCE, _COMMENT, _CODE, _LINK):
        text = pattern.sub(" ", text)
    return text


def _own_words(chinese: str) -> str:
    """Without quotations (of the founding document) and without names that stay in English, as of presets."""
    lines = (line for line in _prose(chinese).splitlines() if not line.startswith(">"))
    return re.sub(r"“[ -~]+”|（[ -~]+）|\*\*?[ -~]+?\*\*?|\[[ -~]+\]", " ", "\n".join(lines))


def careless(text: str) -> list[str]:
    """Places where Chinese text has half-width punctuation, no space beside Latin words or digits, or a broken line."""
    bare = re.sub(r"^>.*$", "", _COMMENT.sub("", _FENCE.sub("", text)), flags=re.MULTILINE)  # a quotation is as it was
    problems = re.findall(rf".{{0,8}}[{_HAN}][,;:!?()].{{0,8}}|.{{0,8}}[,;!?()][{_HAN}].{{0,8}}", _LINK.sub("", bare))
    problems += re.findall(
        rf".{{0,8}}[{_HAN}][A-Za-z0-9`].{{0,8}}|.{{0,8}}[A-Za-z0-9`%][{_HAN}].{{0,8}}", _joined(bare)
    )
    problems += re.findall(rf".{{0,8}}(?: [{_FULL}]|[，。；：！？、（）] ).{{0,8}}", re.sub(r" *\| *", "\n", bare))
    problems += not_emphasised(_CODE.sub("x", bare))
    for line, following in pairwise(bare.splitlines()):
        if re.search(rf"[{_HAN}{_FULL}]$", line) and re.match(rf"[{_HAN}{_FULL}A-Za-z`*\[]", following):
            problems.append(f"{line[-8:]}⏎{following[:8]}")
    return problems


def not_emphasised(text: str) -> list[str]:
    """Where Markdown takes asterisks for text: between a letter outside and punctuation inside."""
    found = []
    for line in text.splitlines():
        for number, mark in enumerate(re.finditer(r"\*+(?! )", line)):
            before, after = line[: mark.start()][-1:], line[mark.end() :][:1]
            inside, outside = (before, after) if number % 2 else (after, before)
            if inside in _FULL and re.match(r"\w", outside):
                found.append(line[: mark.end()][-8:] + after)
    return found


def _joined(text: str) -> str:
    """Without marks that are not seen: emphasis, links."""
    return re.sub(r"\*\*?(?=\S)|(?<=\S)\*\*?", "", _LINK.sub("", text)).replace("[", "").replace("]", "")


# ------------------------------------------------------- Sections -----------------------------------------------------


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it, up to the next heading."""

    title: str
    text: str
    """Without the heading and without generated parts."""

    @property
    def anchor(self) -> str:
        """As GitHub has it."""
        return re.sub(r"[^\w\- ]", "", self.title.lower()).replace(" ", "-")

    @property
    def hash(self) -> str:
        """Of heading and text; where lines are broken does not matter."""
        words = " ".join(f"{self.title} {self.text}".split())
        return hashlib.sha256(words.encode()).hexdigest()[:8]

    @property
    def code(self) -> list[str]:
        """Its blocks of code."""
        return _FENCE.findall(self.text)

    @property
    def images(self) -> list[str]:
        """The names of its pictures, without light or dark: pages in Chinese have their own, which are light."""
        found = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", self.text)
        return [re.sub(r"-(light|dark)$", "", Path(target).stem) for target in found]

    @property
    def follows(self) -> list["Source"]:
        """The English sections that it says it follows."""
        return [Source(*found) for found in _FOLLOWS.findall(self.text)]


@dataclass(frozen=True)
class Source:
    """What a section in Chinese says of the English one."""

    how: str
    """`follows` for all of it, `sums up` for less."""
    page: str
    anchor: str
    hash: str

    def section(self, root: Path = ROOT) -> Section:
        """The English section as it is now; an error if there is none."""
        found = {section.anchor: section for section in sections(read(root / self.page))}
        assert self.anchor in found, f"{self.page} has no section #{self.anchor}; it has: {', '.join(found)}"
        return found[self.anchor]


_FOLLOWS = re.compile(r"<!-- (follows|sums up) (\S+)#(\S+) ([0-9a-f]{8}) -->")


def read(path: Path) -> str:
    """A page, or a notebook as if it were one."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(f"```python\n{source}\n```" if kind == "code" else source for kind, source in cells)


def without_generated_parts(text: str) -> str:
    """Without what `python -m tests.docs` writes."""
    return re.sub(r"<!-- (\w+): [^>]*-->\n.*?<!-- end of \1 -->", "", text, flags=re.DOTALL)


def sections(text: str) -> list[Section]:
    """Of a page, in its order."""
    text = without_generated_parts(text)
    fences = [match.span() for match in _FENCE.finditer(text)]
    headings = [
        match
        for match in re.finditer(r"^#+ (.+)$", text, re.MULTILINE)
        if not any(begin <= match.start() < end for begin, end in fences)
    ]
    ends = [*(match.start() for match in headings[1:]), len(text)]
    return [Section(match[1], text[match.end() : end]) for match, end in zip(headings, ends, strict=True)]


def stale(page: str, section: Section, root: Path = ROOT) -> Iterable[str]:
    """A sentence for each English section that has changed since this one followed it."""
    for source in section.follows:
        now = source.section(root).hash
        if now != source.hash:
            yield (
                f"The section '{source.anchor}' of {source.page} has changed: bring the section '{section.title}' of "
                f"{page} up to date, then write there: <!-- {source.how} {source.page}#{source.anchor} {now} -->"
            )
