"""What a launch costs, going by earlier runs on this machine: runs, episodes, environment steps and time."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from v3core.config import RunConfig
from v3core.curriculum import Length, setups_of
from v3core.environment_setup import format_args
from v3core.errors import V3Error
from v3core.insight.duration import Duration, Pace, seconds_for, steps_for, total_time
from v3core.jobs.identity import is_here
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status
from v3core.jobs.slots import slots
from v3core.messages import Message, _
from v3core.phrases import capitalised, counted, sentences, strung
from v3core.store.database import Database
from v3core.store.pace import read_pace
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs

MAX_MEASURED = 5
"""Earlier runs that an estimate rests on: the newest."""
MAX_LOOKED_AT = 40

ReadPace = Callable[[Database, RunRow], Pace]


@dataclass(frozen=True)
class Cost:
    """What runs cost that are about to start."""

    runs: int
    episodes: int | None
    """Of all runs together; None if some are planned in environment steps alone."""
    steps: int | None
    """Environment steps of all runs together; None if no earlier run can say."""
    duration: Duration | None
    """Until the last one ends, if nothing else trains; None if no earlier run can say."""
    slots: int
    """Runs at once on this machine."""
    basis: str
    """What the estimates rest on, as in `based on 3 earlier runs of CartPole-v1`, or of what nothing was measured."""
    ahead: int
    """Runs that train here or wait, and are not included."""
    are_steps_estimated: bool = True
    """Whether the steps follow from earlier runs, not from what is planned."""

    def time(self) -> str:
        """The time and what it rests on, in a sentence or two."""
        ahead = counted(self.ahead, "run")
        wait = _("{ahead} ahead in the queue not included.", ahead=ahead) if self.ahead else ""
        if self.duration is None:
            return sentences(_("Time unknown: {basis}.", basis=self.basis), wait)
        time, free = capitalised(self.duration.describe()), counted(self.slots, "slot")
        return sentences(_("{time} on {slots}, {basis}.", time=time, slots=free, basis=self.basis), wait)

    def amount(self) -> str:
        """As in `20 runs · 10,000 episodes · about 480,000 environment steps`."""
        parts = [counted(self.runs, "run")]
        if self.episodes is not None:
            parts.append(counted(self.episodes, "episode"))
        if self.steps is not None:
            parts.append(
                _("about {steps:,} environment steps", steps=self.steps)
                if self.are_steps_estimated
                else _("{steps:,} environment steps", steps=self.steps)
            )
        return strung(" · ", parts)


def cost_of(database: Database, configs: Sequence[RunConfig], read: "ReadPace | None" = None) -> Cost:
    """What these runs cost; V3Error if the database cannot be read. `read` is how the pace of a run is read."""
    everything, free = list_runs(database), slots(database)
    ahead = sum(run.status == Status.QUEUED or (run.status in ACTIVE and is_here(run)) for run in everything)
    counts = Counter((config.env, config.length) for config in configs)
    works = {env: {_work(config) for config in configs if config.env == env} for env, _ in counts}
    found = {kind: _measured(database, everything, works[kind[0]], kind, read or pace_of) for kind in counts}
    known = {kind: measured for kind, measured in found.items() if measured is not None}
    missing = strung(_(" or "), list(dict.fromkeys(env for env, length in found if (env, length) not in known)))
    basis = _("no earlier run of {missing} on this machine", missing=missing)
    if not missing:
        basis = _(
            "based on {runs}",
            runs=strung(_(" and "), list(dict.fromkeys(measured.basis for measured in known.values()))),
        )
    groups = [(counts[kind], measured.low, measured.high) for kind, measured in known.items()]
    by_steps = [config.steps for config in configs if config.length.is_by_steps and config.steps]
    planned = len(by_steps) == len(configs)
    estimated = sum(counts[kind] * measured.steps for kind, measured in known.items())
    return Cost(
        runs=len(configs),
        episodes=None if by_steps else sum(config.episodes for config in configs),
        steps=sum(by_steps) if planned else None if missing else _rounded(estimated),
        duration=None if missing else total_time(groups, free),
        slots=free,
        basis=basis,
        ahead=ahead,
        are_steps_estimated=not planned,
    )


def seconds_left(database: Database, runs: Sequence[RunRow], read: "ReadPace | None" = None) -> float | None:
    """How long these runs take to their ends, if nothing else trains; None if that is not known of one of them.

    Of one that is queued it is the time that earlier runs took, less what it has trained already.
    """
    everything, left = list_runs(database), []
    known: dict[Hashable, _Measured | None] = {}
    for run in runs:
        if run.status in ENDED:
            continue
        seconds = run.seconds_left
        if run.status == Status.QUEUED:
            kind, work = (run.env, run.length), _work_of(run)
            if (kind, work) not in known:
                works = set() if work is None else {work}
                known[kind, work] = _measured(database, everything, works, kind, read or pace_of)
            measured = known[kind, work]
            share = 1 - run.part
            seconds = None if measured is None else share * (measured.low + measured.high) / 2
        if seconds is None:
            return None
        left.append(seconds)
    return max(max(left, default=0.0), sum(left) / max(1, slots(database)))


@dataclass(frozen=True)
class _Measured:
    """What one run costs, going by earlier ones."""

    low: float
    """Seconds at least."""
    high: float
    steps: float
    basis: str


def _measured(
    database: Database,
    everything: Sequence[RunRow],
    works: set[Hashable],
    kind: tuple[str, Length],
    read: ReadPace,
) -> _Measured | None:
    """A run of a length in an environment; None if no earlier run can say."""
    env, length = kind
    # An imported run has no host: it was trained elsewhere. Of a thinned one the times of most episodes are gone.
    whole = [run for run in everything if run.env == env and run.episode > 1 and run.thinned_at is None]
    earlier = [run for run in whole if run.host and is_here(run)]
    paces, which = _alike(earlier, works, length, database, read)
    if not paces:
        return None
    seconds = [found for pace in paces if (found := seconds_for(pace, length)) is not None]
    steps = [found for pace in paces if (found := steps_for(pace, length)) is not None]
    return _Measured(
        min(seconds), max(seconds), sum(steps) / len(steps), which(counted(len(paces), "earlier run"), env)
    )


_Basis = Callable[[Message, str], Message]
"""What an estimate rests on, of a number of earlier runs and an environment."""


def _as_asked(runs: Message, env: str) -> Message:
    return _("{runs} of {env}", runs=runs, env=env)


def _with_other_settings(runs: Message, env: str) -> Message:
    return _("{runs} of {env} with other settings", runs=runs, env=env)


def _shorter(runs: Message, env: str) -> Message:
    return _("{runs} of {env}, shorter than this one", runs=runs, env=env)


def _other_and_shorter(runs: Message, env: str) -> Message:
    return _("{runs} of {env} with other settings, shorter than this one", runs=runs, env=env)


def _alike(
    runs: list[RunRow], works: set[Hashable], length: Length, database: Database, read: ReadPace
) -> tuple[list[Pace], "_Basis"]:
    """The paces of the runs that say most about runs of this length, and how those differ from them."""
    earlier = runs[:MAX_LOOKED_AT]
    alike = [run for run in earlier if _work_of(run) in works]
    # Episodes grow or shrink as the policy learns: what reached this length says more than what has these settings.
    groups = (
        ([run for run in alike if length.is_reached(run.episode, run.step)], _as_asked),
        ([run for run in earlier if length.is_reached(run.episode, run.step)], _with_other_settings),
        (alike, _shorter),
        (earlier, _other_and_shorter),
    )
    for chosen, which in groups:
        paces = [read(database, run) for run in chosen[:MAX_MEASURED]]
        if any(seconds_for(pace, length) is not None for pace in paces):
            return paces, which
    return [], _as_asked


def _work_of(run: RunRow) -> Hashable:
    """The same of a run; None if its configuration cannot be read."""
    try:
        return _work(run.config)
    except V3Error:
        return None


def _work(config: RunConfig) -> Hashable:
    """What determines the duration of a step: the settings, the network, and the environments."""
    setups = setups_of(config.environment, config.curriculum)
    parts = frozenset((setup.env_id, format_args(setup.args), setup.wrappers) for setup in setups)
    return config.ppo, config.policy, parts


def pace_of(database: Database, run: RunRow) -> Pace:
    """How a run advanced."""
    points = read_pace(database, run.id, run.episode)
    # When the first episode of a run that was resumed began is not known.
    if run.generation == 0 and run.started_at is not None and points and run.started_at < points[0][2]:
        points.insert(0, (0, 0, run.started_at))
    return Pace(
        [number for number, _, _ in points], [step for _, step, _ in points], [at.timestamp() for _, _, at in points]
    )


def _rounded(steps: float) -> int:
    """To two digits: it is an estimate."""
    return int(float(f"{steps:.2g}"))
