"""A curriculum as rows of text, one per phase: what an editor shows, and what is wrong with which row."""

from dataclasses import dataclass, field

from pydantic import ValidationError

from v3core.curriculum.edit import check_fits
from v3core.curriculum.model import KNOBS, Curriculum, Phase, Routing, Until, Value
from v3core.curriculum.text import format_value, parse_value
from v3core.errors import V3Error, explain


@dataclass(frozen=True)
class PhaseRow:
    """One phase as typed. Empty text inherits; `until` is None for the last phase."""

    name: str
    until: int | None
    routing: Routing | None
    temperature: str = ""
    lr: str = ""
    load_balance: str = ""
    entropy: str = ""


@dataclass(frozen=True)
class Checked:
    """What came of a table: a curriculum, or the problem of each row that is wrong."""

    curriculum: Curriculum | None
    problems: dict[int, str] = field(default_factory=dict)
    """Row index to one sentence."""


def to_rows(curriculum: Curriculum) -> list[PhaseRow]:
    """One row per phase."""
    return [
        PhaseRow(
            name=phase.name,
            until=phase.until.episode if phase.until else None,
            routing=phase.routing,
            **{knob: format_value(getattr(phase, knob)) for knob in KNOBS},
        )
        for phase in curriculum.phases
    ]


def from_rows(rows: list[PhaseRow], *, name: str, episodes: int, description: str = "") -> Checked:
    """The curriculum that the rows spell, for a run of `episodes`; or each wrong row's first problem."""
    problems: dict[int, str] = {}
    phases: list[Phase] = []
    names: dict[str, int] = {}
    previous_end = 0
    for index, row in enumerate(rows):
        last = index == len(rows) - 1
        try:
            phase = _phase(row, last)
            if phase.name in names:
                raise V3Error(f"Phase {names[phase.name] + 1} is named '{phase.name}' too; rename one of them.")
            names[phase.name] = index
            if phase.until is not None:
                _check_end(index, rows, phase.until.episode, previous_end, episodes)
                previous_end = phase.until.episode
            phases.append(phase)
        except V3Error as error:
            problems[index] = str(error)
            previous_end = max(previous_end, row.until or 0)
    if problems or not phases:
        return Checked(None, problems)
    try:
        curriculum = Curriculum(name=name, description=description, episodes=episodes, phases=tuple(phases))
        check_fits(curriculum, episodes)
    except ValidationError as error:
        return Checked(None, {len(rows) - 1: explain(error, "Curriculum")})
    except V3Error as error:
        return Checked(None, {len(rows) - 1: str(error)})
    return Checked(curriculum)


def _phase(row: PhaseRow, last: bool) -> Phase:
    values: dict[str, Value | None] = {knob: parse_value(getattr(row, knob), knob) for knob in KNOBS}
    if not row.name.strip():
        raise V3Error("This phase has no name; give it one.")
    if not last and row.until is None:
        raise V3Error("Only the last phase may leave its end out; say at which episode this one ends.")
    until = None if last or row.until is None else Until(episode=max(row.until, 1))
    if not last and row.until is not None and row.until < 1:
        raise V3Error(f"A phase cannot end at episode {row.until}; choose 1 or later.")
    try:
        return Phase(name=row.name, until=until, routing=row.routing, **values)
    except ValidationError as error:
        raise V3Error(explain(error, "Phase")) from None


def _check_end(index: int, rows: list[PhaseRow], end: int, previous_end: int, episodes: int) -> None:
    if end <= previous_end:
        raise V3Error(
            f"This phase ends at episode {end}, but phase {index} '{rows[index - 1].name}' ends at {previous_end}; "
            f"choose {previous_end + 1} or later."
        )
    if end >= episodes:
        raise V3Error(
            f"This phase ends at episode {end}, but the run has only {episodes}; end it earlier or train longer."
        )
