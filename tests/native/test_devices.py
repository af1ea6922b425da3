"""Where a run computes: `auto` takes what is faster, and a resume continues there or says that it cannot.

Nothing here needs CUDA: it is made to look available, and what would be placed there stays on the CPU.
"""

import json

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.utils.flop_counter import FlopCounterMode

from tests.native.networks import ACTIONS, COEFFICIENTS, OBSERVATIONS, observations_of, spec_of
from tests.training.conftest import Recorder, reported
from v3core.config import PolicyConfig, PPOConfig
from v3core.environments import check_environment
from v3core.errors import V3Error
from v3core.policy import Gating, GATMoEPolicy
from v3core.training import state as training_state
from v3core.training.checkpoint import load_checkpoint, save_checkpoint
from v3core.training.hooks import Orders
from v3core.training.losses import Samples
from v3core.training.state import TrainingState
from v3core.training.trainer import train

LARGE = PolicyConfig(width=256, experts=16)
TOO_LARGE = "CUDA computes the network, because it is too large for the native library to be faster."
OTHER_NUMBERS = (
    "Continues on cpu with other random numbers, because the checkpoint was written on another kind of device."
)
GENERATOR_OF_CUDA = torch.tensor([7, *[0] * 15], dtype=torch.uint8)
"""Its state: a seed and an offset. That of the CPU has 5,056 bytes."""


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv("V3_NATIVE", raising=False)


@pytest.fixture
def places(monkeypatch):
    """Makes CUDA look available; lists the devices on which states were placed."""
    seen = []
    place = TrainingState._place

    def on_the_cpu(state, device):
        seen.append(device.type)
        place(state, torch.device("cpu"))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(TrainingState, "_place", on_the_cpu)
    return seen


def automatic(config, **changes):
    return config.model_copy(update={"device": "auto"} | changes)


def state_of(config, **changes):
    config = automatic(config, **changes)
    return TrainingState(config, check_environment(config.environment, allow_import=True))


def run(config, hooks, **options):
    return train(config, curriculum=config.curriculum, hooks=hooks, **options)


def stopped(config, folder):
    """The newest checkpoint of a run that was stopped."""
    hooks = Recorder(folder, lambda hooks: Orders(stop=hooks.calls.count("record") >= 3))
    run(config, hooks)
    return hooks.saved[-1][0]


class Images(gymnasium.Env):
    observation_space = spaces.Box(0, 255, (12, 12, 3), np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}


@pytest.fixture
def images():
    gymnasium.register("TestImages-v0", entry_point=Images)
    yield "TestImages-v0"
    gymnasium.registry.pop("TestImages-v0")


def test_a_small_network_stays_on_the_cpu_where_the_library_is_faster(small_run, places):
    for env in ("CartPole-v1", "MiniGrid-DoorKey-5x5-v0"):
        state = state_of(small_run(env, minibatch=256), policy=PolicyConfig(width=32))
        assert (state.backend.name, state.backend_remarks) == ("native", [])
    assert set(places) == {"cpu"}


def test_a_large_network_goes_to_cuda_and_says_why(small_run, places):
    state = state_of(small_run(minibatch=1024), policy=LARGE)
    assert (places[-1], state.backend.name, state.backend_remarks) == ("cuda", "eager", [TOO_LARGE])
    assert state.backend.parameters is state.parameters
    assert state.backend.optimizer is state.optimizer


def test_large_is_what_a_gradient_step_has_to_do(small_run, places):
    """The same network is large with many samples in a minibatch, and small with few."""
    for minibatch, expected in ((16, "cpu"), (1024, "cuda")):
        state_of(small_run(minibatch=minibatch), policy=LARGE)
        assert places[-1] == expected


def test_what_the_library_does_not_compute_goes_to_cuda(small_run, places, images, monkeypatch):
    state = state_of(small_run(images))
    assert (places[-1], state.backend.name) == ("cuda", "eager")
    assert "does not cover it: its observations have a part of kind image" in state.backend_remarks[0]
    monkeypatch.setenv("V3_NATIVE", "0")
    state = state_of(small_run())
    assert (places[-1], state.backend.name, state.backend_remarks) == ("cuda", "eager", [])


def test_a_choice_is_obeyed(small_run, places, monkeypatch):
    state_of(small_run(minibatch=1024), policy=LARGE, device="cpu")
    assert places.pop() == "cpu"
    monkeypatch.setenv("V3_NATIVE", "1")
    assert state_of(small_run(minibatch=1024), policy=LARGE).backend.name == "native"
    assert places.pop() == "cpu"
    state_of(small_run(), device="cuda")
    assert places[-1] == "cuda"


