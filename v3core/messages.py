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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, reduce
from itertools import islice
from numbers import Number
from operator import itemgetter
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
        return _filled(said, values, language)


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
def recognised(sentence: str, language: str, *, within: bool = False, short: bool = False) -> Message | None:
    """Which message of the catalogue an English sentence is: of those that fit, the one that leaves least unknown.

    Of equals it is the one that has the sentence's full stop, then the one with the most literal text, then one that
    is not said by pages and commands alone, which store nothing. Several sentences or clauses may be one after another.

    A sentence of more than `_LONGEST` characters is none: texts of others, such as a library's error, can be that long.
    `within` is of a value of another one, and `short` of a value that may be a message of few letters, as `step 5`.
    """
    whole, _patterns = templates_of(language)
    if sentence in whole:
        return whole[sentence]
    if len(sentence) > _LONGEST:
        return None
    headed = None if within else _headed(sentence, language)
    if headed is not None:
        return headed
    likely = _likely(sentence, language)
    fitting = (pair for one in likely if short or not (within and one.is_short) for pair in _values(one, sentence))
    tried = islice(fitting, _TRIED if len(sentence) <= _LONG else 1)
    found = [made for one, values in tried if (made := _best(one, values, sentence, language, within)) is not None]
    if not within:  # a sentence of few letters of its own has all its words in messages
        found = [one for one in found if not (one.pattern and one.pattern.is_short) or _is_of_messages(one)]
    if short:
        found += filter(None, [_list(sentence, language)])
    best = min(found, key=lambda made: _unlikeness(made, sentence), default=None)
    if best is not None and not _unknown(best) and not (within and _ends_in_series(best)):
        return best
    parts = [_series(sentence, language, short), None if within else _sentences(sentence, language)]
    better = [one for one in parts if one is not None and (best is None or _series_rank(one) < _series_rank(best))]
    return min(better, key=_unknown, default=best)


def _likely(sentence: str, language: str) -> list["_Pattern"]:
    """The templates that may fit, in their order: of thousands those few that begin or end as the sentence does."""
    by_beginning, by_end, others = _indexed(language)
    found = (*by_beginning.get(sentence[:_KEY], ()), *by_end.get(sentence[-_KEY:], ()), *others)
    return [pattern for _place, pattern in sorted(found, key=itemgetter(0))]


@cache
def _indexed(language: str) -> tuple[dict[str, "_Placed"], dict[str, "_Placed"], "_Placed"]:
    """The templates with their places, by their first letters, else by their last ones, and those that have neither."""
    by_beginning: dict[str, _Placed] = {}
    by_end: dict[str, _Placed] = {}
    others: _Placed = []
    for place, pattern in enumerate(templates_of(language)[1]):
        first, last = pattern.texts[0][:_KEY], pattern.texts[-1][-_KEY:]
        if len(first) == _KEY:
            by_beginning.setdefault(first, []).append((place, pattern))
        elif len(last) == _KEY:
            by_end.setdefault(last, []).append((place, pattern))
        else:
            others.append((place, pattern))
    return by_beginning, by_end, others


def _values(pattern: "_Pattern", sentence: str) -> list[tuple["_Pattern", dict[str, str]]]:
    values = pattern.values_in(sentence)
    return [] if values is None else [(pattern, values)]


def _best(
    pattern: "_Pattern", first: dict[str, str], sentence: str, language: str, within: bool
) -> "_Recognised | None":
    """The message of a pattern, whose values may part in several ways; None if a short one leaves words unknown."""
    # A value may itself have the text that ends it, as evidence with a semicolon. Within, it would take too long.
    longer = () if within else reversed(range(len(pattern.names) - 1))
    others = [other for place in longer if (other := pattern.values_in(sentence, place)) not in (None, first)]
    ways = [first, *filter(None, others)]
    if not within:
        ways += [other for values in ways for other in _parted_elsewhere(pattern, values)]
    made = [_remade(pattern, _known(values, language)) for values in ways]
    best = min(made, key=lambda one: (_unknown(one), _series_in(one)))  # of equals the first
    return None if pattern.is_short and _unknown(best, but=pattern.quoted) else best


