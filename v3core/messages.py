"""What V3 Lab says, in the language of who reads it: English in the code, gettext catalogues for the others.

A message is written as its English template with named values. `_` makes one that is said later, by whoever shows it:
errors, reasons, alarms. `say` says one at once. Each is English as a string, so that what is stored, logged and
printed for machines is the same in every language. It still knows its template, the id in the catalogue, and its
values; `recall.py` finds them again in what was stored.
"""

import contextlib
import gettext
import io
import os
import re
import string
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
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
    write_mo(target, read_source(source))
    return target.getvalue()


def read_source(source: Path) -> Any:
    """The catalogue of a .po file."""
    from babel.messages.pofile import read_po

    with source.open("rb") as file:
        return read_po(file)


_HYPHEN = re.compile(r"(?<!\S)-(?=[\d.i∞])")


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
