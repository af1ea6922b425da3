"""What a stored sentence says: which message of the catalogue it is, with which values.

Rows and logs have sentences as mere strings, in English. The templates of the catalogue are enough to find out which
message one is, so that an old failure is said in the language of today's reader.
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, reduce
from itertools import islice
from operator import itemgetter

from v3core import messages
from v3core.messages import DOMAIN, Message, _, catalogue, languages, read_source, spoken


def recalled(sentence: str, language: str | None = None) -> str:
    """A sentence of ours that was stored or logged, in a language, by default the reader's; another one as it is."""
    language = language or spoken()
    found = sentence if isinstance(sentence, Message) else recognised(sentence, language)
    return sentence if found is None else found.in_language(language)


@lru_cache(maxsize=4096)
def recognised(sentence: str, language: str, *, within: bool = False, short: bool = False) -> Message | None:
    """Which message of the catalogue an English sentence is: of those that fit, the one that leaves least unknown.

    Of equals it is the one that has the sentence's full stop, then the one with the most literal text, then one that
    is not said by pages and commands alone, which store nothing. Several sentences or clauses may be one after another.

    A sentence of more than `_LONGEST` characters is none: texts of others, such as a library's error, can be that long.
    `within` is of a value of another one, and `short` of a value that may be a message of few letters, as `step 5`.
    """
    whole = templates_of(language)[0]
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
    read = read_source(messages.LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po")
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


_SERIES = _("{before}; {part}")
"""Of several messages; the last here, as it is filled in when it is made."""
_TEXT = _("{before} {part}")
_HEADED = _("{subject}: {problem}")
_COMMA = _("{before}, {part}")
_AND = _("{before} and {last}")
_OR = _("{before} or {last}")

CACHES = (languages, catalogue, templates_of, _indexed, recognised)
"""What is kept of the catalogues, to be forgotten where others take their place."""
