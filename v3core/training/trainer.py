"""The training loop, top to bottom."""

import copy
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

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
from v3core.curriculum.fit import check_facts
from v3core.environment_setup import EnvironmentSetup
from v3core.environments import ReplayError
from v3core.environments.evaluation_seeds import EVALUATION_SEED
from v3core.environments.registry import check_run, imports_of
from v3core.errors import V3Error
from v3core.interruption import Interrupted
from v3core.messages import _
from v3core.metrics import EpisodeRecord, InForce, Update
from v3core.training.checkpoint import check_import, save_checkpoint
from v3core.training.expert_report import StateSample, expert_report
from v3core.training.hooks import Edit, Evaluation, EvaluationEpisode, Longer, Orders, PhaseChange, Spent, TrainingHooks
from v3core.training.inference import evaluate
from v3core.training.knockout import episodes_at_end, knock_out
from v3core.training.ppo import NonFiniteUpdateError, generalised_advantages, samples_of, update
from v3core.training.rollout import InterruptedRolloutError, Played, Rollout
from v3core.training.state import Snapshot, TrainingState, device_name
from v3core.training.statistics import explained_variance
from v3core.training.tape import Tape
from v3core.training.world import World

CHECKPOINT_SECONDS = 15.0
"""Time between checkpoints: a crash loses at most about this much training."""

EPISODES_WITHOUT = 20
"""Episodes after which a fact that none of them had is reported as missing."""

FAILURES_IN_A_ROW = 3
"""Number of updates in a row that were not finite after which the run ends."""


class Outcome(StrEnum):
    """The end of training, if it did not fail."""

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
    """Train a policy with PPO under a curriculum, until the run has its length or `hooks` say stop.

    Settings are read once per rollout and hold for that rollout and its update. A rollout is cut short at the next
    boundary, so a phase begins as the curriculum says, or at most one episode per further environment later; and where
    the run's budget of environment steps is used up, so that exactly these are taken.

    Args:
        config: what to train. The same config records the same numbers on the same machine.
        curriculum: the revision in force; `config.curriculum` is the one launched.
        hooks: informed of everything that happens, and asked for orders. Work interrupted by a stop is discarded
            completely, and the checkpoint holds the end of the previous rollout.
        checkpoint: resume from here, as if training had never stopped. If an environment cannot be restored, the
            episodes that were in progress start again; `hooks.remark` reports it.
        clock: seconds from any origin, for checkpoints only.

    Raises:
        V3Error: if the environment cannot be trained on or fails, a checkpoint cannot be read or written, or updates
            stay not finite.
    """
    torch.set_num_threads(1)
    spec = check_run(config.environment, curriculum, allow_import=True)
    trainer = Trainer(curriculum, hooks, clock, TrainingState(config, spec))
    loaded = None if checkpoint is None else trainer.state.load(checkpoint)
    hooks.trains_on(device_name(trainer.state.device), trainer.state.backend.name)
    for remark in trainer.state.backend_remarks:
        hooks.remark(remark)
    try:
        if checkpoint is not None and loaded is not None:
            trainer.resume(checkpoint, loaded)
    except Interrupted:
        return Outcome.STOPPED  # the checkpoint is still the newest
    return trainer.run()


@dataclass(frozen=True)
class Learned:
    """The result of a rollout: an update, or none because of a non-finite number."""

    update: Update
    explained_variance: float = float("nan")
    trouble: str | None = None  # what was not finite
    remedy: str = ""  # what to do about it


