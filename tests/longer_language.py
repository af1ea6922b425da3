"""A third language, made of one file: every text is longer by two fifths, as texts of other languages can be."""

import re
from pathlib import Path

from tests import catalogues

CODE = "de"
MORE = 0.4
LETTER = "ö"
"""Which no text of ours has, and no Markdown."""
_KEPT = re.compile(r"(\{[^{}]*\}|`[^`]*`|:[a-z]+/[a-z_]+:|:[a-z-]+(?=\[)|(?<=\])\([^)]*\)|\w+://\S+|%\(\w+\)\w)")
"""Values, code, icons, colours and addresses."""


def longer(text: str) -> str:
    """A text each of whose words is longer; together they have two fifths more letters, one at least."""
    owed = 1.0

    def lengthened(word: re.Match[str]) -> str:
        nonlocal owed
        owed += MORE * len(word[0])
        more = int(owed)
        owed -= more
        return word[0] + more * LETTER

    pieces = _KEPT.split(text)
    return "".join(
        piece if place % 2 else re.sub(r"[^\W\d_]+", lengthened, piece) for place, piece in enumerate(pieces)
    )


def write_longer(folder: Path) -> Path:
    """The file of that language in a folder of languages, which then has no other."""
    source = catalogues.sources()[0]
    catalog = catalogues.read(source)
    catalog.locale = CODE
    for message in catalog:
        if message.id:
            forms = (message.id,) if isinstance(message.id, str) else message.id
            said = tuple(map(longer, forms))
            message.string = said[0] if isinstance(message.id, str) else said
    target = folder / CODE / "LC_MESSAGES" / source.name
    target.parent.mkdir(parents=True)
    target.write_bytes(catalogues.written(catalog))
    return target
