"""Errors that a user can fix."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from v3core.messages import Message, _
from v3core.phrases import one_of


class V3Error(Exception):
    """A mistake that the user can fix, in one sentence: what is wrong and what to do.

    Pages show the sentence next to the field, the command line prints it on stderr and exits non-zero. It is a template
    and its values, as `_` takes them: `V3Error("There is no run {run}.", run=run_id)`.
    """

    def __init__(self, sentence: str, /, **values: object):
        if isinstance(sentence, Message) and values:  # a template in `_`, and its values beside it
            sentence = Message(sentence.template, {**sentence.values, **values}, sentence.templates)
        self.message = sentence if isinstance(sentence, Message) else Message(sentence, values)
        super().__init__(self.message)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`Did you mean A, B or C?` with the nearest of the known names, case ignored; empty if none is near."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, cutoff=0.5)
    return _("Did you mean {either}?", either=one_of([by_lower[name] for name in found])) if found else ""


def explain(error: ValidationError, subject: str) -> str:
    """The first problem as one sentence that names the field of `subject`, e.g. `Curriculum file v3.yaml`."""
    first = error.errors()[0]
    kind, where, value = first["type"], _place(first["loc"]), first["input"]
    message = reason_of(error)
    if kind == "value_error":
        return message if message[0].isupper() else _("{subject}: {problem}", subject=subject, problem=message)
    message = f"{message[0].lower()}{message[1:]}."
    shown = repr(value) if isinstance(value, str | int | float | bool) or value is None else _("of the wrong type")
    known = {
        "extra_forbidden": _("{where} is not a known key; check the spelling.", where=where),
        "missing": _("{where} is missing.", where=where),
        "too_short": _("{where} is empty; give at least one value.", where=where),
        "json_invalid": message,
    }
    if needed := _needed(kind, first.get("ctx", {})):
        known[kind] = _("{where} is {shown}; it must be {needed}.", where=where, shown=shown, needed=needed)
    otherwise = _("{where} is {shown}; {message}", where=where, shown=shown, message=message)
    return _("{subject}: {problem}", subject=subject, problem=known.get(kind, otherwise))


def reason_of(error: ValidationError) -> str:
    """What its first problem is: what a validator of ours said, as the message that it is, else in pydantic's words."""
    first = error.errors()[0]
    raised = first.get("ctx", {}).get("error")
    said = raised.args[0] if isinstance(raised, ValueError) and raised.args else None
    return said if isinstance(said, Message) else first["msg"].removeprefix("Value error, ")


def _needed(kind: str, values: Mapping[str, Any]) -> str | None:
    """What pydantic asks for in an error of a kind; None if only its own words say it."""
    if kind in {"literal_error", "enum"}:
        return one_of(re.split(", | or ", values["expected"]))
    return _NEEDED[kind].filled(**values) if kind in _NEEDED else None


_LIST, _MAPPING, _WHOLE, _NUMBER, _SWITCH = (
    _("a list"),
    _("a mapping"),
    _("a whole number"),
    _("a number"),
    _("true or false"),
)
_NEEDED: dict[str, Message] = {
    "greater_than": _("greater than {gt}"),
    "greater_than_equal": _("at least {ge}"),
    "less_than": _("less than {lt}"),
    "less_than_equal": _("at most {le}"),
    "finite_number": _("a finite number"),
    "string_type": _("a text"),
    "string_too_short": _("a text of at least {min_length} characters"),
    "string_too_long": _("a text of at most {max_length} characters"),
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "mapping_type": _MAPPING,
}
"""What pydantic asks for, by the type of its error, with the names of its values: its own words are English."""


@contextmanager
def explained(subject: str) -> Iterator[None]:
    """Makes a pydantic error of its block a V3Error, as `explain` writes it."""
    try:
        yield
    except ValidationError as error:
        raise V3Error(explain(error, subject)) from None


def _place(location: tuple[int | str, ...]) -> str:
    """`phases.0.until.episode` as `'until.episode' of phase 1`: list places count from 1."""
    keys = list(location)
    if len(keys) > 1 and keys[0] == "phases" and isinstance(keys[1], int):
        phase = _("phase {value}", value=keys[1] + 1)
        inner = ".".join(str(part) for part in keys[2:])
        return _("'{inner}' of {phase}", inner=inner, phase=phase) if inner else phase
    return f"'{'.'.join(str(part) for part in keys)}'"