def test_without_cuda_everything_is_on_the_cpu(small_run, places, images, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    state = state_of(small_run(minibatch=1024), policy=LARGE)
    assert (state.backend.name, state.backend_remarks) == ("native", [])
    state_of(small_run(images))
    assert set(places) == {"cpu"}
    with pytest.raises(V3Error, match="CUDA is not available; use 'auto' or 'cpu'"):
        state_of(small_run(), device="cuda")


def test_a_resume_continues_on_the_device_of_its_backend(small_run, places, tmp_path, monkeypatch):
    """What the library trained before there was CUDA stays with it, and what torch trained stays with torch."""
    config = automatic(small_run())
    monkeypatch.setattr(training_state, "MOST_ON_THE_CPU", 10**18)
    native = stopped(config, tmp_path / "native")
    monkeypatch.setattr(training_state, "MOST_ON_THE_CPU", 0)
    hooks = Recorder(tmp_path / "native")
    run(config, hooks, checkpoint=native)
    assert (hooks.backend, places[-1], hooks.remarks) == ("native", "cpu", [])

    eager = stopped(config, tmp_path / "eager")
    assert json.loads(load_checkpoint(eager)["config"])["backend"] == "eager"
    monkeypatch.setattr(training_state, "MOST_ON_THE_CPU", 10**18)
    hooks = Recorder(tmp_path / "eager")
    run(config, hooks, checkpoint=eager)
    assert (hooks.backend, places[-1], hooks.remarks) == ("eager", "cuda", [])


def test_a_checkpoint_of_another_kind_of_device_is_continued_and_says_so(small_run, tmp_path):
    config = small_run(episodes=12)
    path = stopped(config, tmp_path)
    save_checkpoint(path, load_checkpoint(path) | {"torch_generator": GENERATOR_OF_CUDA})
    recorders = [Recorder(tmp_path / name) for name in ("one", "other")]
    for hooks in recorders:
        run(config, hooks, checkpoint=path)
        assert hooks.remarks == [OTHER_NUMBERS]
        assert hooks.episodes[-1].episode == 12
    assert reported(recorders[0]) == reported(recorders[1])


def test_a_checkpoint_from_elsewhere_does_not_begin_the_random_numbers_again(small_run, tmp_path):
    config = small_run(episodes=12)
    path = stopped(config, tmp_path)
    save_checkpoint(path, load_checkpoint(path) | {"torch_generator": GENERATOR_OF_CUDA})
    state = state_of(config)
    first = torch.rand(4, generator=state.generator)
    state.load(path)
    assert not torch.equal(torch.rand(4, generator=state.generator), first)


@pytest.fixture
def meta(small_run, monkeypatch):
    """A device that computes nothing but which device the result is on. It has no random generator."""

    class OnTheCPU(torch.Generator):
        def __new__(cls, device="cpu"):
            return super().__new__(cls, "cpu")

    monkeypatch.setattr(torch, "Generator", OnTheCPU)
    return torch.device("meta")


def test_everything_that_learns_is_placed_together(small_run, meta):
    state = state_of(small_run())
    state._place(meta)
    assert {tensor.device for tensor in (*state._tensors(), *state.policy.parameters())} == {meta}
    assert {parameter.grad.device for parameter in state.policy.parameters()} == {meta}
    assert state.device == meta


@pytest.mark.parametrize(
    ("observation", "action", "graph", "gating"),
    [
        *((observation, "discrete", "gatv1", Gating()) for observation in OBSERVATIONS),
        *(("dict", action, "gatv1", Gating()) for action in ACTIONS),
        *((observation, "discrete", "gatv2", Gating()) for observation in ("features", "grid")),
        ("features", "discrete", "mlp", Gating()),
        *(
            ("features", "discrete", "gatv1", Gating(routing=routing, alpha=1.3))
            for routing in ("sparsemax", "entmax15", "entmax", "gumbel")
        ),
        *(
            ("features", "discrete", "gatv1", Gating(routing="topk", top_k_weights=weights))
            for weights in ("renormalised", "probabilities", "sigmoid")
        ),
    ],
    ids=str,
)
def test_a_gradient_step_makes_nothing_on_another_device(small_run, meta, observation, action, graph, gating):
    """Torch refuses to mix devices, this one too."""
    spec = spec_of(observation, action)
    state = TrainingState(
        small_run().model_copy(update={"policy": PolicyConfig(width=8, heads=2, shared_experts=1, graph=graph)}), spec
    )
    state.policy.gating = gating
    observations = observations_of(spec.graph, 6, torch.Generator("cpu").manual_seed(1))
    output = state.policy(observations)
    noise = torch.zeros(6, 4) if gating.routing == "gumbel" else None
    actions = state.policy.actions.mode(output.outputs.detach())
    columns = torch.zeros(6)
    rows = (observations, actions, columns, columns, columns, output.gates.detach(), noise, columns.long())
    state._place(meta)
    samples = Samples(*(None if row is None else row.to(meta) for row in rows))
    backend = training_state.EagerBackend(state.policy, state.parameters, state.optimizer)
    coefficients = COEFFICIENTS | {"consistency": 0.0}  # how many steps have a successor is not known here
    terms = backend.gradient_step(samples, torch.arange(4, device=meta), coefficients, PPOConfig())
    assert {term.device for term in terms.values()} == {meta}
    assert backend.act(samples.observations, noise=samples.noise).gates.device == meta


@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-DoorKey-5x5-v0", "Pendulum-v1"])
@pytest.mark.parametrize("graph", ["gatv1", "gatv2", "mlp"])
@pytest.mark.parametrize("width", [32, 128])
def test_multiply_adds_are_about_those_that_torch_counts(env, graph, width):
    spec = check_environment(env, allow_import=False)
    policy = GATMoEPolicy(spec, PolicyConfig(width=width, experts=8, shared_experts=1, graph=graph))
    observations = torch.zeros(16, spec.graph.size, dtype=getattr(torch, spec.graph.dtype))
    with FlopCounterMode(display=False) as counter:
        policy(observations)
    counted = counter.get_total_flops() / 2 / 16
    assert counted == pytest.approx(policy.multiply_adds(), rel=0.25)
