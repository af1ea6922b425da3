"""The row of a run: its fields, their validation, and the replacement of invalid values.

SQLite accepts any value in any column, and other programs can write to the database too. Without validation, one
invalid row would break pages and the queue for all runs.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from v3core.config import MAX_EPISODES, MAX_STEPS, RunConfig
from v3core.curriculum import Length
from v3core.errors import V3Error, explain
from v3core.messages import _
from v3core.recall import series
from v3core.store.schema import ACTIVE, STORED, UNLISTED, UNREADABLE_TIME, Status

_MAX_EXPERTS = 10_000
_INTEGER = 2**63 - 1
_SHOWN = 40
"""Characters of an odd value."""


@dataclass(frozen=True)
class RunRow:
    """A run as lists show it. Times are aware and in UTC; a number outside of its bounds makes no sense."""

    id: str
    name: str
    status: str
    """One of `v3core.store.schema.Status`; `unreadable` where the row makes no sense, and then `reason` says why."""
    env: str
    seed: int
    episodes: Annotated[int, 1, MAX_EPISODES]
    """Episodes planned; where steps alone are, a bound that is not reached before them."""
    steps: Annotated[int | None, 1, MAX_STEPS]
    """Environment steps planned, all environments together; None where episodes alone are."""
    episode: int
    """Episodes complete so far."""
    step: int
    """Environment steps of the whole run so far."""
    phase: str | None
    """Name of the phase it is in; None before it trains."""
    latest_return: float | None
    """Return of the newest episode."""
    mean_return: float | None
    """Mean return of the newest `mean_window` episodes of the phase in force, or of all of it if it has fewer."""
    steps_per_second: Annotated[float | None, 0, math.inf]
    """Environment steps per second of the last ten seconds; None while it does not train."""
    episodes_per_second: Annotated[float | None, 0, math.inf]
    """Episodes per second of the newest tenth of its training, at least a minute; see `v3core.store.pace.Pace`."""
    experts: Annotated[int, 1, _MAX_EXPERTS]
    curriculum: str
    """Name of the curriculum in force."""
    experiment: str | None
    """Name of the group it belongs to: runs started together."""
    priority: Annotated[int, -_INTEGER, _INTEGER]
    """Of two runs in the queue the higher starts first, then the older."""
    tags: str | None
    """Words, separated by one blank each."""
    notes: str | None
    reason: str | None
    """Why it stopped, failed or was lost: one sentence."""
    traceback: str | None
    """Where in the program a failure arose; None unless it failed."""
    webhook: str | None
    """State of the webhook request about its end: `due`, `calling`, `called`, `failed`; None if none is needed."""
    generation: int
    """Goes up at each resume; rows read before that may have been replaced."""
    host: str | None
    """The machine's name when the run was started: a label for people."""
    machine: str | None
    boot_id: str | None
    pid_namespace: str | None
    pid: Annotated[int | None, 1, _INTEGER]
    pid_started: float | None
    launcher: str | None
    """What starts it: `local`, `ray`, or the address `ray://HOST:PORT` of a cluster; None: whichever comes first."""
    node: str | None
    """The node of a cluster that its process is on; empty or None on a machine of no cluster."""
    node_address: str | None
    needs_label: str | None
    """A label `KEY=VALUE` of the nodes that may train it."""
    needs_gpus: Annotated[float | None, 0, math.inf]
    """GPUs that it needs on a cluster, or a fraction of one; None: as its device says."""
    max_restarts: int | None
    """How often it is queued again when it is lost; None for never."""
    restarts: int
    """How often that has happened."""
    device: str | None
    """Where its network really computed when it last trained: `cpu`, or `cuda: NVIDIA H100`; None before it trained."""
    sees: str | None
    """What the policy sees and obeys of its environment, and what is not used; None before its first rollout."""
    heartbeat_at: datetime | None
    heartbeat_due_at: datetime | None
    """When the next heartbeat is due."""
    rollout_at: datetime | None
    """When training last came to the end of a rollout; a heartbeat alone does not say that it advances."""
    watched: int | None
    """Complete episodes up to which the rules of alarms were applied as it trained; None if they are not recorded."""
    parent: str | None
    """Full id of the run that it was forked from, which may be deleted by now; None if it is no fork."""
    parent_episode: int | None
    """Complete episodes at the checkpoint that it began with."""
    parent_evaluated: int | None
    """Complete episodes at the newest evaluation before that."""
    trunk: str | None
    """Id of the run that has its records up to there; None if all are its own."""
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    """When it last began to train: at the launch, or at the newest resume."""
    ended_at: datetime | None
    thinned_at: datetime | None
    """When most of its single episodes were dropped; None if all are there."""
    config_json: str = field(repr=False)
    launch_json: str | None = field(repr=False)
    """The saved environment of its worker; see `v3core.jobs.launch`."""

    @property
    def length(self) -> Length:
        """How long it is planned to train."""
        return Length(self.episodes, self.steps)

    @property
    def part(self) -> float:
        """The part of it that is trained, from 0 to 1."""
        return self.length.part(self.episode, self.step)

    @property
    def expected_episodes(self) -> int | None:
        """Episodes of the whole run: those planned or, if its steps end it sooner, as expected from those so far."""
        return self.length.projected_episodes(self.episode, self.step)

    @property
    def progress_words(self) -> str:
        """As in `130 of 800 episodes` or `12,000 of 20,000 steps`."""
        return self.length.reached(self.episode, self.step)

    @property
    def mean_window(self) -> int:
        """Number of episodes in means of the run so far, once the phase in force has that many."""
        return self.length.mean_window(self.episode, self.step)

    @property
    def is_on_cluster(self) -> bool:
        """Whether a cluster trains it, or is to: its files are where every dashboard of its database has them."""
        return self.launcher not in {None, "local"}

    @property
    def has_alarms_recorded(self) -> bool:
        """Whether the table of alarms has its alarms; otherwise they are to be computed."""
        return not self.episode or (self.watched is not None and (self.watched >= self.episode or self.alarms_follow))

    @property
    def alarms_follow(self) -> bool:
        """Whether its worker has yet to apply the rules of alarms to its newest episodes."""
        return self.status in ACTIVE and self.watched is not None and self.watched < self.episode

    @property
    def seconds_left(self) -> float | None:
        """The remaining time at the recent pace; None if unknown, or if the run is not training."""
        left: list[tuple[int, float | None]] = []
        if not self.length.is_by_steps:
            left.append((self.episodes - self.episode, self.episodes_per_second))
        if self.steps is not None:
            left.append((self.steps - self.step, self.steps_per_second))
        known = [max(0, count) / speed for count, speed in left if speed and math.isfinite(speed)]
        return min(known, default=None)

    @property
    def version(self) -> str | None:
        """Of the V3 Lab that launched or resumed it last; None for a run of an earlier one, or from an archive."""
        try:
            return str(json.loads(self.launch_json or "{}").get("version", "")) or None
        except (ValueError, AttributeError):
            return None

    @cached_property
    def config(self) -> RunConfig:
        """What it was launched with.

        Raises:
            V3Error: if that cannot be read.
        """
        return parse_config(self.config_json, _("The configuration of run {id} cannot be read", id=self.id[:8]))

    def to_dict(self) -> dict[str, Any]:
        """For exports, without the configuration."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in LONG_FIELDS}
        return values | {"seconds_left": self.seconds_left, "version": self.version}


def parse_config(text: str, context: str = _("The configuration of a run cannot be read")) -> RunConfig:
    """What a run was launched with, of its JSON.

    Raises:
        V3Error: if it cannot be read; it begins with `context`.
    """
    try:
        return RunConfig.model_validate_json(text)
    except ValidationError as error:
        raise V3Error(explain(error, context)) from None


LONG_FIELDS = {"config_json": "config", "launch_json": "launch"}
"""Fields that are JSON, and their columns."""


@dataclass(frozen=True)
class _Rule:
    """The rule for a field: its annotated type, and bounds for numbers."""

    kind: type
    required: bool
    least: float
    most: float

    @classmethod
    def of(cls, hint: Any) -> "_Rule":
        bounds: tuple[float, ...] = ()
        if get_origin(hint) is Annotated:
            hint, *annotated = get_args(hint)
            bounds = tuple(annotated)
        kinds = get_args(hint) or (hint,)
        kind = next(kind for kind in kinds if kind is not NoneType)
        return cls(kind, NoneType not in kinds, *(bounds or ((0, _INTEGER) if kind is int else (-math.inf, math.inf))))

    def fits(self, value: Any) -> bool:
        if value is None:
            return not self.required
        if self.kind in (int, float):
            return isinstance(value, (int, self.kind)) and self.least <= value <= self.most
        return isinstance(value, self.kind) and value != UNREADABLE_TIME

    def instead(self, value: Any) -> Any:
        if not self.required:
            return None
        if self.kind is str:
            return str(value)
        return max(self.least, 0) if self.kind is int else datetime(1970, 1, 2, tzinfo=UTC)

    def __str__(self) -> str:
        if self.kind is int:
            bounds = (
                _("of {least:,} or more", least=self.least)
                if self.most == _INTEGER
                else _("from {least:,} to {most:,}", least=self.least, most=self.most)
            )
            return _("a whole number {bounds}", bounds=bounds)
        if self.kind is float:
            return "a number" if self.least == -math.inf else _("a number of {least:g} or more", least=self.least)
        return "a text" if self.kind is str else "a time"


RULES = {name: _Rule.of(hint) for name, hint in get_type_hints(RunRow, include_extras=True).items() if name != "status"}
"""What each field of a `RunRow` must be."""


_STATUSES = STORED | {*UNLISTED}


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a run's row, unchanged if they are valid.

    Otherwise the status is `unreadable`, the reason names the problem in one sentence, and invalid values are replaced
    by valid ones.
    """
    odd = [name for name, rule in RULES.items() if not rule.fits(values[name])]
    if values["status"] in _STATUSES and not odd:
        return dict(values)
    problems = [
        _("{name} is {shown}, not {rules}", name=name, shown=_shown(values[name]), rules=RULES[name]) for name in odd
    ]
    if values["status"] not in _STATUSES:
        problems.insert(0, _("status is {shown}, which V3 Lab does not know", shown=_shown(values["status"])))
    return {
        **values,
        **{name: RULES[name].instead(values[name]) for name in odd},
        "status": Status.UNREADABLE,
        "reason": _("Its row in the database is invalid: {problems}.", problems=series(problems)),
    }


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return "unreadable"
    text = "empty" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def run_label(run: RunRow) -> str:
    """A run's name and the start of its id."""
    return f"{run.name} · {run.id[:6]}"


def distinct_names(runs: Sequence[RunRow]) -> list[str]:
    """Distinct names of these runs: names shared by several are followed by the start of the id."""
    names = [run.name for run in runs]
    return [run_label(run) if names.count(run.name) > 1 else run.name for run in runs]
