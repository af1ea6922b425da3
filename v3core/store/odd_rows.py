"""Rows that make no sense: what is odd of a run's, and values in its place that harm nobody.

SQLite takes any value in any column, and other programs write to the database too. A page or a queue that works on such
a row as it is would fail for all runs because of one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from v3core.config import MAX_EPISODES
from v3core.rollup import Floats
from v3core.store.schema import HIDDEN, STORED, UNREADABLE_TIME, Status

_MOST_EXPERTS = 10_000
_INTEGER = 2**63 - 1
_SHOWN = 40
"""Characters of an odd value."""


@dataclass(frozen=True)
class _Text:
    required: bool = True

    def fits(self, value: Any) -> bool:
        return isinstance(value, str)

    def instead(self, value: Any) -> str | None:
        return str(value) if self.required else None

    def __str__(self) -> str:
        return "a text"


@dataclass(frozen=True)
class _Whole:
    least: int = 0
    most: int = _INTEGER
    required: bool = True

    def fits(self, value: Any) -> bool:
        return isinstance(value, int) and self.least <= value <= self.most

    def instead(self, _: Any) -> int | None:
        return max(self.least, 0) if self.required else None

    def __str__(self) -> str:
        bounds = f"of {self.least:,} or more" if self.most == _INTEGER else f"from {self.least:,} to {self.most:,}"
        return f"a whole number {bounds}"


@dataclass(frozen=True)
class _Number:
    least: float = -math.inf
    required: bool = False

    def fits(self, value: Any) -> bool:
        return isinstance(value, int | float) and value >= self.least

    def instead(self, _: Any) -> None:
        return None

    def __str__(self) -> str:
        return "a number" if self.least == -math.inf else f"a number of {self.least:g} or more"


@dataclass(frozen=True)
class _Time:
    required: bool = False

    def fits(self, value: Any) -> bool:
        return isinstance(value, datetime) and value != UNREADABLE_TIME

    def instead(self, _: Any) -> datetime | None:
        return datetime(1970, 1, 2, tzinfo=UTC) if self.required else None

    def __str__(self) -> str:
        return "a time"


_Rule = _Text | _Whole | _Number | _Time
_MAYBE_TEXT = _Text(required=False)
RULES: dict[str, _Rule] = {
    **dict.fromkeys(("id", "name", "env", "curriculum", "config_json"), _Text()),
    **dict.fromkeys(("phase", "experiment", "tags", "notes", "reason", "traceback", "webhook", "host"), _MAYBE_TEXT),
    **dict.fromkeys(("machine", "boot_id", "pid_namespace", "device", "launch_json", "sees"), _MAYBE_TEXT),
    **dict.fromkeys(("seed", "episode", "step", "generation"), _Whole()),
    "episodes": _Whole(least=1, most=MAX_EPISODES),
    "experts": _Whole(least=1, most=_MOST_EXPERTS),
    "priority": _Whole(least=-_INTEGER),
    "pid": _Whole(least=1, required=False),
    **dict.fromkeys(("latest_return", "mean_return", "pid_started"), _Number()),
    **dict.fromkeys(("steps_per_second", "episodes_per_second"), _Number(least=0)),
    **dict.fromkeys(("heartbeat_at", "heartbeat_due_at", "rollout_at", "started_at", "ended_at"), _Time()),
    **dict.fromkeys(("created_at", "queued_at"), _Time(required=True)),
}
"""What each field of a `RunRow` must be; `status` aside."""

_STATUSES = STORED | {HIDDEN}


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run's row, as they are if they make sense.

    Else the status is `unreadable`, the reason says in one sentence what is odd, and what is odd has a value in its
    place with which one can go on.
    """
    odd = [name for name, rule in RULES.items() if not _fits(rule, values[name])]
    if values["status"] in _STATUSES and not odd:
        return dict(values)
    problems = [f"{name} is {_shown(values[name])}, not {RULES[name]}" for name in odd]
    if values["status"] not in _STATUSES:
        problems.insert(0, f"status is {_shown(values['status'])}, which V3 Lab does not know")
    return {
        **values,
        **{name: RULES[name].instead(values[name]) for name in odd},
        "status": Status.UNREADABLE,
        "reason": f"Its row in the database makes no sense: {'; '.join(problems)}.",
    }


def floats(values: Sequence[Any]) -> Floats:
    """Numbers of rows, or tuples of numbers, as an array; None and what is no number become NaN."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array([_float(value) if not _is_row(value) else list(map(_float, value)) for value in values])


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _fits(rule: _Rule, value: Any) -> bool:
    return not rule.required if value is None else rule.fits(value)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return "unreadable"
    text = "empty" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
