"""Environment steps per second of whole training, against Stable-Baselines3's PPO with this same network.

Both take the same environments, rollout length, minibatch, epochs and coefficients; both are timed from the end of
their first rollout and update on, by turns, in one process and one thread, in wall time and in processor time, which
other processes of the machine disturb less. Ours does more: it balances the load and keeps the statistics of every
episode.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import _bench
import gymnasium
import numpy as np
import torch
from _training import LR, POLICY, PPO_CONFIG, ROLLOUTS, Times, config_of, now, ours
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torch_geometric.nn import GATConv

from v3core.curriculum import PhaseStart, Progress, settings_at
from v3core.environments import EnvironmentBatch, EnvironmentSpec, check_environment, make_environment
from v3core.environments.encode import encoder
from v3core.environments.make import graph_of
from v3core.native.library import VARIABLE
from v3core.policy import GATMoEPolicy
from v3core.training.eager import EagerBackend
from v3core.training.ppo import samples_of
from v3core.training.rollout import Collector
from v3core.training.state import TrainingState

ENVIRONMENTS = ("CartPole-v1", "MiniGrid-DoorKey-5x5-v0")
TURNS = 5


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
        self.starts: list[Times] = []

    def _on_rollout_start(self) -> None:
        self.starts.append(now())

    def _on_step(self) -> bool:
        return True


def _environment(env_id: str) -> gymnasium.Env[Any, Any]:
    env = make_environment(env_id)
    if isinstance(env.observation_space, gymnasium.spaces.Dict):
        return _Flat(env)
    return env


def peer(env_id: str, network: Callable[[EnvironmentSpec], nn.Module] | None, seed: int) -> Times:
    """Steps per second of Stable-Baselines3, with a network of ours or, without one, its own `MlpPolicy`."""
    policy: Any = "MlpPolicy"
    arguments = None
    if network is not None:
        spec = check_environment(env_id, allow_import=False)
        policy, arguments = _Policy, {"network": partial(network, spec), "normalize_images": False}
    envs = DummyVecEnv([lambda: _environment(env_id)] * PPO_CONFIG.environments)
    steps = PPO_CONFIG.environments * PPO_CONFIG.rollout_steps
    model = PPO(
        policy,
        envs,
        n_steps=PPO_CONFIG.rollout_steps,
        batch_size=PPO_CONFIG.minibatch,
        n_epochs=PPO_CONFIG.epochs,
        learning_rate=LR,
        ent_coef=0.01,
        device="cpu",
        seed=seed,
        policy_kwargs=arguments,
    )
    clock = _Clock()
    model.learn(steps * (ROLLOUTS + 1), callback=clock)
    return steps * ROLLOUTS / (now() - clock.starts[1])


def training(env_id: str) -> list[_bench.Result]:
    """Whole training on the native library against everything else, by turns in one process."""
    contenders: dict[str, Callable[[int], Times]] = {
        "native": lambda seed: ours(config_of(env_id, seed), native=True),
        "ours on torch": lambda seed: ours(config_of(env_id, seed), native=False),
        "SB3, this same network": partial(peer, env_id, lambda spec: GATMoEPolicy(spec, POLICY)),
        "SB3, the network written with PyG": partial(peer, env_id, PlainNetwork),
        "SB3, MlpPolicy: no graph, no experts": partial(peer, env_id, None),
    }
    turns: dict[str, list[Times]] = {name: [] for name in contenders}
    for turn in range(TURNS):
        for name, run in contenders.items():
            turns[name].append(run(turn))
    rates = {name: np.median(found, 0) for name, found in turns.items()}
    return [
        _bench.Result(
            f"{env_id}, native / {name}",
            round(float(rates["native"][clock]), 1),
            round(float(rate[clock]), 1),
            round(float(rates["native"][clock] / rate[clock]), 3),
            unit,
        )
        for name, rate in rates.items()
        if name != "native"
        for clock, unit in enumerate(("steps/s", "steps per processor second"))
    ]


class Learning:
    """A training state with the samples of its first rollout."""

    def __init__(self, env_id: str) -> None:
        os.environ[VARIABLE] = "1"
        self.config = config_of(env_id, 1)
        self.spec = check_environment(self.config.environment, allow_import=False)
        self.state = state = TrainingState(self.config, self.spec)
        state.starts = (PhaseStart(0, 0),)
        progress = Progress(episode=0, episodes=self.config.episodes, step=0, starts=state.starts)
        self.settings = settings_at(self.config.curriculum, progress, self.config.base.values())
        state.apply(self.settings)
        state.optimizer.lr = 0.0
        self.eager = EagerBackend(state.policy, state.parameters, state.optimizer)
        envs = EnvironmentBatch(self.spec, PPO_CONFIG.environments, 1)
        rollout = Collector(envs, PPO_CONFIG.rollout_steps, self.eager, state.generator).collect(10**9)
        advantages = np.random.default_rng(1).normal(size=rollout.values.shape)
        self.samples = samples_of(rollout, advantages, rollout.values + advantages, torch.device("cpu"))
        self.chosen = torch.randperm(len(self.samples.actions))[: PPO_CONFIG.minibatch]

    def step(self, backend: EagerBackend) -> None:
        """One gradient step on a minibatch."""
        backend.gradient_step(self.samples, self.chosen, self.settings.coefficients, PPO_CONFIG)

    def act(self, backend: EagerBackend) -> None:
        """Actions of all environments at once."""
        with torch.inference_mode():
            backend.decide(self.samples.observations[: PPO_CONFIG.environments])

    def floor(self) -> float:
        """Seconds that a gradient step takes at least on this machine.

        Its products at the speed of one large product; parameters, gradient, moments and node features written and read
        once, at the speed of one large copy.
        """
        with FlopCounterMode(display=False) as counter:
            self.eager.loss(self.samples, self.chosen, self.settings.coefficients, PPO_CONFIG)[0].backward()
        graph, rows = self.spec.graph, len(self.chosen)
        features = rows * graph.nodes * POLICY.width * (2 * POLICY.layers + 1)  # before and after layers, and projected
        weights = rows * POLICY.layers * POLICY.heads * int(graph.neighbours.sum())
        floats = 2 * (4 * self.state.parameters.values.numel() + features + weights)
        one, other = torch.rand(2, 768, 768)
        product = _fastest(lambda: one @ other) / (2 * 768**3)
        large, room = torch.rand(2, 16 * 2**20)
        copied = _fastest(lambda: room.copy_(large)) / (2 * large.numel())
        return counter.get_total_flops() * product + floats * copied


def _fastest(call: Callable[[], object]) -> float:
    """Processor seconds of the fastest of 20 calls: what the machine can do."""
    times = []
    for _ in range(20):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def parts(env_id: str) -> list[_bench.Result]:
    """A gradient step against torch and the floor, acting against torch."""
    learning = Learning(env_id)
    native, eager = learning.state.backend, learning.eager
    native.prepare()
    step = _bench.compare(
        f"{env_id}, one gradient step, native / torch", lambda: learning.step(native), lambda: learning.step(eager)
    )
    floor = learning.floor() * 1e6
    fastest = _fastest(lambda: learning.step(native)) * 1e6
    above = _bench.Result(
        f"{env_id}, the floor / one gradient step", round(fastest, 2), round(floor, 2), round(floor / fastest, 3), "µs"
    )
    act = _bench.compare(
        f"{env_id}, acting for 8, native / torch", lambda: learning.act(native), lambda: learning.act(eager)
    )
    return [step, above, act]


def benchmark() -> list[_bench.Result]:
    """For each environment: whole training, a gradient step, acting."""
    return [result for env_id in ENVIRONMENTS for result in (*parts(env_id), *training(env_id))]


if __name__ == "__main__":
    _bench.main(benchmark, "Environment steps per second of training, against Stable-Baselines3 with the same network.")
