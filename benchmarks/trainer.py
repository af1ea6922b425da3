"""Environment steps per second of whole training, against Stable-Baselines3's PPO with this same network.

Both take the same environments, rollout length, minibatch, epochs and coefficients; both are timed from the end of
their first rollout and update on, by turns, in one process and one thread. Ours does more: it balances the load and
keeps the statistics of every episode.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import _bench
import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn
from torch_geometric.nn import GATConv

from v3core.config import BaseConfig, EvaluationConfig, PolicyConfig, PPOConfig, RunConfig
from v3core.curriculum import load_preset, scaled
from v3core.environment_setup import VIEW
from v3core.environments import EnvironmentBatch, EnvironmentSpec, check_environment, make_environment
from v3core.environments.encode import encoder
from v3core.environments.make import graph_of
from v3core.policy import GATMoEPolicy
from v3core.training.hooks import Orders
from v3core.training.trainer import train

ENVIRONMENTS = ("CartPole-v1", "MiniGrid-DoorKey-5x5-v0")
PPO_CONFIG = PPOConfig(environments=8, rollout_steps=128, minibatch=256, epochs=10)
POLICY = PolicyConfig(width=32, heads=4, layers=2, experts=4)
LR = 2.5e-4
TURNS = 5
ROLLOUTS = 2
"""Timed rollouts and updates of a turn, after one that is not."""


class _Policy(ActorCriticPolicy):
    """A network of ours in the place of Stable-Baselines3's own."""

    def __init__(self, *args: Any, network: Callable[[], nn.Module], **kwargs: Any) -> None:
        self._make = network
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        self.network = self._make()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr_schedule(1), eps=1e-5)

    def forward(self, obs: Any, deterministic: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Actions, values and log-probabilities of a step."""
        outputs, values = self.network(obs)[:2]
        distribution = self.action_dist.proba_distribution(action_logits=outputs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, values.unsqueeze(1), distribution.log_prob(actions)

    def evaluate_actions(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Values, log-probabilities and entropy of a minibatch."""
        outputs, values = self.network(obs)[:2]
        distribution = self.action_dist.proba_distribution(action_logits=outputs)
        return values.unsqueeze(1), distribution.log_prob(actions), distribution.entropy()

    def predict_values(self, obs: Any) -> torch.Tensor:
        """Values of a batch."""
        return self.network(obs)[1].unsqueeze(1)


class PlainNetwork(GATMoEPolicy):
    """The same network written the usual way: PyTorch Geometric's layers, a list of experts, batch first."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        super().__init__(spec, POLICY)
        width, nodes = POLICY.width, spec.graph.nodes
        self.gat = nn.ModuleList(
            GATConv(width, width // POLICY.heads, POLICY.heads, add_self_loops=False) for _ in range(POLICY.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(POLICY.layers))
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, spec.actions.outputs))
            for _ in range(POLICY.experts)
        )
        receivers, senders = np.nonzero(spec.graph.neighbours)
        self.edges = torch.from_numpy(np.stack([senders, receivers]))
        self.nodes = nodes
        self.batched: dict[int, torch.Tensor] = {}

    def forward(self, observations: torch.Tensor) -> Any:
        """Action logits and values."""
        batch = len(observations)
        if batch not in self.batched:
            self.batched[batch] = torch.cat([self.edges + self.nodes * copy for copy in range(batch)], 1)
        x = self.tokens(observations).permute(2, 1, 0).reshape(batch * self.nodes, -1)
        for norm, layer in zip(self.norms, self.gat, strict=True):
            x = x + nn.functional.elu(layer(norm(x), self.batched[batch]))
        flat = x.reshape(batch, -1)
        scene = torch.tanh(self.readout(flat))
        gates = torch.softmax(self.router(scene), 1)
        outputs = torch.stack([expert(scene) for expert in self.experts], 1)
        return (gates.unsqueeze(2) * outputs).sum(1), self.value(flat).squeeze(1)


class _Flat(gymnasium.ObservationWrapper[Any, Any, Any]):
    """A MiniGrid's observation as the row that our own trainer learns from."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._graph = graph_of(env)
        self._encode = encoder(self._graph)
        self.observation_space = gymnasium.spaces.Box(0, 255, (self._graph.size,), np.uint8)

    def observation(self, observation: Any) -> Any:
        """The flat row."""
        row = np.zeros(self._graph.size, dtype=np.uint8)
        self._encode(observation, row)
        return row


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
    if isinstance(env.observation_space, gymnasium.spaces.Dict):
        return _Flat(env)
    return env


def ours(env_id: str, seed: int) -> float:
    """Steps per second of our trainer."""
    import v3core.training.trainer as trainer

    trainer.Trainer.save = lambda *_, **__: None  # no disk on either side
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
        view=VIEW,
    )
    hooks = _Hooks()
    train(config, curriculum=config.curriculum, hooks=hooks)
    (first, before), (last, after) = hooks.ends[0], hooks.ends[-1]
    return (after - before) / (last - first)


