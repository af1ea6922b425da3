"""Small runs, and hooks that keep what the trainer reports in memory."""

from dataclasses import asdict

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from v3core.config import EvaluationConfig, PolicyConfig, PPOConfig, RunConfig
from v3core.curriculum import Curriculum
from v3core.environment_setup import VIEW
from v3core.training.checkpoint import load_checkpoint
from v3core.training.hooks import Orders

torch.set_num_threads(1)  # as in training; several threads only get in each other's way on tensors this small

ONE_PHASE = {"name": "only", "phases": [{"name": "one"}]}
THREE_PHASES = {
    "name": "three",
    "phases": [
        {"name": "one", "until": {"episode": 5}, "routing": "softmax", "temperature": 1.0, "lr": {"times": 1.0}},
        {"name": "two", "until": {"episode": 9}, "routing": "sparsemax", "temperature": {"from": 1.0, "to": 0.5}},
        {"name": "three", "temperature": 0.5, "lr": {"times": 0.1}, "load_balance": 0.005, "entropy": 0.002},
    ],
}


def reported(*recorders):
    """All that was reported, recorder after recorder, as text that has every bit and in which NaN equals NaN."""
    return [
        repr([asdict(entry) for recorder in recorders for entry in getattr(recorder, kind)])
        for kind in ("episodes", "phases", "evaluations")
    ]


def assert_same_checkpoint(path, other):
    """Two checkpoints hold the same, to the bit."""
    one, two = load_checkpoint(path), load_checkpoint(other)
    assert one.keys() == two.keys()
    for name in one:
        assert _bits(one[name]) == _bits(two[name]), name


def _bits(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {name: _bits(part) for name, part in value.items()}
    return [_bits(part) for part in value] if isinstance(value, list | tuple) else repr(value)


class Recorder:
    """Training hooks in memory. `calls` holds the names of all calls in order."""

    def __init__(self, folder, orders=None, interrupted=None):
        self.folder = folder
        self.episodes, self.phases, self.applied, self.rejected, self.saved, self.calls = [], [], [], [], [], []
        self.evaluations, self.undone, self.held, self.remarks = [], [], [], []
        self.device = None
        self.seen, self.times = [], []
        self._interrupted = interrupted or (lambda: False)
        self.at_hold = lambda: None
        self._orders = orders or (lambda _: Orders())

    def sees(self, text):
        self.seen.append(text)

    def trains_on(self, device, backend):
        self.device, self.backend = device, backend

    def record(self, episodes, step):
        self.episodes += episodes
        self.step = step
        self.calls.append("record")

    def spent(self, spent, steps):
        self.times.append((spent, steps))

    def evaluated(self, evaluation):
        self.evaluations.append(evaluation)
        self.calls.append("evaluated")

    def update_undone(self, reason, in_a_row):
        self.undone.append((reason, in_a_row))

    def phase_changed(self, change):
        self.phases.append(change)
        self.calls.append("phase_changed")

    def orders(self):
        return self._orders(self)

    def urgent(self):
        return Orders(stop=self._interrupted())

    def hold(self, episode, *, in_rollout=False):
        self.held.append(episode)
        self.at_hold()
        self.calls.append("hold")

    def remark(self, message):
        self.remarks.append(message)

    def edit_applied(self, edit, episode):
        self.applied.append((edit.id, episode))

    def edit_rejected(self, edit, reason):
        self.rejected.append((edit.id, reason))

    def length_applied(self, longer, curriculum, episode):
        self.applied.append((longer.id, episode))

    def length_rejected(self, longer, reason):
        self.rejected.append((longer.id, reason))

    def checkpoint_path(self, episode):
        return self.folder / f"{episode}.pt"

    def checkpoint_saved(self, path, episode, step):
        assert path.exists()
        self.saved.append((path, episode, step))
        self.calls.append("checkpoint_saved")


@pytest.fixture
def recorder(tmp_path):
    """Makes hooks; `orders` is a function of the recorder, called between update and rollout."""
    return lambda orders=None, interrupted=None: Recorder(tmp_path, orders, interrupted)


@pytest.fixture
def small_run():
    """Makes configs of runs that take a fraction of a second."""

    def make(
        env="CartPole-v1",
        *,
        episodes=12,
        seed=1,
        curriculum=None,
        experts=4,
        evaluate=0,
        every=None,
        args=None,
        wrappers=(),
        facts=None,
        memory="none",
        memory_width=None,
        **ppo,
    ):
        sizes = {"environments": 2, "rollout_steps": 16, "minibatch": 16, "epochs": 2} | ppo
        return RunConfig(
            name="test",
            env=env,
            env_args=args or {},
            wrappers=wrappers,
            episode_facts=facts or {},
            seed=seed,
            episodes=episodes,
            curriculum=Curriculum.model_validate(curriculum or THREE_PHASES),
            ppo=PPOConfig(**sizes),
            policy=PolicyConfig(width=16, heads=4, layers=2, experts=experts, memory=memory, memory_width=memory_width),
            evaluation=EvaluationConfig(episodes=evaluate, every=every),
            device="cpu",  # CUDA has its own rounding, and is not exact to the bit
            view=VIEW,
        )

    return make


class Choice(gymnasium.Env):
    """One step long: reward 1 for action 1 or 3 by the sign of the first feature. Actions count from 1, by twos off."""

    def __init__(self, length=1, reward=1.0):
        self.observation_space = spaces.Box(-1, 1, (3,), np.float32)
        self.action_space = spaces.Discrete(3, start=1)
        self._length, self._reward = length, reward

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._look(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self._steps += 1
        right = action == (1 if self._seen[0] < 0 else 3)
        return self._look(), self._reward * right, self._steps == self._length, False, {}

    def _look(self):
        self._seen = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return self._seen


class Clock(gymnasium.Env):
    """Observes how many steps it has made and never ends by itself; reward 1 a step."""

    def __init__(self):
        self.observation_space = spaces.Box(0, 1000, (1,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self._steps += 1
        return np.full(1, self._steps, np.float32), 1.0, False, False, {}


@pytest.fixture
def choice_env():
    """Registers `Choice` as `TestChoice-v0` with the given arguments."""

    def register(**kwargs):
        gymnasium.register("TestChoice-v0", entry_point=Choice, kwargs=kwargs)
        return "TestChoice-v0"

    yield register
    gymnasium.registry.pop("TestChoice-v0", None)


@pytest.fixture
def clock_env():
    """Registers `Clock` as `TestClock-v0` with a time limit of 5 steps."""
    gymnasium.register("TestClock-v0", entry_point=Clock, max_episode_steps=5)
    yield "TestClock-v0"
    gymnasium.registry.pop("TestClock-v0", None)