def _parted_elsewhere(pattern: "_Pattern", values: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Two values with only a space between them, such as `Run 3f2a 'x'` and `at episode 5`, may part at any space."""
    for text, first, second in zip(pattern.texts[1:], pattern.names, pattern.names[1:], strict=False):
        words = f"{values[first]} {values[second]}".split(" ")
        for place in range(1, len(words)) if text == " " and len(words) <= _TRIED else ():
            yield {**values, first: " ".join(words[:place]), second: " ".join(words[place:])}


def _is_of_messages(found: Message) -> bool:
    return all(isinstance(value, Message) for value in found.values.values())


def _unlikeness(made: "_Recognised", sentence: str) -> tuple[int, int, bool, int, bool]:
    if (pattern := made.pattern) is None:  # a list
        return _unknown(made), 0, False, -_LITERAL, False
    ends = pattern.texts[-1].endswith(".") or not sentence.endswith(".")
    return _unknown(made), _series_in(made), not ends, -pattern.literal, pattern.is_shown_only


def series(clauses: Iterable[str]) -> str:
    """Clauses with semicolons between them."""
    return reduce(lambda before, part: _SERIES.filled(before=before, part=part), clauses)


def _series(sentence: str, language: str, short: bool) -> Message | None:
    """Several messages with semicolons between them; None if any of them is not known."""
    return _one_after_another(_SERIES, sentence.split("; "), language, short)


def _sentences(text: str, language: str) -> Message | None:
    """Several sentences; None if any of them is not known."""
    return _one_after_another(_TEXT, re.split(r"(?<=[.!?]) (?=[A-Z])", text), language, short=False)


def _one_after_another(template: Message, parts: list[str], language: str, short: bool) -> Message | None:
    found = [recognised(part, language, within=True, short=short) for part in parts] if len(parts) > 1 else [None]
    known = [one for one in found if one is not None]
    return reduce(lambda before, part: template.filled(before=before, part=part), known) if known == found else None


def _headed(sentence: str, language: str) -> Message | None:
    """A subject that is a word of ours, then a problem, as in `Curriculum: 'lr' of phase 1 is missing.`"""
    head, colon, rest = sentence.partition(": ")
    whole, patterns = templates_of(language)
    if not colon or head not in whole or any(one.texts[0].startswith(f"{head}: ") for one in patterns):
        return None
    problem = recognised(rest, language, within=True)
    return None if problem is None else _HEADED.filled(subject=whole[head], problem=problem)


def _list(names: str, language: str) -> "_Recognised | None":
    """As in `a, b and c`, of words or of messages; None if a part is neither."""
    found = re.fullmatch(r"(.+?) (and|or) (\S.*)", names)
    before, word, last = found.groups() if found else (names, "", "")
    if f" {word} " in last:  # as in the name `rock and roll and pop`
        return None
    parts = [*before.split(", "), *filter(None, [last])]
    if len(parts) < 2 or (not word and not all(map(_NUMBER.fullmatch, parts))):
        return None
    known: list[str] = []
    for part in parts:
        found_part = recognised(part, language, within=True) if " " in part else None
        if " " in part and (found_part is None or _unknown(found_part)):
            return None
        known.append(found_part or _word(part, language))
    commas = known[:-1] if word else known
    said = reduce(lambda before, part: _COMMA.filled(before=before, part=part), commas[1:], commas[0])
    last_of = {"and": _AND, "or": _OR}.get(word)
    made = said if last_of is None else last_of.filled(before=said, last=known[-1])
    return _Recognised(made.template, made.values) if isinstance(made, Message) else None


def _word(word: str, language: str) -> str:
    """A word of ours, or a name."""
    return templates_of(language)[0].get(word, word) if word in _LISTED else word


def _known(values: Mapping[str, str], language: str) -> dict[str, object]:
    """Values of which some are sentences of ours themselves, such as a reason within a reason."""
    known: dict[str, object] = {}
    for name, value in values.items():
        found: object = None
        if " " in value:
            found = recognised(value, language, within=True, short=name not in _OF_PEOPLE)
        elif name in _WORDS:
            found = templates_of(language)[0].get(value)
        known[name] = value if found is None else found
    return known


def _unknown(found: Message, but: frozenset[str] = frozenset()) -> int:
    """How many words of the values, and of their values, are no message; `but` some."""
    values = [value for name, value in found.values.items() if name not in but]
    foreign = [str(value) for value in values if not isinstance(value, Message) and " " in str(value)]
    return sum(len(one.split()) for one in foreign) + sum(_unknown(one) for one in values if isinstance(one, Message))


def _series_in(found: Message) -> int:
    """How many values are several messages after one another."""
    return sum(isinstance(value, Message) and value.template == _SERIES.template for value in found.values.values())


def _ends_in_series(found: Message) -> bool:
    """Whether its last value, with nothing after it, is several messages, so that the others may follow itself."""
    pattern = getattr(found, "pattern", None)
    last = found.values[pattern.names[-1]] if pattern and not pattern.texts[-1] else None
    return isinstance(last, Message) and (last.template == _SERIES.template or _ends_in_series(last))


def _series_rank(found: Message) -> tuple[int, bool]:
    """Less for what leaves less unknown; of equals for several messages instead of one that ends in several."""
    return _unknown(found), _ends_in_series(found)


class _Recognised(Message):
    pattern: "_Pattern | None" = None
    """What it was recognised by; None of a list."""


def _remade(pattern: "_Pattern", values: dict[str, object]) -> _Recognised:
    """The values are words already, so what the template says of their form no longer holds."""
    if pattern.many is not None:
        values["count"] = int(re.sub(r"\D", "", str(values.get("count"))) or 1)
    found = _Recognised(_bare(pattern.one), values, _bare(pattern.many) if pattern.many else None)
    found.template, found.templates, found.pattern = pattern.one, pattern.many, pattern
    return found


_HYPHEN = re.compile(r"(?<!\S)-(?=[\d.i∞])")
_LITERAL = 8
"""Letters that a template has at least, to be recognised where its values may be any words."""
_LITERAL_OF_NUMBERS = 4
"""Letters of one whose values are all numbers."""
_LITERAL_OF_SHORT = 2
"""Letters of one that is looked for only as a value of another one, and has no values of unknown words."""
_WORDS = frozenset({"status", "verdict", "ends", "changes"})
"""Values that are a word of ours; another single word is a name."""
_LISTED = frozenset({"tags", "notes"})
"""Words of ours in lists; others there are names."""
_OF_PEOPLE = frozenset({"reason", "text"})
"""Values that people or libraries wrote, in which a message of few letters is a coincidence."""
_LONGEST = 2000
"""Characters of a sentence that is looked up."""
_KEY = 3
"""Letters of a beginning or an end by which templates are found."""
_LONG = 400
"""Characters of one for which a single template is tried."""
_TRIED = 12
"""Templates that are tried, those with the most literal text."""
_NUMBER = re.compile(r"(?:[-+−]?[\d,.]*\d(?:e[-+]?\d+)?%?|nan|inf)")


@dataclass(frozen=True)
class _Pattern:
    """A template in pieces: its literal texts, and between any two of them a value."""

    one: str
    many: str | None
    texts: tuple[str, ...]
    names: tuple[str, ...]
    numbers: frozenset[str]
    is_shown_only: bool
    """Whether only pages, charts and commands say it."""

    @cached_property
    def literal(self) -> int:
        """Characters that are no values."""
        return sum(map(len, self.texts))

    @cached_property
    def letters(self) -> int:
        """Letters of those."""
        return sum(map(str.isalpha, "".join(self.texts)))

    @cached_property
    def is_short(self) -> bool:
        """Whether it has too few letters of its own to be recognised by itself."""
        return self.many is None and self.letters < (_LITERAL if self.has_words else _LITERAL_OF_NUMBERS)

    @cached_property
    def quoted(self) -> frozenset[str]:
        """Values with quotation marks around them, which are names."""
        around = zip(self.texts, self.names, self.texts[1:], strict=False)
        return frozenset(name for before, name, after in around if before.endswith("'") and after.startswith("'"))

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


_Placed = list[tuple[int, _Pattern]]
"""Templates with their places among all."""


@cache
def templates_of(language: str) -> tuple[dict[str, Message], list[_Pattern]]:
    """The catalogue's ids: those without values by their text, the others as patterns."""
    whole: dict[str, Message] = {}
    patterns: list[_Pattern] = []
    for one, many, is_shown_only in _ids(language):
        if many and _names(many) - _names(one) - {"count"}:
            continue  # of click, which gives more values than a sentence shows
        for form in filter(None, (one, many)):
            if "{}" in form:
                continue  # of a page, which stores nothing
            if "{" in form:
                pattern = _pattern(form, one, many, is_shown_only)
                joins = pattern.texts in (("", " and ", ""), ("", " or ", ""))  # which `_list` takes apart
                if many or (pattern.letters >= _LITERAL_OF_SHORT and not joins):
                    patterns.append(pattern)
            else:
                whole[form] = Message(one, {"count": 1} if many else {}, many)
    return whole, sorted(patterns, key=lambda pattern: -pattern.literal)


def ids(language: str) -> list[tuple[str, str | None]]:
    """The ids of a language's catalogue; of those that depend on a number, both."""
    return [(one, many) for one, many, _is_shown_only in _ids(language)]


def _ids(language: str) -> list[tuple[str, str | None, bool]]:
    """Those, and whether only pages, charts and commands say them."""
    if language not in languages()[1:]:
        return []
    read = _read(LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po")
    return [
        (*((one.id, None) if isinstance(one.id, str) else one.id), _is_shown(one.locations)) for one in read if one.id
    ]


def _is_shown(locations: list[tuple[str, int]]) -> bool:
    places = ("pages/", "app.py", "tests/", "click", "v3core/ui/", "v3core/cli", "v3core/charts/", "v3core/report/")
    return bool(locations) and all(file.startswith(places) for file, _line in locations)


def _names(template: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(template) if name}


def _pattern(form: str, one: str, many: str | None, is_shown_only: bool) -> _Pattern:
    texts, names, numbers = [""], [], set()
    for words, name, spec, _conversion in string.Formatter().parse(form):
        texts[-1] += words
        if name:
            texts.append("")
            names.append(name)
            if (spec and "%" not in spec) or name == "count":  # a form with % is a time's
                numbers.add(name)
    return _Pattern(one, many, tuple(texts), tuple(names), frozenset(numbers), is_shown_only)


def _bare(template: str) -> str:
    """Without forms: `{count:,}` becomes `{count}`."""
    return re.sub(r"\{(\w+)[:!][^{}]*\}", r"{\1}", template)


def _filled(template: str, values: Mapping[str, object], language: str = ENGLISH) -> str:
    """Like `str.format`; a text without values stays as it is, and a form for numbers does nothing to words."""
    return Filling(language).vformat(template, (), values) if values else template


_EDGE = "\ue001"
"""Before and after a value while a template is filled in: of Unicode's private use."""
_EAST_ASIAN = "\u2018-\u201d\u3001-\u303f\u3040-\u30ff\u3400-\u9fff\uff00-\uffef"
_SPACE_AT_VALUE = re.compile(f"(?<=[{_EAST_ASIAN}])(?:{_EDGE}+ {_EDGE}*| {_EDGE}+)(?=[{_EAST_ASIAN}])")
"""A space with Chinese or Japanese on both sides, which these languages only have next to Latin letters and digits."""


class Filling(string.Formatter):
    """Fills in templates of a language: whether a value has a space around it may depend on the value."""

    def __init__(self, language: str) -> None:
        """`language` is that of the templates."""
        self.language = language
        self._is_spaced = not language.startswith(("zh", "ja"))

    def shown(self, value: Any, form: str) -> str:
        """A value in a form; a form for numbers does nothing to words."""
        return value if isinstance(value, str) else formatted(value, form, self.language)

    def format_field(self, value: Any, format_spec: str) -> str:
        """A value, with its edges marked until the template is filled in."""
        shown = self.shown(value, format_spec)
        return shown if self._is_spaced else f"{_EDGE}{shown}{_EDGE}"

    def vformat(self, format_string: str, args: Any, kwargs: Any) -> str:
        """The template with its values."""
        filled = super().vformat(format_string, args, kwargs)
        return filled if self._is_spaced else _SPACE_AT_VALUE.sub("", filled).replace(_EDGE, "")


def formatted(value: object, form: str, language: str = ENGLISH) -> str:
    """Like `format`; a number is for people: it has a proper minus sign, and the marks of a language."""
    shown = format(value, form)
    return localised(with_minus(shown), language) if isinstance(value, Number) else shown


def localised(number: str, language: str | None = None) -> str:
    """A number as Python writes it, `1,234.5`, with the marks of a language, by default the reader's."""
    return number.translate(_marks(language or spoken()))


@cache
def _marks(language: str) -> dict[int, str]:
    """What stands for a comma and a point in numbers; nothing of a language that Babel does not know."""
    if language == ENGLISH:
        return {}
    from babel.core import UnknownLocaleError
    from babel.numbers import get_decimal_symbol, get_group_symbol

    try:
        return {ord(","): get_group_symbol(language), ord("."): get_decimal_symbol(language)}
    except UnknownLocaleError:
        return {}


def with_minus(number: str) -> str:
    """A number as Python writes it, `-1.5` or `-1e-05`, with a minus sign in front instead of a hyphen."""
    return _HYPHEN.sub("−", number, count=1)


_SERIES = _("{before}; {part}")
"""Of several messages; the last here, as it is filled in when it is made."""
_TEXT = _("{before} {part}")
_HEADED = _("{subject}: {problem}")
_COMMA = _("{before}, {part}")
_AND = _("{before} and {last}")
_OR = _("{before} or {last}")

CACHES = (languages, catalogue, templates_of, _indexed, recognised)
"""What is kept of the catalogues, to be forgotten where others take their place."""
