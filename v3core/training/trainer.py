"""The training loop, top to bottom."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch

from v3core.config import PPOConfig, RunConfig
from v3core.curriculum import (
    Curriculum,
    PhaseStart,
    Progress,
    Settings,
    check_edit,
    check_experts,
    episodes_left,
    lengthened,
    settings_at,
    steps_left,
)
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentSpec, ReplayError
from v3core.environments.registry import check_run, imports_of
from v3core.episode import EpisodeRecord, InForce, Update
from v3core.errors import V3Error
from v3core.interruption import LeftEarlyError
from v3core.training.advantages import generalised_advantages
from v3core.training.checkpoint import check_import, save_checkpoint
from v3core.training.evaluation import evaluate
from v3core.training.hooks import Edit, Evaluation, Longer, Orders, PhaseChange, TrainingHooks
from v3core.training.ppo import NonFiniteUpdateError, coefficients_of, update
from v3core.training.rollout import InterruptedRolloutError, Rollout
from v3core.training.samples import Samples
from v3core.training.state import Snapshot, TrainingState, device_name
from v3core.training.statistics import explained_variance
from v3core.training.world import World

CHECKPOINT_SECONDS = 15.0
"""Time between checkpoints: a crash loses at most about this much training."""

FAILURES_IN_A_ROW = 3
"""So many updates in a row that were not finite end the run."""


class Outcome(StrEnum):
    """How training ended, if it did not fail."""

    COMPLETED = "completed"
    STOPPED = "stopped"


def train(
    config: RunConfig,
    *,
    curriculum: Curriculum,
    hooks: TrainingHooks,
    checkpoint: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train a policy with PPO under a curriculum, until `config.episodes` episodes are complete or `hooks` say stop.

    Settings are read once per rollout and hold for that rollout and its update. A rollout is cut short at the step at
    which the next boundary is reached, so a phase begins where the curriculum says, or at most one episode per
    further environment later.

    Args:
        config: what to train. The same config records the same numbers on the same machine.
        curriculum: the revision in force; `config.curriculum` is the one launched.
        hooks: told everything that happens; asked for orders between an update and the next rollout, and in the middle
            of long work for those that cannot wait. What a stop leaves in the middle is dropped, to the bit, and the
            checkpoint is of the end of the rollout before.
        checkpoint: go on from here, as if training had never ended. Where an environment cannot be brought back, the
            episodes that were under way begin anew; `hooks.remark` says so.
        clock: seconds from any origin, for checkpoints only.

    Raises:
        V3Error: if the environment cannot be trained on or fails, a checkpoint cannot be read or written, or updates
            stay not finite.
    """
    torch.set_num_threads(1)
    spec = check_run(config.environment, curriculum, allow_import=True)
    state = TrainingState(config, spec)
    hooks.trains_on(device_name(state.device))
    try:
        world = None if checkpoint is None else _go_on(checkpoint, state, spec, config, curriculum, hooks)
    except LeftEarlyError:
        return Outcome.STOPPED  # the checkpoint is still the newest
    saved_at = clock()
    described: World | None = None
    try:
        while state.completed < config.episodes or _evaluation_due(config, state):
            before = state.snapshot()
            orders = hooks.orders()
            for edit in orders.edits:
                curriculum = _decide(edit, curriculum, _progress(state, config), config, hooks)
            for longer in orders.longer:
                config, curriculum = _lengthen(longer, state, config, curriculum, hooks)
            if orders.stop or orders.pause or orders.checkpoint:
                _save(state, world, hooks)
                saved_at = clock()
            if orders.stop:
                return Outcome.STOPPED
            if orders.pause:
                hooks.hold(state.completed)
                continue

            if _evaluation_due(config, state):
                _evaluate(state, spec, config, hooks, partial(_obey_urgent, state, before, world, hooks))
                continue

            for settings in _enter_due_phases(state, curriculum, config, hooks):
                if world is not None:
                    world.under_way.begin_phase()
                state.apply(settings)
                _save(state, world, hooks)
                saved_at = clock()
            settings = settings_at(curriculum, _progress(state, config), config.base.values())
            state.apply(settings)

            if world is None or world.environment != state.environment:
                if world is not None:
                    world.envs.close()
                world = None
                world = World.of(
                    state.environment, spec, config, state, partial(_obey_urgent, state, before, None, hooks)
                )
            interrupted = partial(_obey_urgent, state, before, world, hooks)
            try:
                rollout = world.collector.collect(
                    state.policy, *_room(state, curriculum, config), interrupted=interrupted
                )
            except InterruptedRolloutError as failed:
                nothing = _Learned(None, coefficients_of(settings), float("nan"), 0.0)
                _record(state, settings, world, nothing, failed.rollout, config, hooks)
                raise failed.failure from failed.failure.__cause__
            if described is not world:
                described = world
                hooks.sees(world.envs.sees())
            if state.completed + int(rollout.ended.sum()) >= config.episodes:
                # From here a run that is made longer continues as if it had been that long from the start.
                _save_as_of(before, state, world, hooks)
                state.last_rollout = (state.completed, state.step)
            learned = _learn(state, rollout, settings, config.ppo, hooks, before, interrupted)
            world.pass_on_remarks(hooks.remark)
            _record(state, settings, world, learned, rollout, config, hooks)
            world.envs.bookmark()
            _give_up_if_hopeless(state, settings, learned)
            if clock() - saved_at >= CHECKPOINT_SECONDS:
                _save(state, world, hooks)
                saved_at = clock()
        _save(state, world, hooks)
    except LeftEarlyError:
        state.rollback(before)
        _save(state, world, hooks)
        return Outcome.STOPPED
    finally:
        if world is not None:
            world.envs.close()
    return Outcome.COMPLETED


