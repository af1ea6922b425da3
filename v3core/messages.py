"""What V3 Lab says, in the language of who reads it: English in the code, gettext catalogues for the others.

A message is written as its English template with named values. `_` makes one that is said later, by whoever shows it:
errors, reasons, alarms. `say` says one at once. Each is English as a string, so that what is stored, logged and
printed for machines is the same in every language. It still knows its template, the id in the catalogue, and its
values.

A stored sentence comes back as a mere string. The English templates are enough to find out which message it is and
with which values (`recognised`), so that an old failure is said in the language of today's reader.
"""

import contextlib
import gettext
import io
import os
import re
import string
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from numbers import Number
from pathlib import Path
from typing import Any, Self

DOMAIN = "v3lab"
ENGLISH = "en"
LOCALE = Path(__file__).with_name("locale")
"""A folder for each language but English, with LC_MESSAGES/v3lab.po."""

_spoken: ContextVar[str] = ContextVar("spoken")


class Message(str):
    """A sentence in English, with what it takes to say it in another language."""

    template: str
    """The id in the catalogues: of one thing, where the number of things decides."""
    templates: str | None
    """Of none or several things, if their number decides."""
    values: Mapping[str, object]

    def __new__(cls, template: str, values: Mapping[str, object], templates: str | None = None) -> Self:
        """Fill in the values; `templates` is that of several, if `values["count"]` decides."""
        several = templates is not None and values["count"] != 1
        made = super().__new__(cls, _filled(templates if several and templates else template, values))
        made.template, made.templates, made.values = template, templates, values
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """For pickle and copy."""
        return self.template, self.values, self.templates

    def filled(self, **values: object) -> "Message":
        """A declared template with values: `_("Delete {runs}?").filled(runs=runs)`."""
        return Message(self.template, {**self.values, **values})

    def in_language(self, language: str) -> str:
        """The sentence as its catalogue has it, in English where that has none."""
        found = catalogue(language)
        if found is None or not self.template:  # the id of the catalogue's own header is empty
            return str(self)
        said = found.gettext(self.template)
        if self.templates is not None:
            said = found.ngettext(self.template, self.templates, int(str(self.values["count"])))
        values = {name: translated(value, language) for name, value in self.values.items()}
        return _filled(said, values)


def _(template: str, /, **values: object) -> Message:
    """A message that is said later: `_("There is no run {run}.", run=run_id)`."""
    return Message(template, values)


def several(one: str, many: str, /, *, count: int, **values: object) -> Message:
    """A message that depends on a number: `several("{count} run", "{count:,} runs", count=count)`."""
    return Message(one, {"count": count, **values}, many)


def say(template: str, /, **values: object) -> str:
    """A message said at once, in the reader's language."""
    return Message(template, values).in_language(spoken())


def translation(template: str) -> str:
    """The template itself in the reader's language, for who fills it in otherwise."""
    found = catalogue(spoken())
    return template if found is None or not template else found.gettext(template)


def plural_translation(one: str, many: str, count: int) -> str:
    """The template for a number of things in the reader's language, for who fills it in otherwise."""
    found = catalogue(spoken())
    english = one if count == 1 else many
    return english if found is None else found.ngettext(one, many, count)


def translated(value: Any, language: str | None = None) -> Any:
    """A message, or that of an error, in a language, by default the reader's; what people wrote, as it is."""
    value = getattr(value, "message", value) if isinstance(value, Exception) else value
    return value.in_language(language or spoken()) if isinstance(value, Message) else value


