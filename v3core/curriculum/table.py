"""A curriculum as rows of text, one per phase, as an editor shows it, and the errors of each row."""

import re
from dataclasses import dataclass, field, make_dataclass
from typing import Any

from v3core.curriculum.fit import fit_problem
from v3core.curriculum.knobs import FROM_RECIPE, KNOBS, MAX_EXPERTS, Routing, TopKWeights
from v3core.curriculum.length import Length
from v3core.curriculum.model import Architecture, Curriculum, Phase, order_problem
from v3core.curriculum.typed import format_end, format_value, parse_end, parse_value
from v3core.curriculum.until import Until
from v3core.environment_setup import format_args, parse_args, split
from v3core.errors import V3Error, explained
from v3core.messages import _

COMMON = ("name", "until", "routing", *FROM_RECIPE)
"""The columns that every editor shows."""
FURTHER = ("top_k", "top_k_weights", *(knob for knob in KNOBS if knob not in FROM_RECIPE), "env", "env_args")
"""The columns that an editor shows where a curriculum uses them, or on demand."""
SETTINGS = (*COMMON[1:], *FURTHER)
"""All settings of a phase except its name."""


_KnobTexts: Any = make_dataclass(
    "_KnobTexts", [(knob, str, field(default="")) for knob in KNOBS], frozen=True, kw_only=True
)


@dataclass(frozen=True)
class PhaseRow(_KnobTexts):  # type: ignore[misc]  # its fields follow from the table of knobs
    """One phase as typed: the fields below, and a text for each knob. Empty text inherits."""

    name: str
    until: str = ""
    """Empty for the last phase."""
    routing: Routing | None = None
    top_k: str = ""
    top_k_weights: TopKWeights | None = None
    env: str = ""
    env_args: str = ""


@dataclass(frozen=True)
class Checked:
    """The result of parsing a table: a curriculum, or row index to one sentence for each invalid row."""

    curriculum: Curriculum | None
    problems: dict[int, str] = field(default_factory=dict)


def to_rows(curriculum: Curriculum) -> list[PhaseRow]:
    """One row per phase."""
    return [
        PhaseRow(
            name=phase.name,
            until=format_end(phase.until),
            routing=phase.routing,
            top_k="" if phase.top_k is None else str(phase.top_k),
            top_k_weights=phase.top_k_weights,
            env=phase.env or "",
            env_args=format_args(phase.env_args or {}),
            **{knob: format_value(getattr(phase, knob)) for knob in KNOBS},
        )
        for phase in curriculum.phases
    ]


def further_in_use(rows: list[PhaseRow]) -> tuple[str, ...]:
    """The further columns that some row fills."""
    return tuple(name for name in FURTHER if any(getattr(row, name) for row in rows))


def end_of(row: PhaseRow) -> Until | None:
    """The row's end, or None if it has none or it cannot be parsed."""
    try:
        return parse_end(row.until)
    except V3Error:
        return None


def from_rows(
    rows: list[PhaseRow],
    *,
    name: str,
    episodes: int,
    steps: int | None = None,
    description: str = "",
    policy: Architecture | None = None,
) -> Checked:
    """The curriculum that the rows spell, for a run of this length; or each wrong row's first problem."""
    problems: dict[int, str] = {}
    phases: list[Phase] = []
    for index, row in enumerate(rows):
        last = index == len(rows) - 1
        try:
            phase = _phase(row, last)
            problem = order_problem(phases, phase, last=last) or fit_problem(index + 1, phase, episodes, steps)
        except V3Error as error:
            problem = error.message
            # Its end counts for those after it.
            phase = Phase.model_construct(name=row.name, until=None if last else end_of(row))
        phases.append(phase)
        if problem:
            problems[index] = problem
    if problems or not phases:
        return Checked(None, problems)
    try:
        with explained(_("Curriculum")):
            written_for = None if Length(episodes, steps).is_by_steps else episodes
            curriculum = Curriculum(
                name=name, description=description, episodes=written_for, policy=policy, phases=tuple(phases)
            )
    except V3Error as error:
        return Checked(None, {len(rows) - 1: error.message})
    return Checked(curriculum)


def parse_setting(key: str, text: str | None) -> Any:
    """One setting of a phase as typed, None for an empty field; raises a V3Error if it cannot be read."""
    if key in KNOBS:
        return parse_value(text or "", key)
    if key == "until":
        return parse_end(text or "")
    if key == "env_args":
        return parse_args(split(text or "")) or None
    text = (text or "").strip()
    if key != "top_k" or not text:
        return text or None
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= MAX_EXPERTS:
        raise V3Error(
            "Top k '{text}' must be a whole number from 1 to {max_experts}.", text=text, max_experts=MAX_EXPERTS
        )
    return int(text)


def _phase(row: PhaseRow, last: bool) -> Phase:
    values = {key: parse_setting(key, getattr(row, key)) for key in SETTINGS if key != "until"}
    if not row.name.strip():
        raise V3Error("This phase has no name; give it one.")
    with explained(_("Phase")):
        return Phase(name=row.name, until=None if last else parse_end(row.until), **values)