def _go_on(
    checkpoint: Path,
    state: TrainingState,
    spec: EnvironmentSpec,
    config: RunConfig,
    curriculum: Curriculum,
    hooks: TrainingHooks,
) -> World | None:
    """Go on where a checkpoint was written; returns its environments, None if new ones are to be made."""
    loaded = state.load(checkpoint)
    known = imports_of(config.environment, [curriculum])
    check_import(checkpoint, state.environment, known)
    if state.completed >= config.episodes:
        return None
    try:
        if "world" not in loaded:
            raise ReplayError("a version before wrote this checkpoint, and did not keep them")
        kept = loaded["world"]
        if kept is None:
            return None
        check_import(checkpoint, EnvironmentSetup(kept["env"]), known)
        return World.restored(kept, spec, config, state, partial(_hold_or_leave, state, hooks))
    except ReplayError as reason:
        hooks.remark(f"The episodes that were unfinished begin anew: {str(reason).rstrip('.')}.")
        return None


def _obey_urgent(state: TrainingState, before: Snapshot, world: World | None, hooks: TrainingHooks) -> bool:
    """In the middle of long work: do what cannot wait for its end; returns whether to leave it.

    Checkpoints are of the end of the rollout before: its episodes are all recorded, and the environments can be brought
    back to there, for their bookmark is.
    """
    orders = hooks.urgent()
    if (orders.pause or orders.checkpoint) and not orders.stop:
        _save_as_of(before, state, world, hooks)
    return _hold_or_leave(state, hooks, orders)


def _hold_or_leave(state: TrainingState, hooks: TrainingHooks, orders: Orders | None = None) -> bool:
    """Likewise where there is nothing yet that a new checkpoint could hold."""
    orders = orders or hooks.urgent()
    if orders.pause and not orders.stop:
        hooks.hold(state.completed, in_rollout=True)
    return orders.stop


def _evaluate(
    state: TrainingState,
    spec: EnvironmentSpec,
    config: RunConfig,
    hooks: TrainingHooks,
    interrupted: Callable[[], bool],
) -> None:
    """Evaluate the policy in the routing of its last rollout."""
    episodes = evaluate(
        state.policy,
        spec.of(state.environment),
        config.evaluation.episodes,
        sampled=config.evaluation.sampled,
        interrupted=interrupted,
    )
    state.evaluated = state.completed
    env = str(state.environment)
    hooks.evaluated(Evaluation(episode=state.completed, step=state.step, env=env, episodes=episodes))


