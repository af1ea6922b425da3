"""Episodes of a run played from its checkpoints, and what its replays may load: for commands and processes only."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from v3core.environments.evaluation_seeds import EVALUATION_SEED
from v3core.environments.registry import check_environment, imports_of
from v3core.environments.replaying import play_again
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error
from v3core.insight.inside import Inside
from v3core.insight.replays import Replay
from v3core.interruption import never
from v3core.jobs.checkpoints import newest_whole, whole_checkpoints
from v3core.messages import _
from v3core.phrases import listed
from v3core.store.commands import read_revisions
from v3core.store.database import Database
from v3core.store.runs import get_run

MAX_OBSERVED_BYTES = 256 << 20
"""Observations of an episode that would take more are not kept."""
LEAST_ALIKE = 0.9
"""Share of steps whose values the checkpoint must compute as they were recorded, but for rounding."""

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
            missing = _("no checkpoint yet; wait until training has started")
        else:
            whole = {row.episode: row for row in whole_checkpoints(database, run_id, tx)}
            found = whole.get(episode)
            available = listed(list(reversed(whole))) or _("none")
            missing = _(
                "no intact checkpoint at episode {episode}; available: {available}",
                episode=episode,
                available=available,
            )
    if found is None:
        raise V3Error("Run {run_id} has {missing}.", run_id=run_id[:8], missing=missing)
    return database.place.bring(database.data_dir / found.path)


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
    usual = (evaluation.episodes or 10) * max(1, len(policy.tasks))
    count = len(resets) if resets is not None else episodes or usual
    first = resets[0] if resets is not None else EVALUATION_SEED if seed is None else seed
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


def explain(
    policy: "TrainedPolicy",
    spec: EnvironmentSpec,
    replay: Replay,
    observations: NDArray[Any],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Inside, Replay]:
    """What the policy of its checkpoint computes in the states of a replay, and the replay with each expert's outputs.

    Args:
        policy: of the checkpoint.
        spec: the environment of the replay.
        replay: an episode of T steps.
        observations: its states, flat, [T, size].
        progress: called with the number of states that are done.

    Raises:
        V3Error: if the policy is not the one that acted.
    """
    from v3core.training.explaining import look_inside  # torch: seconds to import
    from v3core.training.tape import expert_outputs

    inside = look_inside(policy.network, spec, observations, progress=progress)
    alike = np.isclose(inside.values, replay.values, rtol=1e-2, atol=1e-3, equal_nan=True)
    if alike.mean() < LEAST_ALIKE:
        raise V3Error(
            "The checkpoint at episode {episode} has other weights than those that acted here.", episode=policy.episode
        )
    if replay.expert_outputs is None:
        replay = replace(replay, expert_outputs=expert_outputs(policy.network, observations))
    return inside, replay


def with_experts(database: Database, run_id: str, episode: int, replay: Replay) -> Replay:
    """A replay of the evaluation at `episode` with what each expert puts out, computed by its checkpoint if need be.

    Raises:
        V3Error: if it cannot be computed.
    """
    if replay.expert_outputs is not None:
        return replay
    policy, spec = policy_of(database, run_id, episode), spec_of_replay(database, run_id, replay)
    if len(replay) * spec.graph.size * np.dtype(spec.graph.dtype).itemsize > MAX_OBSERVED_BYTES:
        raise V3Error("The episode's observations take more than {value} MiB.", value=MAX_OBSERVED_BYTES >> 20)
    seen = np.stack([moment.observation for moment in play_again(spec, replay, frames=False)])
    return explain(policy, spec, replay, seen[:-1])[1]


def spec_of_replay(database: Database, run_id: str, replay: Replay) -> EnvironmentSpec:
    """The environment of a replay, to play it again.

    Raises:
        V3Error: if it cannot be created here, or imports code that does not belong to the run.
    """
    known = imports_of_run(database, run_id)
    if other := [name for name in replay.environment.imports if name not in known]:
        raise V3Error("The replay names '{other}', which imports code and does not belong to its run.", other=other[0])
    return check_environment(replay.environment, allow_import=True)
