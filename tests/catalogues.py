"""The catalogues of `v3core/locale`, brought up to date with the code: `make messages`, which is this.

Messages are the texts given to `_`, `say`, `several` and `md`, the help of commands, and what click says. New ones are
added without a translation, and those that the code no longer has are dropped. `tests/test_catalogues.py` fails until
each is translated.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from v3core.cli import commands
from v3core.cli.help_words import CLICK, help_texts
from v3core.errors import V3Error
from v3core.messages import DOMAIN, LOCALE
from v3core.places import PlaceError

ROOT = Path(__file__).resolve().parents[1]
ERRORS = ("V3Error", *sorted({PlaceError.__name__, *(one.__name__ for one in V3Error.__subclasses__())}))
KEYWORDS: dict[str, Any] = dict.fromkeys(("_", "say", "md", "unseen", *ERRORS)) | {"several": (1, 2)}
OF_CLICK: dict[str, Any] = {"_": None, "ngettext": (1, 2)}
FILES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py")), *sorted((ROOT / "v3core").rglob("*.py"))]
WIDTH = 120


def extracted() -> Catalog:
    """The messages of the code, each with the files that say it."""
    catalog = Catalog(domain=DOMAIN, charset="utf-8")
    for path in FILES:
        for message in found_in(path.read_bytes()):
            catalog.add(message, locations=[(str(path.relative_to(ROOT)), 0)])
    for text in help_texts(commands):
        catalog.add(text, locations=[("v3core/cli", 0)])
    for module in CLICK:
        for message in found_in(Path(str(module.__file__)).read_bytes(), OF_CLICK):
            catalog.add(message, locations=[("click", 0)])
    return catalog


def found_in(source: bytes, keywords: dict[str, Any] = KEYWORDS) -> Iterator[str | tuple[str, ...]]:
    """The messages of one file."""
    for _line, message, _comments, _context in extract("python", io.BytesIO(source), keywords=keywords):
        if has_words(message):
            yield message


def has_words(message: str | tuple[str, ...]) -> bool:
    """Whether there is something to translate beside values, icons and colours."""
    whole = message if isinstance(message, str) else " ".join(message)
    if re.fullmatch(r"(\{\w*\}|[ ,;:().])+", whole) and re.search(r"[,;(]|[:.] |[:.]$", whole):
        return True  # punctuation, which Chinese has others for
    return re.search(r"[^\W\d_]{2}", re.sub(r"\{[^{}]*\}|:[a-z]+/[a-z_]+:|:[a-z-]+(?=\[)", "", whole)) is not None


def is_translated(message: Message) -> bool:
    """Whether each of its forms is."""
    forms = message.string if isinstance(message.string, tuple | list) else [message.string]
    return bool(forms) and all(forms)


def sources() -> list[Path]:
    """The catalogue of each language."""
    return sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def read(path: Path) -> Catalog:
    """A catalogue from its file."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3])


def written(catalog: Catalog) -> bytes:
    """A catalogue as its file has it: without line numbers, which change with every edit of the code."""
    target = io.BytesIO()
    write_po(
        target, catalog, width=WIDTH, sort_output=True, omit_header=False, include_lineno=False, ignore_obsolete=True
    )
    return target.getvalue()


def main() -> None:
    """Bring each catalogue up to date."""
    for path in sources():
        catalog = read(path)
        catalog.update(extracted(), no_fuzzy_matching=True)
        path.write_bytes(written(catalog))
        missing = sum(1 for message in catalog if message.id and not is_translated(message))
        print(f"{path.parts[-3]}: {len(catalog)} messages, {missing} without a translation")


if __name__ == "__main__":
    main()