def said(content: Any, language: str | None = None) -> Any:
    """The messages within lists, and within dicts also as keys, in the reader's language; anything else as it is."""
    language = language or spoken()
    if isinstance(content, dict):
        return {translated(key, language): said(value, language) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(said(one, language) for one in content) if type(content) in (list, tuple) else content
    return translated(content, language)


def recalled(sentence: str, language: str | None = None) -> str:
    """A sentence of ours that was stored or logged, in a language, by default the reader's; another one as it is."""
    language = language or spoken()
    found = sentence if isinstance(sentence, Message) else recognised(sentence, language)
    return sentence if found is None else found.in_language(language)


def spoken() -> str:
    """The language of the reader: of the block (`speaking`), else that of the environment's variables."""
    return _spoken.get(None) or _source() or from_environment()


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say everything within in a language."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def _source() -> str | None:
    return None


def ask_for_language(source: Callable[[], str | None]) -> None:
    """Let a function say which language a reader has chosen: pages know it from the browser."""
    global _source
    _source = source


@cache
def languages() -> tuple[str, ...]:
    """English, and each language that has a catalogue: `en`, `zh_CN`."""
    return (ENGLISH, *sorted(path.parts[-3] for path in LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po")))


def known_language(wish: str | None) -> str | None:
    """The language that serves a wish such as `zh`, `zh-TW` or `zh_CN.UTF-8`; None if there is none."""
    wanted = re.split(r"[.@]", (wish or "").replace("-", "_"), maxsplit=1)[0]
    if wanted.split("_")[0].lower() in ("en", "c", "posix"):
        return ENGLISH
    exact = [one for one in languages() if one.lower() == wanted.lower()]
    near = [one for one in languages() if wanted and one.split("_")[0] == wanted.split("_")[0].lower()]
    return next(iter([*exact, *near]), None)


VARIABLES = ("V3_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Those that name the language of a command line: ours, then what gettext reads. The first that is set counts."""


def from_environment() -> str:
    """The language of `VARIABLES`; English if they name none that there is. LANGUAGE has several, by preference."""
    wishes = next(filter(None, (os.environ.get(name) for name in VARIABLES)), "").split(":")
    return next(filter(None, map(known_language, wishes)), ENGLISH)


@cache
def catalogue(language: str) -> gettext.NullTranslations | None:
    """The compiled catalogue of a language; read from its source where nobody has compiled it. English has none."""
    if language == ENGLISH or language not in languages():
        return None
    folder = LOCALE / language / "LC_MESSAGES"
    compiled = folder / f"{DOMAIN}.mo"
    if compiled.is_file():
        with compiled.open("rb") as file:
            return gettext.GNUTranslations(file)
    return gettext.GNUTranslations(io.BytesIO(compile_catalogue(folder / f"{DOMAIN}.po")))


def compile_catalogue(source: Path) -> bytes:
    """The .mo file of a .po file."""
    from babel.messages.mofile import write_mo  # only here: a worker says nothing in another language

    target = io.BytesIO()
    write_mo(target, _read(source))
    return target.getvalue()


def _read(source: Path) -> Any:
    from babel.messages.pofile import read_po

    with source.open("rb") as file:
        return read_po(file)


@lru_cache(maxsize=4096)
def recognised(sentence: str, language: str, *, within: bool = False) -> Message | None:
    """Which message of the catalogue an English sentence is: of those that fit, the one with the most literal text.

    A sentence of more than `_LONGEST` characters is none: texts of others, such as a library's error, can be that long.
    `within` is of a value of another one.
    """
    whole, patterns = templates_of(language)
    if sentence in whole:
        return whole[sentence]
    if len(sentence) > _LONGEST:
        return None
    best: tuple[_Pattern, dict[str, str]] | None = None
    for pattern in patterns:
        found = pattern.values_in(sentence) if best is None or pattern.literal > best[0].literal else None
        if found is not None:
            best = pattern, found
    if best is None:
        return _series(sentence, language)
    pattern, first = best
    values = _known(first, language)
    # A value may itself have the text that ends it, as evidence with a semicolon. Within, it would take too long.
    longer = () if within else reversed(range(len(pattern.names) - 1))
    others = [other for place in longer if (other := pattern.values_in(sentence, place)) not in (None, first)]
    values = min([values, *(_known(other, language) for other in others if other)], key=_unknown)  # of equals the first
    return _remade(pattern, values)


def _series(sentence: str, language: str) -> Message | None:
    """Several messages with semicolons between them; None if any of them is not known."""
    parts = sentence.split("; ")
    found = [recognised(part, language, within=True) for part in parts] if len(parts) > 1 else [None]
    known = [one for one in found if one is not None]
    return reduce(_after_semicolon, known) if known == found else None


def _after_semicolon(before: Message, part: Message) -> Message:
    return _SERIES.filled(before=before, part=part)


def _known(values: Mapping[str, str], language: str) -> dict[str, object]:
    """Values of which some are sentences of ours themselves, such as a reason within a reason."""
    found = {
        name: recognised(value, language, within=True) if " " in value or name in _WORDS else None
        for name, value in values.items()
    }
    return {name: value if found[name] is None else found[name] for name, value in values.items()}


def _unknown(values: Mapping[str, object]) -> tuple[int, int]:
    """How many values are words that are no message, and how many are several messages after one another."""
    known = [value for value in values.values() if isinstance(value, Message)]
    foreign = [value for value in values.values() if not isinstance(value, Message) and " " in str(value)]
    return len(foreign), sum(value.template == _SERIES.template for value in known)


def _remade(pattern: "_Pattern", values: dict[str, object]) -> Message:
    """The values are words already, so what the template says of their form no longer holds."""
    if pattern.many is not None:
        values["count"] = int(re.sub(r"\D", "", str(values.get("count"))) or 1)
    found = Message(_bare(pattern.one), values, _bare(pattern.many) if pattern.many else None)
    found.template, found.templates = pattern.one, pattern.many
    return found


_HYPHEN = re.compile(r"(?<!\S)-(?=[\d.i∞])")
_LITERAL = 8
"""Letters that a template has at least, to be recognised where its values may be any words."""
_LITERAL_OF_NUMBERS = 4
"""Letters of one whose values are all numbers."""
_WORDS = frozenset({"status", "verdict"})
"""Values that are a word of ours; another single word is a name."""
_LONGEST = 2000
"""Characters of a sentence that is looked up."""
_NUMBER = re.compile(r"(?:[-+−]?[\d,.]+(?:e[-+]?\d+)?%?|nan|inf)")


@dataclass(frozen=True)
class _Pattern:
    """A template in pieces: its literal texts, and between any two of them a value."""

    one: str
    many: str | None
    texts: tuple[str, ...]
    names: tuple[str, ...]
    numbers: frozenset[str]

    @property
    def literal(self) -> int:
        """Characters that are no values."""
        return sum(map(len, self.texts))

    @property
    def has_words(self) -> bool:
        """Whether a value may be anything but a number."""
        return not self.numbers.issuperset(self.names)

    def values_in(self, sentence: str, longest: int | None = None) -> dict[str, str] | None:
        """What stands at the places of its values; None if the sentence is not made of this template.

        The value at the place `longest`, by default the last, may itself have the texts around it: each before it ends
        where the text after it first occurs, and each after it begins where the text before it last occurs. So time
        grows with the sentence's length, whatever is in it.
        """
        if not (sentence.startswith(self.texts[0]) and sentence.endswith(self.texts[-1])):
            return None
        last = len(self.names) - 1 if longest is None else longest
        at, end = len(self.texts[0]), len(sentence) - len(self.texts[-1])
        before: list[str] = []
        after: list[str] = []
        for text in self.texts[1 : last + 1]:
            found = sentence.find(text, at + 1, end)
            if found < 0:
                return None
            before.append(sentence[at:found])
            at = found + len(text)
        for text in reversed(self.texts[last + 1 : -1]):
            found = sentence.rfind(text, at + 1, end - 1)
            if found < 0:
                return None
            after.append(sentence[found + len(text) : end])
            end = found
        values: dict[str, str] = {}
        for name, value in zip(self.names, [*before, sentence[at:end], *reversed(after)], strict=True):
            if not value or values.setdefault(name, value) != value:
                return None
            if name in self.numbers and _NUMBER.fullmatch(value) is None:
                return None
        return values


@cache
def templates_of(language: str) -> tuple[dict[str, Message], list[_Pattern]]:
    """The catalogue's ids: those without values by their text, the others as patterns."""
    whole: dict[str, Message] = {}
    patterns: list[_Pattern] = []
    for one, many in ids(language):
        if many and _names(many) - _names(one) - {"count"}:
            continue  # of click, which gives more values than a sentence shows
        for form in filter(None, (one, many)):
            if "{}" in form:
                continue  # of a page, which stores nothing
            if "{" in form:
                pattern = _pattern(form, one, many)
                letters = sum(map(str.isalpha, "".join(pattern.texts)))
                if many or letters >= (_LITERAL if pattern.has_words else _LITERAL_OF_NUMBERS):
                    patterns.append(pattern)
            else:
                whole[form] = Message(one, {"count": 1} if many else {}, many)
    return whole, patterns


def ids(language: str) -> list[tuple[str, str | None]]:
    """The ids of a language's catalogue; of those that depend on a number, both."""
    if language not in languages()[1:]:
        return []
    read = _read(LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po")
    found = [message.id for message in read if message.id]
    return [(one, None) if isinstance(one, str) else (one[0], one[1]) for one in found]


def _names(template: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(template) if name}


def _pattern(form: str, one: str, many: str | None) -> _Pattern:
    texts, names, numbers = [""], [], set()
    for words, name, spec, _conversion in string.Formatter().parse(form):
        texts[-1] += words
        if name:
            texts.append("")
            names.append(name)
            if spec or name == "count":
                numbers.add(name)
    return _Pattern(one, many, tuple(texts), tuple(names), frozenset(numbers))


def _bare(template: str) -> str:
    """Without forms: `{count:,}` becomes `{count}`."""
    return re.sub(r"\{(\w+)[:!][^{}]*\}", r"{\1}", template)


def _filled(template: str, values: Mapping[str, object]) -> str:
    """Like `str.format`; a text without values stays as it is, and a form for numbers does nothing to words."""
    return _Filling().vformat(template, (), values) if values else template


def formatted(value: object, form: str) -> str:
    """Like `format`; a number is for people: it has a proper minus sign."""
    return with_minus(format(value, form)) if isinstance(value, Number) else format(value, form)


def with_minus(number: str) -> str:
    """A number as Python writes it, `-1.5` or `-1e-05`, with a minus sign in front instead of a hyphen."""
    return _HYPHEN.sub("−", number, count=1)


class _Filling(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        return value if isinstance(value, str) else formatted(value, format_spec)


_SERIES = _("{before}; {part}")
"""Of several messages; the last here, as it is filled in when it is made."""