@dataclass
class Trainer:
    """One run while it trains. `run` is the loop; the other methods are its parts, in the order of the loop."""

    curriculum: Curriculum
    hooks: TrainingHooks
    clock: Callable[[], float]
    state: TrainingState
    world: World | None = None  # of the current phase; None before it is created
    before: Snapshot | None = None
    """The end of the rollout before, to which what is left in the middle returns; None before the loop."""
    saved_at: float = field(init=False)
    held_seconds: float = 0.0
    """How long training was paused in the middle of rollouts and updates."""
    saving_seconds: float = 0.0
    """How long checkpoints took."""
    reported_saving: float = 0.0
    """What of that is in the reports to `hooks.spent`."""
    remarked_on_words: bool = False
    """Whether the run's history says that a phase waits for a word."""

    def run(self) -> Outcome:
        """Train to the end, or until a stop."""
        state, hooks = self.state, self.hooks
        self.saved_at = self.clock()
        try:
            while not self.progress.is_complete or self.evaluation_due:
                self.before = state.snapshot()

                # -------- Orders: between an update and what comes next ---------------------------------------------
                orders = self.take_orders()
                if orders.stop or orders.pause or orders.checkpoint:
                    self.save()
                if orders.stop:
                    return Outcome.STOPPED
                if orders.pause:
                    hooks.hold(state.completed)
                    continue

                # -------- Evaluation: after the orders, so that a stop need not wait for it -------------------------
                if self.evaluation_due:
                    self.evaluate()
                    continue

                # -------- Phase: its settings hold for the rollout and its update -----------------------------------
                settings = self.enter_phase()
                world = self.enter_world()

                # -------- Rollout -----------------------------------------------------------------------------------
                try:
                    rollout = world.collector.collect(*self.limits(), interrupted=self.interrupted)
                except InterruptedRolloutError as failed:
                    nothing = Learned(Update.nothing(state.config.policy.experts), trouble=str(failed))
                    self.record(failed.played, nothing, settings, world)
                    raise failed.failure from failed.failure.__cause__
                world.describe(hooks.sees)
                completes = int(rollout.ended.sum())
                if state.config.length.is_reached(state.completed + completes, state.step + rollout.steps):
                    # From here an extended run continues as if it had had that length from the start.
                    self.keep_before_end(apart=completes > 0)

                # -------- Update ------------------------------------------------------------------------------------
                began, apart = time.perf_counter(), self.held_seconds + self.saving_seconds
                learned = self.learn(rollout, settings)

                # -------- Record ------------------------------------------------------------------------------------
                updated = time.perf_counter()
                self.record(rollout, learned, settings, world)
                spent = Spent(
                    acting=world.collector.acting_seconds,
                    environments=world.collector.environment_seconds,
                    learning=updated - began - (self.held_seconds + self.saving_seconds - apart),
                    recording=time.perf_counter() - updated + self.saving_seconds - self.reported_saving,
                )
                self.reported_saving = self.saving_seconds
                hooks.spent(spent, rollout.steps)
                if learned.trouble is not None and state.failures_in_a_row >= FAILURES_IN_A_ROW:
                    raise V3Error(
                        _(
                            "Update {updates}, at episode {completed} and step {step} in phase '{phase_name}': "
                            "{trouble}, {failures_in_a_row} times in a row; {remedy}."
                        ),
                        updates=state.updates,
                        completed=state.completed,
                        step=state.step,
                        phase_name=settings.phase_name,
                        trouble=learned.trouble,
                        failures_in_a_row=state.failures_in_a_row,
                        remedy=learned.remedy,
                    )

                # -------- Checkpoint --------------------------------------------------------------------------------
                world.bookmark()
                if self.clock() - self.saved_at >= CHECKPOINT_SECONDS:
                    self.save()
            self.save()
            return Outcome.COMPLETED
        except Interrupted:
            assert self.before is not None
            state.rollback(self.before)
            self.save()
            return Outcome.STOPPED
        finally:
            if self.world is not None:
                self.world.envs.close()

    @property
    def progress(self) -> Progress:
        """The progress of the run, as `settings_at` needs it."""
        state = self.state
        length = state.config.length
        return Progress(state.completed, length.episodes, state.step, state.starts, length.steps)

    # ---------------------------------------------------- Orders ----------------------------------------------------

    def take_orders(self) -> Orders:
        """Get the orders; edits and lengths are applied or refused here, the loop handles the rest."""
        orders = self.hooks.orders()
        for edit in orders.edits:
            self.decide(edit)
        for longer in orders.longer:
            self.lengthen(longer)
        return orders

    def decide(self, edit: Edit) -> None:
        """Apply an edit of the curriculum, or refuse it."""
        try:
            check_edit(self.curriculum, edit.curriculum, self.progress)
            check_experts(edit.curriculum, self.state.config.policy.experts)
            check_facts(edit.curriculum, self.state.config.episode_facts)
            check_run(self.state.config.environment, edit.curriculum, allow_import=True)
        except V3Error as reason:
            self.hooks.edit_rejected(edit, str(reason))
        else:
            self.curriculum = edit.curriculum
            self.hooks.edit_applied(edit, self.state.completed)

    def lengthen(self, longer: Longer) -> None:
        """Train for longer than planned, or refuse to."""
        state = self.state
        try:
            length = state.config.length.extended(
                longer.episodes,
                longer.steps,
                at=(state.completed, state.step),
                environments=state.config.ppo.environments,
            )
        except V3Error as reason:
            self.hooks.length_rejected(longer, str(reason))
            return
        before, self.curriculum = self.curriculum, lengthened(self.curriculum, self.progress)
        state.config = state.config.model_copy(update=vars(length))
        state.last_rollout = state.before_end = None  # the run continues from here
        changed = None if self.curriculum == before else self.curriculum
        self.hooks.length_applied(replace(longer, **vars(length)), changed, state.completed)

    def interrupted(self) -> bool:
        """In the middle of long work: do what cannot wait for its end; returns whether to leave it.

        Checkpoints are of the end of the rollout before: its episodes are all recorded, and the environments can be
        brought back to there, for their bookmark is. Before the loop there is nothing that a new one could hold.
        """
        orders = self.hooks.urgent()
        if orders.stop:
            return True
        if (orders.pause or orders.checkpoint) and self.before is not None:
            self.save(as_of=self.before)
        if orders.pause:
            began = time.perf_counter()
            self.hooks.hold(self.state.completed, in_rollout=True)
            self.held_seconds += time.perf_counter() - began
        return False

    # -------------------------------------------------- Evaluation --------------------------------------------------

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation belongs after the episodes that are complete, and was not taken yet."""
        evaluation, completed, last = self.state.config.evaluation, self.state.completed, self.state.evaluated
        if not evaluation.episodes or not completed:
            return False
        if self.progress.is_complete and self.state.evaluated_step < self.state.step:
            return True  # at the end also if no episode was completed since: the policy is another
        every = evaluation.every
        return every is not None and completed // every > last // every

    def evaluate(self) -> None:
        """Evaluate the policy in the routing of its last rollout, and see what each expert does meanwhile."""
        state, evaluation = self.state, self.state.config.evaluation
        sample, spec = StateSample(EVALUATION_SEED), state.spec.of(state.environment)
        tape = Tape(state.environment, discount=state.config.ppo.gamma, reward_scale=state.return_scale.scale)
        episodes = evaluate(
            state.backend,
            spec,
            evaluation.episodes * max(1, len(state.environment.tasks)),
            sampled=evaluation.sampled,
            interrupted=self.interrupted,
            sample=sample,
            tape=tape,
        )
        experts, knockouts = expert_report(state.policy, sample, spec), self.knock_out()
        state.evaluated, state.evaluated_step = state.completed, state.step
        replays = tape.chosen(state.policy, kept_in=spec if self.checkpoint_follows else None)
        env = str(state.environment)
        self.hooks.evaluated(Evaluation(state.completed, state.step, env, episodes, experts, knockouts, replays))

    @property
    def checkpoint_follows(self) -> bool:
        """Whether these weights are written to a checkpoint that is kept: at the end of the run, or of a phase."""
        return self.progress.is_complete or self.state.phase_due(self.curriculum, self.progress)

    def knock_out(self) -> dict[int, tuple[EvaluationEpisode, ...]]:
        """At the end of the run, episodes without each expert, unless its config says none."""
        state, evaluation = self.state, self.state.config.evaluation
        if not self.progress.is_complete:
            return {}
        trained, experts = state.completed, state.config.policy.experts
        if not (count := episodes_at_end(evaluation.knockout, trained=trained, experts=experts)):
            return {}
        spec = state.spec.of(state.environment)
        return knock_out(state.backend, spec, count, sampled=evaluation.sampled, interrupted=self.interrupted)

    # ----------------------------------------------------- Phase ----------------------------------------------------

    def enter_phase(self) -> Settings:
        """Start every phase that is due, each with a checkpoint; returns the current settings, after applying them."""
        state = self.state
        began: list[Settings] = []
        while not state.starts or state.phase_due(self.curriculum, self.progress):
            phase = len(state.starts)
            planned = 0 if phase == 0 else self.curriculum.planned_ends[phase - 1]
            state.starts = (*state.starts, PhaseStart(state.completed, state.step))
            state.recent.clear()
            state.recent_facts.clear()
            state.recent_routing.begin_phase()
            name = self.curriculum.phases[phase].name
            self.hooks.phase_changed(PhaseChange(phase, name, planned, episode=state.completed, step=state.step))
            began.append(self.settings)
        for settings in began:
            if self.world is not None:
                self.world.under_way.begin_phase()
            state.apply(settings)
            self.save()
        settings = self.settings
        state.apply(settings)
        return settings

    @property
    def settings(self) -> Settings:
        """The settings of the curriculum at this point."""
        return settings_at(self.curriculum, self.progress, self.state.config.base.values())

    def enter_world(self) -> World:
        """The environments of the phase in force, made if it names others than the phase before."""
        if self.world is None or self.world.environment != self.state.environment:
            if self.world is not None:
                self.world.envs.close()
                self.world = None
            self.world = World.of(self.state.environment, self.state, self.interrupted)
        return self.world

    def limits(self) -> tuple[int, int | None]:
        """Episodes, and steps of each environment, that are left to the next boundary; None is no bound."""
        progress = self.progress
        steps = steps_left(self.curriculum, progress)
        episodes = max(1, episodes_left(self.curriculum, progress))
        return episodes, None if steps is None else -(-steps // self.state.config.ppo.environments)

    # ----------------------------------------------------- Update ---------------------------------------------------

    def learn(self, rollout: Rollout, settings: Settings) -> Learned:
        """One update from one rollout; then, and only then, what normalises observations and rewards moves on.

        If a number is not finite nothing is learned: policy, optimiser and normalisation stay as the last good
        update left them.
        """
        state, ppo = self.state, self.state.config.ppo
        state.updates += 1
        trouble, remedy = rollout.unusable() or (None, "")
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
            samples = samples_of(rollout, advantages, targets, state.device)
            try:
                done = update(state.backend, samples, settings.coefficients, ppo, state.random, self.interrupted)
            except NonFiniteUpdateError:
                trouble = _("the loss or its gradient is not finite at learning rate {rate:g}", rate=state.optimizer.lr)
                remedy = _("lower it")
                assert self.before is not None
                state.rollback_update(self.before)
            else:
                state.policy.tokens.update_normalisation(samples.observations)
                state.return_scale.update(targets * scale)
                if speed := _bias_speed(settings):
                    state.balance_bias(rollout.gates, speed)
                state.failures_in_a_row = 0
                return Learned(done, explained)
        state.rollbacks += 1
        state.failures_in_a_row += 1
        self.hooks.update_undone(trouble, state.failures_in_a_row)
        return Learned(Update.nothing(state.config.policy.experts), trouble=trouble, remedy=remedy)

    # ----------------------------------------------------- Record ---------------------------------------------------

    def record(self, played: Played, learned: Learned, settings: Settings, world: World) -> None:
        """Update the counters from a rollout, and record its completed episodes."""
        state = self.state
        finished = world.under_way.finished(played)[: state.config.episodes - state.completed]
        parts = {**vars(learned.update), **vars(self.in_force(settings, learned, str(world.environment)))}
        records = [
            EpisodeRecord(
                **vars(acted),
                **parts,
                **state.recent_routing.add(acted),
                episode=state.completed + number,
                step=state.step + steps,
                explained_variance=learned.explained_variance,
                rollbacks=state.rollbacks,
            )
            for number, (steps, acted) in enumerate(finished, start=1)
        ]
        before = state.completed
        state.completed += len(records)
        state.step += played.steps
        state.recent.extend((record.return_, record.length, record.success) for record in records)
        if state.config.episode_facts:
            facts = [json.loads(record.facts or "{}") for record in records]
            state.recent_facts.extend(map(_numbers, facts))
            self.remark_on_words(facts)
            state.facts_seen.update(*facts)
            if before < EPISODES_WITHOUT <= state.completed:
                self.remark_on_missing_facts()
        world.pass_on_remarks(self.hooks.remark)
        self.hooks.record(records, state.step)

    def remark_on_words(self, facts: Iterable[dict[str, float | str]]) -> None:
        """Report, once, that a phase waits for a fact that is a word: its trigger never fires."""
        phases = self.curriculum.phases
        phase = phases[min(len(self.state.starts), len(phases)) - 1]
        watched = phase.until.fact if phase.until is not None else None
        if watched is None or self.remarked_on_words:
            return
        word = next((one[watched] for one in facts if isinstance(one.get(watched), str)), None)
        if word is not None:
            self.remarked_on_words = True
            self.hooks.remark(
                _(
                    "Phase '{phase}' waits for the episode fact '{fact}', which is a word here, '{word}', and not a "
                    "number, so that its trigger does not fire; edit the curriculum to watch another fact.",
                    phase=phase.name,
                    fact=watched,
                    word=word,
                )
            )

    def remark_on_missing_facts(self) -> None:
        """Report facts that no episode had, whose paths are probably wrong, and the phases that wait for them."""
        for name, path in self.state.config.episode_facts.items():
            if name in self.state.facts_seen:
                continue
            waiting = [one for one in self.curriculum.phases if one.until is not None and one.until.fact == name]
            template = _(
                "No episode so far has a number or a text at info['{path}'] at its end, so the fact '{name}' is not "
                "recorded."
            )
            if waiting:
                template = _(
                    "No episode so far has a number or a text at info['{path}'] at its end, so the fact '{name}' is "
                    "not recorded, and phase '{phase}' waits for it."
                )
            phase = waiting[0].name if waiting else ""
            self.hooks.remark(template.filled(path=path, name=name, phase=phase))

    def in_force(self, settings: Settings, learned: Learned, env: str) -> InForce:
        """The settings that router, optimiser and loss really used."""
        gating = self.state.policy.gating
        topk = gating.routing == "topk"
        return InForce(
            phase=settings.phase_name,
            env=env,
            lr=self.state.optimizer.lr,
            temperature=gating.temperature,
            routing=gating.routing,
            alpha=gating.alpha if gating.routing == "entmax" else None,
            top_k=min(gating.top_k, self.state.config.policy.experts) if topk else None,
            top_k_weights=gating.top_k_weights if topk else None,
            jitter=gating.jitter,
            bias_speed=_bias_speed(settings) if learned.trouble is None else 0.0,
            **settings.coefficients,
        )

    # --------------------------------------------------- Checkpoint -------------------------------------------------

    def keep_before_end(self, *, apart: bool) -> None:
        """Keep the end of the rollout before the last: in a checkpoint `apart`, or within the last one.

        Checkpoints are known by their complete episodes, so there is none apart if the last rollout completes none.
        """
        state = self.state
        if apart:
            self.save(as_of=self.before)
        else:
            now = state.snapshot()
            assert self.before is not None
            state.rollback(self.before)
            state.before_end = copy.deepcopy(self.contents())
            state.rollback(now)
        state.last_rollout = (state.completed, state.step)

    def contents(self) -> dict[str, Any]:
        """What a checkpoint contains of the present state."""
        state, world = self.state, self.world
        # The environments of the phase before are not continued with.
        kept = world.state_dict() if world is not None and world.environment == state.environment else None
        return {**state.state_dict(), "world": kept}

    def save(self, as_of: Snapshot | None = None) -> None:
        """Write a checkpoint of the current state, or during a rollout of the end of the previous one."""
        state, began = self.state, time.perf_counter()
        now = state.snapshot() if as_of else None
        if as_of:
            state.rollback(as_of)
        path = self.hooks.checkpoint_path(state.completed)
        save_checkpoint(path, self.contents())
        self.hooks.checkpoint_saved(path, state.completed, state.step)
        if now:
            state.rollback(now)
        else:
            self.saved_at = self.clock()
        self.saving_seconds += time.perf_counter() - began

    def resume(self, checkpoint: Path, loaded: dict[str, Any]) -> None:
        """Restore the environments of a checkpoint; those that cannot be restored are created again."""
        config, state = self.state.config, self.state
        known = imports_of(config.environment, [self.curriculum])
        check_import(checkpoint, state.environment, known)
        if self.progress.is_complete:
            return
        try:
            if reason := _other_world(config, loaded):
                raise ReplayError(reason)
            if "world" not in loaded:
                raise ReplayError("the checkpoint is from an older version, which did not store them")
            if (kept := loaded["world"]) is not None:
                check_import(checkpoint, EnvironmentSetup(kept["env"]), known)
                self.world = World.restored(kept, state, self.interrupted)
        except ReplayError as reason:
            why = str(reason).rstrip(".")
            self.hooks.remark(_("The unfinished episodes start from scratch: {reason}.", reason=why))


def _other_world(config: RunConfig, loaded: dict[str, Any]) -> str:
    """Why a fork does not continue the environments of the checkpoint that it begins with; empty if it does."""
    trained = json.loads(loaded["config"])
    if trained["seed"] != config.seed:
        return _("the fork has seed {seed}, the checkpoint {other}", seed=config.seed, other=trained["seed"])
    count = trained.get("ppo", {}).get("environments", PPOConfig().environments)
    if count != config.ppo.environments:
        return _(
            "the fork has {environments} environments, the checkpoint {other}",
            environments=config.ppo.environments,
            other=count,
        )
    return ""


def _numbers(facts: dict[str, float | str]) -> dict[str, float]:
    """Those of an episode's facts that a trigger can watch."""
    return {name: fact for name, fact in facts.items() if not isinstance(fact, str)}


def _bias_speed(settings: Settings) -> float:
    """Of the bias balancing, which routing `topk` alone has."""
    return settings.bias_speed if settings.routing == "topk" else 0.0
