"""What the kills cost, as the table of docs/reliability.md."""

import os
import statistics
from collections.abc import Sequence

from tests.faults.board import BETWEEN, PHASES
from tests.faults.kills import Kill

COMMAND = "V3_FAULTS={count} V3_FAULTS_SEED={seed} python -m pytest -s tests/faults/test_kills.py"


def table_of(kills: Sequence[Kill], seed: int) -> str:
    """Markdown: one row per phase that was hit, and one for all; medians and worst values."""
    lines = [
        f"{len(kills)} kills, seed {seed}, {os.cpu_count()} cores: `{COMMAND.format(count=len(kills), seed=seed)}`",
        "",
        "| Hit | Kills | Episodes lost | Age of the oldest lost, ms | `lost` after, ms | trains again after, ms |",
        "|---|---|---|---|---|---|",
    ]
    rows = [(phase, [kill for kill in kills if phase in kill.hit]) for phase in (*PHASES, BETWEEN)]
    columns: tuple[list[float], ...]
    for name, hit in [*rows, ("all", list(kills))]:
        if not hit:
            continue
        columns = (
            [kill.lost for kill in hit],
            [kill.lost_ms for kill in hit],
            [kill.status_ms for kill in hit],
            [kill.resumed_ms for kill in hit],
        )
        lines.append(f"| {name} | {len(hit)} | " + " | ".join(map(_median_and_worst, columns)) + " |")
    changed = sum(kill.after < kill.before for kill in kills)
    lines += ["", f"Committed episodes gone: {changed}. Kills at a flush count under the training phase too."]
    return "\n".join(lines)


def _median_and_worst(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} / {max(values):,.0f}"
