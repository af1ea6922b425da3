"""Environment steps per second of whole training, against Stable-Baselines3's PPO with this same network.

Both take the same environments, rollout length, minibatch, epochs and coefficients; both are timed from the end of
their first rollout and update on, by turns, in one process and one thread. Ours does more: it balances the load and
keeps the statistics of every episode.
"""

import time
from functools import partial
from typing import Any

import _bench
import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv

from v3core.config import BaseConfig, EvaluationConfig, PolicyConfig, PPOConfig, RunConfig
from v3core.curriculum import load_preset, scaled
from v3core.environments import check_environment, make_environment
from v3core.policy import GATMoEPolicy
from v3core.training.hooks import Orders
from v3core.training.trainer import train

ENVIRONMENTS = ("CartPole-v1", "MiniGrid-DoorKey-5x5-v0")
PPO_CONFIG = PPOConfig(environments=8, rollout_steps=128, minibatch=256, epochs=10)
POLICY = PolicyConfig(width=32, heads=4, layers=2, experts=4)
LR = 2.5e-4
TURNS = 5
ROLLOUTS = 3
"""Timed rollouts and updates of a turn, after one that is not."""


class SamePolicy(ActorCriticPolicy):
    """Our network in the place of Stable-Baselines3's own."""

    def __init__(self, *args: Any, spec: Any, **kwargs: Any) -> None:
        self._spec = spec
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        self.network = GATMoEPolicy(self._spec, POLICY)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr_schedule(1), eps=1e-5)

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Actions, values and log-probabilities of a step."""
        output = self.network(obs)
        distribution = self.action_dist.proba_distribution(action_logits=output.outputs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, output.values.unsqueeze(1), distribution.log_prob(actions)

    def evaluate_actions(
        self, obs: Any, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Values, log-probabilities and entropy of a minibatch."""
        output = self.network(obs)
        distribution = self.action_dist.proba_distribution(action_logits=output.outputs)
        return output.values.unsqueeze(1), distribution.log_prob(actions), distribution.entropy()

    def predict_values(self, obs: Any) -> torch.Tensor:
        """Values of a batch."""
        return self.network.values(obs).unsqueeze(1)


class _Clock(BaseCallback):
    """When each rollout began."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[float] = []

    def _on_rollout_start(self) -> None:
        self.starts.append(time.perf_counter())

    def _on_step(self) -> bool:
        return True


class _Hooks:
    """Stops training after the timed rollouts; keeps nothing."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, int]] = []

    def orders(self) -> Orders:
        return Orders(stop=len(self.ends) > ROLLOUTS)

    def record(self, _: Any, step: int) -> None:
        self.ends.append((time.perf_counter(), step))

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def _environment(env_id: str) -> gymnasium.Env[Any, Any]:
    env = make_environment(env_id)
    if len(env.observation_space.shape or ()) > 1:
        # Stable-Baselines3 would take a symbolic grid for an image and turn its axes.
        return gymnasium.wrappers.FlattenObservation(env)
    return env


def ours(env_id: str, seed: int) -> float:
    """Steps per second of our trainer."""
    import v3core.training.trainer as trainer

    trainer._save = lambda *_: None  # no disk on either side
    config = RunConfig(
        name="benchmark",
        env=env_id,
        seed=seed,
        episodes=1_000_000,
        curriculum=scaled(load_preset("v3"), 1_000_000),
        base=BaseConfig(lr=LR, entropy=0.01),
        ppo=PPO_CONFIG,
        policy=POLICY,
        evaluation=EvaluationConfig(episodes=0),
        device="cpu",
    )
    hooks = _Hooks()
    train(config, curriculum=config.curriculum, hooks=hooks)
    (first, before), (last, after) = hooks.ends[0], hooks.ends[-1]
    return (after - before) / (last - first)


def peer(env_id: str, seed: int) -> float:
    """Steps per second of Stable-Baselines3."""
    spec = check_environment(env_id, allow_import=False)
    envs = DummyVecEnv([lambda: _environment(env_id)] * PPO_CONFIG.environments)
    steps = PPO_CONFIG.environments * PPO_CONFIG.rollout_steps
    model = PPO(
        SamePolicy,
        envs,
        n_steps=PPO_CONFIG.rollout_steps,
        batch_size=PPO_CONFIG.minibatch,
        n_epochs=PPO_CONFIG.epochs,
        learning_rate=LR,
        ent_coef=0.01,
        device="cpu",
        seed=seed,
        policy_kwargs={"spec": spec, "normalize_images": False},
    )
    clock = _Clock()
    model.learn(steps * (ROLLOUTS + 1), callback=clock)
    return steps * ROLLOUTS / (time.perf_counter() - clock.starts[1])


def benchmark() -> list[_bench.Result]:
    """One result per environment."""
    return [
        _bench.rates(env_id, partial(ours, env_id), partial(peer, env_id), turns=TURNS, unit="steps/s")
        for env_id in ENVIRONMENTS
    ]


if __name__ == "__main__":
    _bench.main(benchmark, "Environment steps per second of training, against Stable-Baselines3 with the same network.")
