"""The filter of lists of runs: `status:failed env:CartPole tag:paper seed:1 -tag:old "two words" promising`.

Terms are separated by blanks, and a run must satisfy all of them. A word without a field is searched in everything
that people wrote or chose about a run. Pure functions.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from v3core.errors import V3Error
from v3core.messages import _
from v3core.phrases import listed, sentences
from v3core.store.run_row import RunRow
from v3core.store.schema import Status

_TERM = re.compile(r"""(?P<minus>-?)(?:(?P<field>[^\s":]+):)?(?P<value>"[^"]*"|[^\s"]*)(?=\s|$)""")
_ID_CHARACTERS = 4
"""Fewer would be in an id by chance."""
_SHOWN = 40


class FilterError(V3Error):
    """A filter cannot be read; the message names the word."""


@dataclass(frozen=True)
class Term:
    """One condition of a filter."""

    field: str
    """One of `FIELDS`; empty for a word that is searched everywhere."""
    value: str
    """In lower case."""
    excluded: bool
    """Whether runs that satisfy it are left out."""

    def matches(self, run: RunRow) -> bool:
        """Whether the filter keeps a run, as far as this term is concerned."""
        found = FIELDS[self.field].matches(run, self.value) if self.field else _anywhere(run, self.value)
        return found is not self.excluded


@dataclass(frozen=True)
class Field:
    """What can be written before a colon."""

    meaning: str
    matches: Callable[[RunRow, str], bool]
    """Given a run and a value in lower case."""
    check: Callable[[str], str | None] = lambda _: None
    """Why a value makes no sense: the end of a sentence that begins with the term; None if it does."""


def _contains(name: str) -> Callable[[RunRow, str], bool]:
    return lambda run, value: value in str(getattr(run, name) or "").lower()


def _has_tag(run: RunRow, value: str) -> bool:
    return value in (run.tags or "").lower().split()


def _check_status(value: str) -> str | None:
    if value in set(Status):
        return None
    near = get_close_matches(value, list(Status), n=1)
    hint = (
        _("did you mean status:{near}?", near=near[0])
        if near
        else _("choose one of {status}.", status=listed(list(Status)))
    )
    return _("names no status; {hint}", hint=hint)


def _check_seed(value: str) -> str | None:
    return None if value.isascii() and value.isdigit() else _("needs a whole number, as in seed:1.")


FIELDS: Mapping[str, Field] = {
    "status": Field(_("Status, as in `status:failed`."), lambda run, value: run.status == value, _check_status),
    "env": Field(_("Part of the environment's id."), _contains("env")),
    "curriculum": Field(_("Part of the curriculum's name."), _contains("curriculum")),
    "tag": Field(_("A whole tag."), _has_tag),
    "seed": Field(_("The seed."), lambda run, value: run.seed == int(value), _check_seed),
    "experiment": Field(_("Part of the experiment's name."), _contains("experiment")),
    "name": Field(_("Part of the run's name."), _contains("name")),
    "note": Field(_("Part of the notes."), _contains("notes")),
    "phase": Field(_("Part of the name of the phase that the run is in."), _contains("phase")),
    "id": Field(_("Beginning of the id."), lambda run, value: run.id.startswith(value)),
}
"""By name, in the order in which they are documented."""


def parse_filter(text: str) -> tuple[Term, ...]:
    """The terms of a filter; none for a blank one.

    Raises:
        FilterError: if it cannot be read; the message names the word.
    """
    terms, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise FilterError(_unreadable(text[at:]))
        terms.append(_term(found))
        at = found.end()
        at += len(text[at:]) - len(text[at:].lstrip())
    return tuple(terms)


def _unreadable(rest: str) -> str:
    word = rest.split()[0]
    if rest.count('"') % 2:
        return _("The filter cannot be read at {named}: a quotation mark is not closed.", named=_named(word))
    return _(
        'The filter cannot be read at {named}: write quotes around a whole value, as in env:"a b".', named=_named(word)
    )


def _term(found: re.Match[str]) -> Term:
    word = found[0]
    field, value = (found["field"] or "").lower(), found["value"].strip('"').lower()
    if found["field"] is not None and field not in FIELDS:
        near = get_close_matches(field, FIELDS, n=1)
        known = (
            _("did you mean {near}:?", near=near[0]) if near else _("known are {fields}.", fields=listed(list(FIELDS)))
        )
        quotes = "" if near else _("Write quotes around a word with a colon.")
        no_field = _(
            'The filter cannot be read at {word}: there is no field "{field}"; {known}',
            word=_named(word),
            field=field[:_SHOWN],
            known=known,
        )
        raise FilterError(sentences(no_field, quotes))
    if not value:
        what = _("a value is missing after the colon") if field else _("a word is missing")
        raise FilterError(_("The filter cannot be read at {named}: {what}.", named=_named(word), what=what))
    if field and (problem := FIELDS[field].check(value)):
        raise FilterError(_("The filter cannot be read at {named}: it {problem}", named=_named(word), problem=problem))
    return Term(field, value, excluded=found["minus"] == "-")


def _named(word: str) -> str:
    return f"“{word if len(word) <= _SHOWN else word[:_SHOWN] + '…'}”"


def matches(terms: tuple[Term, ...], run: RunRow) -> bool:
    """Whether a run satisfies all terms."""
    return all(term.matches(run) for term in terms)


def _anywhere(run: RunRow, word: str) -> bool:
    searched = (run.name, run.env, run.curriculum, run.experiment, run.tags, run.notes)
    if any(word in text.lower() for text in searched if text):
        return True
    return len(word) >= _ID_CHARACTERS and run.id.startswith(word)
