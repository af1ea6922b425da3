"""What helps against an alarm, tried from before it began: a fork of the run with the remedy."""

from collections.abc import Sequence

from v3core.curriculum import Curriculum
from v3core.errors import V3Error
from v3core.insight.alarms.remedies import REMEDIES, Remedy
from v3core.jobs.checkpoints import is_intact
from v3core.jobs.forks import IsUsable, Origin, fork, origin_of
from v3core.jobs.kinds import named
from v3core.messages import _
from v3core.store.database import Database
from v3core.store.history import read_checkpoints
from v3core.store.runs import get_run


def origin_before(database: Database, run_id: str, episode: int, *, is_usable: IsUsable = is_intact) -> Origin:
    """The newest checkpoint before an episode whose file is whole, or what else is asked of it; V3Error without one."""
    for row in reversed(read_checkpoints(database, run_id)):
        if row.episode < episode:
            try:
                return origin_of(database, run_id, row.episode, is_usable=is_usable)
            except V3Error:
                continue
    run = get_run(database, run_id)
    raise V3Error("{named} has no checkpoint from before episode {episode:,}.", named=named(run), episode=episode)


def remedied(origin: Origin, remedies: Sequence[str]) -> tuple[Remedy, Curriculum]:
    """The first of the named remedies that changes something at a checkpoint, and the curriculum with it.

    Raises:
        V3Error: why none of them does.
    """
    problem = _("No remedy changes the curriculum there.")
    for name in remedies:
        try:
            changed = REMEDIES[name].apply(
                origin.curriculum, origin.progress(origin.run.length), origin.run.config.base.values()
            )
        except V3Error as error:
            problem = error.message
            continue
        if changed != origin.curriculum or REMEDIES[name].assignments:
            return REMEDIES[name], changed
    raise V3Error(problem)


def fork_before(database: Database, run_id: str, episode: int, remedies: Sequence[str], *, actor: str = "user") -> str:
    """Fork a run from its newest checkpoint before an episode, with a remedy from there on; returns the fork's id."""
    origin = origin_before(database, run_id, episode)
    remedy, changed = remedied(origin, remedies)
    name = f"{origin.run.name[:60]} · from {origin.checkpoint.episode} · {remedy.title.lower()}"
    return fork(
        database,
        run_id,
        episode=origin.checkpoint.episode,
        curriculum=changed,
        assignments=remedy.assignments,
        name=name,
        actor=actor,
    )