def _progress(state: TrainingState, config: RunConfig) -> Progress:
    return Progress(episode=state.completed, episodes=config.episodes, step=state.step, starts=state.starts)


def _enter_due_phases(
    state: TrainingState, curriculum: Curriculum, config: RunConfig, hooks: TrainingHooks
) -> list[Settings]:
    """Begin every phase that is due; returns the settings that each began with."""
    began: list[Settings] = []
    while not state.starts or state.phase_due(curriculum, _progress(state, config)):
        phase = len(state.starts)
        planned = 0 if phase == 0 else curriculum.planned_ends[phase - 1]
        state.starts = (*state.starts, PhaseStart(state.completed, state.step))
        state.recent.clear()
        name = curriculum.phases[phase].name
        hooks.phase_changed(PhaseChange(phase, name, planned, episode=state.completed, step=state.step))
        began.append(settings_at(curriculum, _progress(state, config), config.base.values()))
    return began


def _room(state: TrainingState, curriculum: Curriculum, config: RunConfig) -> tuple[int, int | None]:
    """How many episodes, and how many steps of each environment, are left to the next boundary; None is no bound."""
    progress = _progress(state, config)
    steps = steps_left(curriculum, progress)
    return max(1, episodes_left(curriculum, progress)), None if steps is None else -(-steps // config.ppo.environments)


@dataclass(frozen=True)
class _Learned:
    """What came of a rollout: an update, or none because a number was not finite."""

    update: Update | None
    coefficients: dict[str, float]
    explained_variance: float
    bias_speed: float
    trouble: str | None = None
    """What was not finite."""
    remedy: str = ""
    """What to do about it."""


def _learn(
    state: TrainingState,
    rollout: Rollout,
    settings: Settings,
    ppo: PPOConfig,
    hooks: TrainingHooks,
    before: Snapshot,
    interrupted: Callable[[], bool],
) -> _Learned:
    """One update from one rollout; then, and only then, what normalises observations and rewards moves on.

    Where a number is not finite nothing is learned: policy, optimiser and normalisation stay as the last good update
    left them. Three times in a row end the run.
    """
    coefficients = coefficients_of(settings)
    speed = settings.bias_speed if settings.routing == "topk" else 0.0
    state.updates += 1
    trouble, remedy = rollout.unusable() or (None, "")
    explained = float("nan")
    learned = None
    if trouble is None:
        scale = state.return_scale.scale
        advantages = generalised_advantages(
            rollout.rewards / scale + ppo.gamma * rollout.cut_off_values,
            rollout.values,
            rollout.ended,
            rollout.last_values,
            ppo.gamma,
            ppo.gae_lambda,
        )
        targets = advantages + rollout.values
        explained = explained_variance(rollout.values, targets)
        samples = Samples.of(rollout, advantages, targets, state.device)
        try:
            learned = update(
                state.policy, state.parameters, state.optimizer, samples, coefficients, ppo, state.random, interrupted
            )
        except NonFiniteUpdateError:
            trouble = f"the loss or its gradient is not finite at learning rate {state.lr:g}"
            remedy = "lower it"
            state.rollback_update(before)
        else:
            state.policy.update_normalisation(samples.observations)
            state.return_scale.update(targets * scale)
            if speed:
                state.balance_bias(rollout.gates, speed)
            state.failures_in_a_row = 0
    if trouble is not None:
        state.rollbacks += 1
        state.failures_in_a_row += 1
        hooks.update_undone(trouble, state.failures_in_a_row)
        return _Learned(None, coefficients, float("nan"), 0.0, trouble, remedy)
    return _Learned(learned, coefficients, explained, speed)


def _give_up_if_hopeless(state: TrainingState, settings: Settings, learned: _Learned) -> None:
    """End the run once too many updates in a row were not finite; its episodes are recorded by now."""
    if learned.trouble is not None and state.failures_in_a_row >= FAILURES_IN_A_ROW:
        raise V3Error(
            f"Update {state.updates}, at episode {state.completed} and step {state.step} in phase "
            f"'{settings.phase_name}': {learned.trouble}, {state.failures_in_a_row} times in a row; {learned.remedy}."
        )


def _record(
    state: TrainingState,
    settings: Settings,
    world: World,
    learned: _Learned,
    rollout: Rollout,
    config: RunConfig,
    hooks: TrainingHooks,
) -> None:
    """Count what a rollout brought, and hand on the episodes that ended in it."""
    finished = world.under_way.finished(rollout)[: config.episodes - state.completed]
    in_force = _in_force(state, settings, str(world.environment), learned)
    update = learned.update or Update.nothing(config.policy.experts)
    records = [
        EpisodeRecord(
            **vars(episode.acted),
            **vars(update),
            **vars(in_force),
            episode=state.completed + number,
            step=state.step + episode.steps,
            explained_variance=learned.explained_variance,
            rollbacks=state.rollbacks,
        )
        for number, episode in enumerate(finished, start=1)
    ]
    state.completed += len(records)
    state.step += rollout.steps
    state.recent.extend((record.return_, record.length, record.success) for record in records)
    hooks.record(records, state.step)


def _in_force(state: TrainingState, settings: Settings, env: str, learned: _Learned) -> InForce:
    """The settings that router, optimiser and loss really used."""
    gating = state.policy.gating
    topk = gating.routing == "topk"
    return InForce(
        phase=settings.phase_name,
        env=env,
        lr=state.lr,
        temperature=gating.temperature,
        routing=gating.routing,
        alpha=gating.alpha if gating.routing == "entmax" else None,
        top_k=min(gating.top_k, state.policy.router.out_features) if topk else None,
        top_k_weights=gating.top_k_weights if topk else None,
        jitter=gating.jitter,
        bias_speed=learned.bias_speed,
        **learned.coefficients,
    )


def _evaluation_due(config: RunConfig, state: TrainingState) -> bool:
    """Whether an evaluation belongs after the episodes that are complete, and was not taken yet."""
    if not config.evaluation.episodes or state.evaluated == state.completed:
        return False
    every = config.evaluation.every
    return state.completed >= config.episodes or (
        every is not None and state.completed // every > state.evaluated // every
    )


def _decide(
    edit: Edit, curriculum: Curriculum, progress: Progress, config: RunConfig, hooks: TrainingHooks
) -> Curriculum:
    """The curriculum after an edit, which is applied or refused."""
    try:
        check_edit(curriculum, edit.curriculum, progress)
        check_experts(edit.curriculum, config.policy.experts)
        check_run(config.environment, edit.curriculum, allow_import=True)
    except V3Error as reason:
        hooks.edit_rejected(edit, str(reason))
        return curriculum
    hooks.edit_applied(edit, progress.episode)
    return edit.curriculum


def _lengthen(
    longer: Longer, state: TrainingState, config: RunConfig, curriculum: Curriculum, hooks: TrainingHooks
) -> tuple[RunConfig, Curriculum]:
    """Configuration and curriculum after a new length, which is applied or refused."""
    if longer.episodes <= config.episodes:
        hooks.length_rejected(longer, f"The run is planned for {config.episodes} episodes already.")
        return config, curriculum
    goes_on = lengthened(curriculum, _progress(state, config))
    config = config.model_copy(update={"episodes": longer.episodes})
    state.lengthen(config)
    hooks.length_applied(longer, None if goes_on == curriculum else goes_on, state.completed)
    return config, goes_on


def _save_as_of(before: Snapshot, state: TrainingState, world: World | None, hooks: TrainingHooks) -> None:
    """Write a checkpoint of the end of the rollout before, in the middle of one that is not counted yet."""
    now = state.snapshot()
    state.rollback(before)
    _save(state, world, hooks)
    state.rollback(now)


def _save(state: TrainingState, world: World | None, hooks: TrainingHooks) -> None:
    path = hooks.checkpoint_path(state.completed)
    # Environments of the phase before are not gone on with.
    goes_on = world is not None and world.environment == state.environment
    save_checkpoint(path, {**state.state_dict(), "world": world.state_dict() if world and goes_on else None})
    hooks.checkpoint_saved(path, state.completed, state.step)
