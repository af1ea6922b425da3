"""The training loop, top to bottom."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import torch
from gymnasium.spaces import Discrete

from v3core.config import PPOConfig, RunConfig
from v3core.curriculum import Curriculum, Progress, Settings, check_edit, settings_at
from v3core.environments import check_environment, make_vector_env, seed_environments
from v3core.errors import V3Error
from v3core.training.advantages import generalised_advantages
from v3core.training.checkpoint import save_checkpoint
from v3core.training.hooks import Edit, EpisodeRecord, PhaseChange, TrainingHooks
from v3core.training.ppo import Coefficients, NonFiniteLossError, Samples, UpdateStatistics, normalised, update
from v3core.training.rollout import Collector, Rollout
from v3core.training.state import TrainingState
from v3core.training.statistics import EpisodeStatistics

CHECKPOINT_SECONDS = 15.0
"""Time between checkpoints: a crash loses at most about this much training."""


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
        hooks: told everything that happens, asked for orders between an update and the next rollout.
        checkpoint: go on from here. Episodes that were under way when it was written start anew.
        clock: seconds from any origin, for checkpoints only.

    Raises:
        V3Error: if the environment or the checkpoint cannot be used, or the loss is not finite.
    """
    torch.set_num_threads(1)
    spec = check_environment(config.env, allow_import=True)
    ppo, experts = config.ppo, config.policy.experts
    with closing(make_vector_env(config.env, ppo.environments, config.seed)) as envs:
        actions = envs.single_action_space
        assert isinstance(actions, Discrete)  # check_environment saw to it
        state = TrainingState(config, spec, int(actions.n))
        if checkpoint is not None:
            state.load(checkpoint)
            # Decided by the run's seed, but not the episodes that it began with.
            seed_environments(envs, config.seed, state.completed)
        collector = Collector(envs, ppo.rollout_steps, experts, state.generator)
        under_way = EpisodeStatistics(ppo.environments, experts)
        saved_at = clock()

        while state.completed < config.episodes:
            orders = hooks.orders()
            for edit in orders.edits:
                curriculum = _decide(edit, curriculum, state.completed, config.episodes, hooks)
            if orders.stop:
                _save(state, hooks)
                return Outcome.STOPPED

            progress = Progress(episode=state.completed, episodes=config.episodes)
            settings = settings_at(curriculum, progress, config.base.values())
            state.apply(settings)
            if settings.phase != state.phase:
                _announce(settings, curriculum, state, hooks)
                _save(state, hooks)
                saved_at = clock()

            end = next((b for b in curriculum.boundaries if b > state.completed), config.episodes)
            rollout = collector.collect(state.policy, room=min(end, config.episodes) - state.completed)
            statistics = _learn(state, rollout, settings, ppo)

            episodes = under_way.finished(rollout)[: config.episodes - state.completed]
            records = [
                EpisodeRecord(
                    episode=state.completed + number,
                    phase=settings.phase_name,
                    return_=sums.return_,
                    length=sums.length,
                    step=state.step + sums.steps_into_rollout,
                    **asdict(statistics),
                    lr=state.lr,
                    temperature=state.policy.temperature,
                    routing=state.policy.routing,
                    routing_entropy=sums.routing_entropy,
                    loads=sums.loads,
                    hard_loads=sums.hard_loads,
                )
                for number, sums in enumerate(episodes, start=1)
            ]
            state.completed += len(records)
            state.step += rollout.steps
            hooks.record(records, state.step)
            if clock() - saved_at >= CHECKPOINT_SECONDS or state.completed >= config.episodes:
                _save(state, hooks)
                saved_at = clock()
    return Outcome.COMPLETED


def _learn(state: TrainingState, rollout: Rollout, settings: Settings, ppo: PPOConfig) -> UpdateStatistics:
    """One update from one rollout; then, and only then, what normalises observations and rewards moves on."""
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
    observations = rollout.observations.flatten(0, 1)
    samples = Samples(
        observations=observations,
        actions=rollout.actions.flatten(),
        log_probs=rollout.log_probs.flatten(),
        advantages=normalised(torch.from_numpy(advantages).float().flatten()),
        targets=torch.from_numpy(targets).float().flatten(),
    )
    coefficients = Coefficients(load_balance=settings.load_balance, entropy=settings.entropy)
    state.updates += 1
    try:
        statistics = update(state.policy, state.optimizer, samples, coefficients, ppo, state.random)
    except NonFiniteLossError:
        raise V3Error(
            f"Update {state.updates}, after episode {state.completed} in phase '{settings.phase_name}': the loss is "
            f"not finite; lower the learning rate ({state.lr:g}) or look for infinite observations or rewards."
        ) from None
    state.policy.update_normalisation(observations)
    state.return_scale.update(targets * scale)
    return statistics


def _decide(edit: Edit, curriculum: Curriculum, completed: int, episodes: int, hooks: TrainingHooks) -> Curriculum:
    """The curriculum after an edit, which is applied or refused."""
    try:
        check_edit(curriculum, edit.curriculum, completed, episodes)
    except V3Error as reason:
        hooks.edit_rejected(edit, str(reason))
        return curriculum
    hooks.edit_applied(edit, completed)
    return edit.curriculum


def _announce(settings: Settings, curriculum: Curriculum, state: TrainingState, hooks: TrainingHooks) -> None:
    planned = (0, *curriculum.boundaries)[settings.phase]
    hooks.phase_changed(
        PhaseChange(settings.phase, settings.phase_name, planned, episode=state.completed, step=state.step)
    )
    state.phase = settings.phase


def _save(state: TrainingState, hooks: TrainingHooks) -> None:
    path = hooks.checkpoint_path(state.completed)
    save_checkpoint(path, state.state_dict())
    hooks.checkpoint_saved(path, state.completed, state.step)
