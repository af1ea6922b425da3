"""The catalogues of `v3core/locale`, brought up to date with the code: `make messages`, which is this.

Messages are the texts given to `_`, `say`, `several` and `md`, the help of commands, and what click says. New ones are
added without a translation, and those that the code no longer has are dropped. `tests/test_catalogues.py` fails until
each is translated.
"""

import ast
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from pydantic import BaseModel

from v3core.claims.statements import claims
from v3core.claims.study import load_study
from v3core.cli import commands
from v3core.cli.help_words import CLICK, help_texts
from v3core.config import RunConfig
from v3core.errors import V3Error
from v3core.messages import DOMAIN, LOCALE
from v3core.overrides import SETTINGS
from v3core.places import PlaceError

ROOT = Path(__file__).resolve().parents[1]
ERRORS = ("V3Error", *sorted({PlaceError.__name__, *(one.__name__ for one in V3Error.__subclasses__())}))
KEYWORDS: dict[str, Any] = dict.fromkeys(("_", "say", "md", "unseen", *ERRORS)) | {"several": (1, 2)}
OF_CLICK: dict[str, Any] = {"_": None, "ngettext": (1, 2)}
FILES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py")), *sorted((ROOT / "v3core").rglob("*.py"))]
FILES.append(ROOT / "tests" / "docs.py")  # the tables of the documentation
WIDTH = 120


def extracted() -> Catalog:
    """The messages of the code, each with the files that say it."""
    catalog = Catalog(domain=DOMAIN, charset="utf-8")
    for path in FILES:
        for message in found_in(path.read_bytes()):
            catalog.add(message, locations=[(str(path.relative_to(ROOT)), 0)])
    for text, file in texts_of_files():
        catalog.add(text, locations=[(file, 0)])
    for text, file in texts_of_settings():
        catalog.add(text, locations=[(file, 0)])
    for text in help_texts(commands):
        catalog.add(text, locations=[("v3core/cli", 0)])
    for module in CLICK:
        for message in found_in(Path(str(module.__file__)).read_bytes(), OF_CLICK):
            catalog.add(message, locations=[("click", 0)])
    return catalog


def texts_of_files() -> Iterator[tuple[str, str]]:
    """Messages that are no code: what claims, studies, presets and recipes say, each with its file."""
    for claim in claims().values():
        for text in filter(None, (claim.title, claim.english, claim.sources, claim.measured, claim.standing)):
            yield text, "data/claims.yaml"
    for folder, key in (("curricula", "description"), ("recipes", "note")):
        for path in sorted((ROOT / "data" / folder).glob("*.yaml")):
            yield yaml.safe_load(path.read_text(encoding="utf-8"))[key], str(path.relative_to(ROOT))
    for path in sorted((ROOT / "data" / "experiments").glob("*.yaml")):
        study = load_study(path.stem)
        notes = (text for one in study.expectations for text in (one.note, one.changed))
        for text in (study.question, *(arm.name for arm in study.arms), *notes, *study.remarks):
            if has_words(text):
                yield text, str(path.relative_to(ROOT))


def texts_of_settings() -> Iterator[tuple[str, str]]:
    """What fields of settings are called and mean, each with its file."""
    for setting in SETTINGS.values():
        for text in filter(has_words, (setting.title, setting.meaning)):
            yield text, "v3core/overrides.py"
    for text in filter(has_words, meanings(RunConfig)):
        yield text, "v3core/config.py"


def meanings(model: type[BaseModel]) -> Iterator[str]:
    """The docstrings of a model's fields that are shown with a run's settings, on one line each."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from meanings(field.annotation) if name != "curriculum" else ()
        elif field.description:
            yield " ".join(field.description.split())


def found_in(source: bytes, keywords: Mapping[str, Any] = KEYWORDS) -> Iterator[str | tuple[str, ...]]:
    """The messages of one file, in the order of its lines; also those within others, which Babel's reader misses."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and called(node) in keywords]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        texts = [ast.literal_eval(one) for one in call.args[: len(keywords[called(call)] or (1,))] if is_text(one)]
        message = tuple(texts) if texts[1:] else next(iter(texts), "")
        if has_words(message):
            yield message


def called(call: ast.Call) -> str:
    """The name of a function or method, without what it is of."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def is_text(node: ast.expr) -> bool:
    """Whether it is a text without values."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def has_words(message: str | tuple[str, ...]) -> bool:
    """Whether there is something to translate beside values, icons and colours."""
    whole = message if isinstance(message, str) else " ".join(message)
    marks = re.sub(r"\{[^{}]*\}|:[a-z]+/[a-z_]+:|:[a-z-]+(?=\[)", "", whole)
    if re.fullmatch(r"[ ,;:().*'\[\]+−-]*", marks) and re.search(r"[,;(]|[:.]\**( |\]|$)", marks):
        return True  # punctuation, which Chinese has others for
    if re.fullmatch(r"\{[a-z]+(:,)?\} \{[a-z]+\}", whole):
        return True  # an adjective with its noun, which Chinese does not part
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
    dated = (b'"POT-Creation-Date', b'"PO-Revision-Date')  # they change each time, and nothing else
    return b"".join(line for line in target.getvalue().splitlines(keepends=True) if not line.startswith(dated))


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
