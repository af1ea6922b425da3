"""The environments and their episodes in progress, and how they are saved and restored.

An environment cannot be copied in general, so its unfinished episode is played again: decision 10 says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from v3core.environment_setup import EnvironmentSetup
from v3core.environments import EnvironmentBatch, ReplayError, UnfinishedEpisode
from v3core.errors import V3Error
from v3core.interruption import never
from v3core.messages import _
from v3core.training.checkpoint import to_arrays, to_tensors
from v3core.training.rollout import Collector
from v3core.training.situation_tags import SituationTags
from v3core.training.state import TrainingState
from v3core.training.statistics import EpisodeStatistics


@dataclass
class World:
    """The environments of the phase in force."""

    environment: EnvironmentSetup
    envs: EnvironmentBatch
    collector: Collector
    under_way: EpisodeStatistics
    described: bool = False
    remarked: bool = False
    without_situations: bool = False

    @classmethod
    def of(
        cls, environment: EnvironmentSetup, state: TrainingState, interrupted: Callable[[], bool] = never
    ) -> "World":
        """Environments at their beginning.

        Raises:
            EnvironmentFailureError: if one cannot be made or reset.
            Interrupted: if `interrupted` is true, which is checked before each is created.
        """
        # Decided by the run's seed; later in a run not the episodes that it began with.
        config = state.config
        seeds = (config.seed, state.completed) if state.completed else (config.seed,)
        count = config.ppo.environments
        spec, facts = state.spec.of(environment), config.episode_facts
        envs = EnvironmentBatch(spec, count, *seeds, interrupted=interrupted, facts=facts)
        collector = Collector(envs, config.ppo.rollout_steps, state.backend, state.generator)
        statistics = EpisodeStatistics(count, config.policy.experts, SituationTags(spec.graph, count))
        return cls(environment, envs, collector, statistics)

    @classmethod
    def restored(cls, kept: dict[str, Any], state: TrainingState, interrupted: Callable[[], bool] = never) -> "World":
        """Environments in which the unfinished episodes of a checkpoint's `state_dict` and state are in progress again.

        Raises:
            ReplayError: in half a sentence, if one of them cannot be brought back.
            Interrupted: if `interrupted` is true, which is checked before every step that is played again.
        """
        config = state.config
        try:
            environment = EnvironmentSetup(kept["env"], kept.get("env_args", {}), config.wrappers, config.view)
            world = cls.of(environment, state, interrupted)
        except V3Error as trouble:
            raise ReplayError(str(trouble)) from trouble
        try:
            episodes = [UnfinishedEpisode(**episode) for episode in to_arrays(kept["episodes"])]
            world.envs.replay(episodes, interrupted)
            world.under_way.load_state_dict(to_arrays(kept["statistics"]))
            if (memory := kept.get("memory")) is not None:
                world.collector.remember(memory)
        except BaseException:
            world.envs.close()
            raise
        return world

    def describe(self, sees: Callable[[str], None]) -> None:
        """Report, once, what of the environments the policy sees: known after the first rollout."""
        if not self.described:
            self.described = True
            sees(self.envs.sees())

    def pass_on_remarks(self, remark: Callable[[str], None]) -> None:
        """Report, once, what the environments said that does not count, and that their situations failed."""
        if self.envs.odd_end is not None and not self.remarked:
            self.remarked = True
            remark(f"Environment {self.environment.env_id}: {self.envs.odd_end}")
        if (failure := self.under_way.situations_failure) is not None and not self.without_situations:
            self.without_situations = True
            remark(
                _(
                    "No situations are recorded from here on, until the run is resumed: {failure}",
                    failure=failure.message,
                )
            )

    def bookmark(self) -> None:
        """From now on checkpoints are of this moment, between an update and the next rollout."""
        self.envs.bookmark()
        self.collector.bookmark()

    def state_dict(self) -> dict[str, Any]:
        """As of the newest bookmark, for a checkpoint: tensors and plain values."""
        memory = self.collector.memory
        return {
            "env": self.environment.env_id,
            "env_args": dict(self.environment.args),
            "episodes": [to_tensors(dict(vars(episode))) for episode in self.envs.unfinished()],
            "statistics": to_tensors(self.under_way.state_dict()),
            **({} if memory is None else {"memory": memory.cpu()}),
        }
