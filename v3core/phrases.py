"""Phrases within messages that each language says in its own way: counts of things, places, durations, dates, lists.

Each is a message itself: English as a string, said in the reader's language where it is shown, by itself or as a
value of another message. Units, dates and lists are Babel's, so that a language is complete with its catalogue.
Babel is imported by those who say something in another language than English, which a worker never does.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, Self

import humanize

from v3core.messages import ENGLISH, Message, _, several, translated
from v3core.recall import recalled

_THINGS: dict[str, Callable[[int], Message]] = {
    "archive": lambda n: several("{count:,} archive", "{count:,} archives", count=n),
    "change": lambda n: several("{count:,} change", "{count:,} changes", count=n),
    "completed run": lambda n: several("{count:,} completed run", "{count:,} completed runs", count=n),
    "earlier run": lambda n: several("{count:,} earlier run", "{count:,} earlier runs", count=n),
    "environment": lambda n: several("{count:,} environment", "{count:,} environments", count=n),
    "environment step": lambda n: several("{count:,} environment step", "{count:,} environment steps", count=n),
    "episode": lambda n: several("{count:,} episode", "{count:,} episodes", count=n),
    "expert": lambda n: several("{count:,} expert", "{count:,} experts", count=n),
    "fork": lambda n: several("{count:,} fork", "{count:,} forks", count=n),
    "further episode": lambda n: several("{count:,} further episode", "{count:,} further episodes", count=n),
    "further run": lambda n: several("{count:,} further run", "{count:,} further runs", count=n),
    "further step": lambda n: several("{count:,} further step", "{count:,} further steps", count=n),
    "later episode": lambda n: several("{count:,} later episode", "{count:,} later episodes", count=n),
    "more alarm": lambda n: several("{count:,} more alarm", "{count:,} more alarms", count=n),
    "more experiment": lambda n: several("{count:,} more experiment", "{count:,} more experiments", count=n),
    "more sentence": lambda n: several("{count:,} more sentence", "{count:,} more sentences", count=n),
    "node": lambda n: several("{count:,} node", "{count:,} nodes", count=n),
    "older experiment": lambda n: several("{count:,} older experiment", "{count:,} older experiments", count=n),
    "pair": lambda n: several("{count:,} pair", "{count:,} pairs", count=n),
    "phase": lambda n: several("{count:,} phase", "{count:,} phases", count=n),
    "preset": lambda n: several("{count:,} preset", "{count:,} presets", count=n),
    "run": lambda n: several("{count:,} run", "{count:,} runs", count=n),
    "second": lambda n: several("{count:,} second", "{count:,} seconds", count=n),
    "seed": lambda n: several("{count:,} seed", "{count:,} seeds", count=n),
    "selected run": lambda n: several("{count:,} selected run", "{count:,} selected runs", count=n),
    "slot": lambda n: several("{count:,} slot", "{count:,} slots", count=n),
    "state": lambda n: several("{count:,} state", "{count:,} states", count=n),
    "step": lambda n: several("{count:,} step", "{count:,} steps", count=n),
    "word": lambda n: several("{count:,} word", "{count:,} words", count=n),
}
"""What is counted: a language has its own plurals, and its own words between a number and a thing."""

_ORDINALS = {
    "st": lambda n: _("{place:,}st", place=n),
    "nd": lambda n: _("{place:,}nd", place=n),
    "rd": lambda n: _("{place:,}rd", place=n),
    "th": lambda n: _("{place:,}th", place=n),
}

UNITS = {"d": "day", "h": "hour", "min": "minute", "s": "second"}
"""Short units of time, and their names in the CLDR."""


_PLACE = "\ue000"
"""Of a name in a list, to find what joins the names: of Unicode's private use."""
_LATIN = re.compile("[!-~]")


class Phrase(Message):
    """A message that no catalogue has, because it is put together: `words` says it in another language."""

    words: Callable[[str], str]

    def __new__(cls, english: str, words: Callable[[str], str]) -> Self:
        """`words` takes a language other than English; a partial of a function of a module, so that it is pickled."""
        made = super().__new__(cls, english, {})
        made.words = words
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """For pickle and copy."""
        return str(self), self.words

    def in_language(self, language: str) -> str:
        """The phrase in a language."""
        return str(self) if language == ENGLISH else self.words(language)


def counted(count: int, thing: str) -> Message:
    """As in `1 run` and `6 runs`; KeyError for a thing that has no entry in `_THINGS`."""
    return _THINGS[thing](count)


def ordinal(place: int) -> Message:
    """As in `3rd`."""
    return _ORDINALS[humanize.ordinal(place)[-2:]](place)


def with_unit(amount: str, unit: str) -> Message:
    """As in `2.5 min`; `unit` is one of `UNITS`, or `days`."""
    return Phrase(f"{amount} {unit}", partial(_with_unit, amount, UNITS.get(unit, "day"), "short"))


def delta(seconds: float) -> Message:
    """A duration in its largest unit: `12 seconds`, `an hour`, `2 days`."""
    return Phrase(humanize.naturaldelta(seconds), partial(_delta, seconds))