def peer(env_id: str, plain: bool, seed: int) -> float:
    """Steps per second of Stable-Baselines3."""
    spec = check_environment(env_id, allow_import=False)

    def network() -> nn.Module:
        return PlainNetwork(spec) if plain else GATMoEPolicy(spec, POLICY)

    envs = DummyVecEnv([lambda: _environment(env_id)] * PPO_CONFIG.environments)
    steps = PPO_CONFIG.environments * PPO_CONFIG.rollout_steps
    model = PPO(
        _Policy,
        envs,
        n_steps=PPO_CONFIG.rollout_steps,
        batch_size=PPO_CONFIG.minibatch,
        n_epochs=PPO_CONFIG.epochs,
        learning_rate=LR,
        ent_coef=0.01,
        device="cpu",
        seed=seed,
        policy_kwargs={"network": network, "normalize_images": False},
    )
    clock = _Clock()
    model.learn(steps * (ROLLOUTS + 1), callback=clock)
    return steps * ROLLOUTS / (time.perf_counter() - clock.starts[1])


def floor(env_id: str, seed: int) -> float:
    """Steps per second if the network's arithmetic and the environments were all there is."""
    torch.manual_seed(seed)
    spec = check_environment(env_id, allow_import=False)
    network = GATMoEPolicy(spec, POLICY)
    envs = EnvironmentBatch(spec, PPO_CONFIG.environments, seed)
    steps = PPO_CONFIG.environments * PPO_CONFIG.rollout_steps
    seen = torch.from_numpy(np.repeat(envs.observations, PPO_CONFIG.minibatch // PPO_CONFIG.environments, 0))
    actions = np.zeros((PPO_CONFIG.environments, spec.actions.components), dtype=np.int64)
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(PPO_CONFIG.rollout_steps):
            network(torch.from_numpy(envs.observations))
            envs.step(actions)
    for _ in range(PPO_CONFIG.epochs * steps // PPO_CONFIG.minibatch):
        output = network(seen)
        (output.outputs.sum() + output.values.sum()).backward()
    return steps / (time.perf_counter() - start)


def benchmark() -> list[_bench.Result]:
    """For each environment: against the very same module, the usual way to write it, and the floor."""
    results = []
    for env_id in ENVIRONMENTS:
        mine = partial(ours, env_id)
        for name, other in (
            ("SB3, this same network", partial(peer, env_id, False)),
            ("SB3, the network written with PyG", partial(peer, env_id, True)),
            ("floor: network and environments alone", partial(floor, env_id)),
        ):
            results.append(_bench.rates(f"{env_id}, {name}", mine, other, turns=TURNS, unit="steps/s"))
    return results


if __name__ == "__main__":
    _bench.main(benchmark, "Environment steps per second of training, against Stable-Baselines3 with the same network.")
