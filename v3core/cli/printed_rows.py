"""Tables on the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from v3core.messages import Message, translated
from v3core.output import echo, padded, width

if TYPE_CHECKING:
    from v3core.comparison.tables import Row


def echo_rows(title: Message, rows: Sequence["Row"], *, left: int = 1) -> None:
    """A table under its title, after an empty line; its first `left` columns are names, all others numbers."""
    from v3core.comparison.tables import as_text  # statistics, which few commands need

    texts = as_text(rows)
    lines = [[str(translated(cell)) for cell in line] for line in (texts[0], *(row.values() for row in texts))]
    wide = [max(map(width, column)) for column in zip(*lines, strict=True)]
    echo(f"\n{translated(title)}")
    for line in lines:
        cells = [
            padded(cell, columns, right=place >= left)
            for place, (cell, columns) in enumerate(zip(line, wide, strict=True))
        ]
        echo("  ".join(cells).rstrip())