def day_and_time(local: datetime) -> Message:
    """As in `3 Nov 14:03:22`, of a moment in the reader's time zone."""
    return Phrase(f"{local.day} {local:%b %H:%M:%S}", partial(_day_and_time, local))


def share(part: float, digits: int = 0) -> Message:
    """As in `45%`."""
    return Phrase(f"{part:.{digits}%}", partial(_share, part, digits))


def one_of(names: Sequence[object]) -> Message:
    """As in `A, B or C`."""
    return _joined(names, "or")


def all_of(names: Sequence[object]) -> Message:
    """As in `A, B and C`."""
    return _joined(names, "and")


def listed(names: Sequence[object]) -> Message:
    """As in `A, B, C`."""
    return Phrase(", ".join(map(str, names)), partial(_listed, tuple(names)))


def strung(separator: str, parts: Sequence[object]) -> Message:
    """Parts of a line, as in `20 runs · 4 seeds`; each is said for itself."""
    return Phrase(separator.join(map(str, parts)), partial(_strung, separator, tuple(parts)))


def sentences(*parts: object) -> Message:
    """Sentences one after the other, without those that are empty."""
    full = tuple(part for part in parts if part)
    return Phrase(" ".join(map(str, full)), partial(_sentences, full))


def closed_up(said: str) -> str:
    """Sentences without spaces after full stops of East Asian type, which end with the space that follows."""
    return re.sub(r"(?<=[。！？：；]) ", "", said)


def capitalised(phrase: str) -> Message:
    """At the beginning of a sentence."""
    return Phrase(f"{phrase[:1].upper()}{phrase[1:]}", partial(_capitalised, phrase))


def own_name(language: str) -> str:
    """What a language calls itself: `English`, `中文`."""
    from babel import Locale

    return Locale.parse(language).get_language_name(language) or language


def within(title: str) -> Message:
    """A title within a sentence: `Routing entropy` becomes `routing entropy`."""
    return Phrase(_lowered(title), partial(_within, title))


def unended(sentence: str) -> Message:
    """A sentence without its full stop, to be continued."""
    return Phrase(_without_stop(sentence), partial(_unended, sentence))


def stored(sentence: str) -> Message:
    """A sentence of ours from a row or a log, of which only the English text is left."""
    return sentence if isinstance(sentence, Message) else Phrase(sentence, partial(recalled, sentence))


def _joined(names: Sequence[object], word: Literal["or", "and"]) -> Message:
    words = [str(name) for name in names]
    english = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {word} {words[-1]}" if words else ""
    return Phrase(english, partial(_in_list, tuple(names), "or" if word == "or" else "standard"))


def _in_list(names: tuple[object, ...], style: Literal["or", "standard"], language: str) -> str:
    from babel.lists import format_list

    words = [str(translated(name, language)) for name in names]
    joiners = format_list([_PLACE] * len(words), style=style, locale=language).split(_PLACE)[1:]
    return "".join(
        f"{word}{_spaced(word, joiner, after)}"
        for word, joiner, after in zip(words, joiners, [*words[1:], ""][: len(words)], strict=True)
    )


def _spaced(before: str, joiner: str, after: str) -> str:
    """A joiner with spaces between a Chinese word and Latin letters or digits, which the CLDR leaves out."""
    if joiner not in ("和", "或"):
        return joiner
    return f"{' ' if _LATIN.match(before[-1:]) else ''}{joiner}{' ' if _LATIN.match(after) else ''}"


def _listed(names: tuple[object, ...], language: str) -> str:
    comma = "、" if language.startswith(("zh", "ja")) else ", "  # the CLDR has lists with "and" alone
    return comma.join(str(translated(name, language)) for name in names)


def _with_unit(amount: str, unit: str, length: Literal["short", "long"], language: str) -> str:
    from babel.units import format_unit

    number = float(amount.replace(",", ""))
    return format_unit(number, f"duration-{unit}", length, locale=language)


def _delta(seconds: float, language: str) -> str:
    from babel.dates import format_timedelta

    return format_timedelta(timedelta(seconds=seconds), threshold=1, locale=language)


def _day_and_time(local: datetime, language: str) -> str:
    from babel.dates import format_skeleton

    return f"{format_skeleton('MMMd', local, locale=language)} {local:%H:%M:%S}"


def _share(part: float, digits: int, language: str) -> str:
    from babel.numbers import format_percent

    return format_percent(part, f"0.{'0' * digits}%" if digits else "0%", locale=language)


def _strung(separator: str, parts: tuple[object, ...], language: str) -> str:
    return str(translated(separator, language)).join(str(translated(part, language)) for part in parts)


def _sentences(parts: tuple[object, ...], language: str) -> str:
    said = [str(translated(part, language)) for part in parts]
    return closed_up(" ".join(said))


def _capitalised(phrase: str, language: str) -> str:
    said = str(translated(phrase, language))
    return f"{said[:1].upper()}{said[1:]}"


def _within(title: str, language: str) -> str:
    return _lowered(str(translated(title, language)))


def _unended(sentence: str, language: str) -> str:
    return _without_stop(str(translated(sentence, language)))


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _without_stop(text: str) -> str:
    return text.removesuffix(".").removesuffix("。")
