"""Episodes of a run played from its checkpoints, and what its replays may load: for commands and processes only."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from v3core.environments.registry import check_environment, imports_of
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error
from v3core.insight.replays import Replay
from v3core.interruption import never
from v3core.jobs.checkpoints import newest_whole, whole_checkpoints
from v3core.store.commands import read_revisions
from v3core.store.database import Database
from v3core.store.runs import get_run

if TYPE_CHECKING:
    from v3core.training.inference import TrainedPolicy


def imports_of_run(database: Database, run_id: str) -> set[str]:
    """The environments and wrappers that import code, and that the run names itself."""
    run = get_run(database, run_id)
    return imports_of(run.config.environment, [row.curriculum for row in read_revisions(database, run.id)])


def intact_checkpoint(database: Database, run_id: str, episode: int | None = None) -> Path:
    """The file of a run's checkpoint at that episode count, by default of the newest; a V3Error if there is none."""
    with database.read() as tx:
        if episode is None:
            found = newest_whole(database, run_id, tx)
            missing = "no checkpoint yet; wait until training has started"
        else:
            whole = {row.episode: row for row in whole_checkpoints(database, run_id, tx)}
            found = whole.get(episode)
            available = ", ".join(map(str, reversed(whole))) or "none"
            missing = f"no intact checkpoint at episode {episode}; available: {available}"
    if found is None:
        raise V3Error(f"Run {run_id[:8]} has {missing}.")
    return database.data_dir / found.path


def policy_of(database: Database, run_id: str, episode: int | None = None) -> "TrainedPolicy":
    """The policy of a run's checkpoint at that episode count, by default of the newest.

    Raises:
        V3Error: if there is none, it cannot be loaded, or it would import code that does not belong to the run.
    """
    from v3core.training.inference import load_policy  # torch: seconds to import

    return load_policy(intact_checkpoint(database, run_id, episode), imports=imports_of_run(database, run_id))


def play(
    policy: "TrainedPolicy",
    *,
    seed: int | None = None,
    episodes: int | None = None,
    resets: Sequence[int] | None = None,
    interrupted: Callable[[], bool] = never,
) -> dict[str, Replay]:
    """Play episodes as the run's evaluations do; those worth watching, by role.

    Args:
        policy: what plays.
        seed: decides the beginnings of all episodes; by default that of evaluations.
        episodes: how many; by default as in the run's evaluations.
        resets: in place of both, what the environment of each episode is reset with.
        interrupted: asked before each step.
    """
    from v3core.training import inference

    tape = policy.tape()
    evaluation = policy.config.evaluation
    count = len(resets) if resets is not None else episodes or evaluation.episodes or 10
    first = resets[0] if resets is not None else inference.EVALUATION_SEED if seed is None else seed
    inference.evaluate(
        policy.backend,
        policy.spec,
        count,
        first,
        sampled=evaluation.sampled,
        interrupted=interrupted,
        tape=tape,
        resets=resets,
    )
    return tape.chosen(policy.network)


def spec_of_replay(database: Database, run_id: str, replay: Replay) -> EnvironmentSpec:
    """The environment of a replay, to play it again.

    Raises:
        V3Error: if it cannot be created here, or imports code that does not belong to the run.
    """
    known = imports_of_run(database, run_id)
    if other := [name for name in replay.environment.imports if name not in known]:
        raise V3Error(f"The replay names '{other[0]}', which imports code and does not belong to its run.")
    return check_environment(replay.environment, allow_import=True)
