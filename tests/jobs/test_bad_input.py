"""Real worker processes given bad environments and bad checkpoints: one sentence, and every episode before it kept."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.jobs.conftest import assert_whole
from tests.waiting import PATIENCE_SECONDS
from v3core.config import RunConfig
from v3core.environments import check_environment
from v3core.jobs import control
from v3core.jobs.lifecycle import Status
from v3core.store.history import read_checkpoints, read_events
from v3core.training.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from v3core.training.state import TrainingState

BAD = """
import gymnasium as gym
import numpy as np

class Bad(gym.Env):
    action_space = gym.spaces.Discrete(2)

    def __init__(self, what, length=10, bound=1.0):
        self.what, self.length = what, length
        self.observation_space = gym.spaces.Box(-bound, bound, (2,), np.float32)
        self.total = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        if self.what == "reset" and self.total == 40:
            raise OSError("the port\\nis taken")
        return self.look(), {}

    def step(self, action):
        self.steps, self.total = self.steps + 1, self.total + 1
        late = self.total >= 37
        if late and self.what == "raise":
            raise RuntimeError("the simulator broke")
        reward = float("nan") if late and self.what == "reward" else 1.0
        return self.look(), reward, self.steps == self.length, False, {}

    def look(self):
        late = self.total >= 37
        if late and self.what == "shape":
            return np.zeros(3, np.float32)
        seen = self.np_random.normal(size=2).astype(np.float32)
        return seen * np.nan if late and self.what == "observation" else seen

for what in ("reward", "observation", "shape", "raise", "reset"):
    gym.register(f"Bad-{what}-v0", entry_point=Bad, kwargs={"what": what})
gym.register("Bad-short-v0", entry_point=Bad, kwargs={"what": "", "length": 1})
gym.register("Bad-bounds-v0", entry_point=Bad, kwargs={"what": "", "bound": float("inf")})
"""


@pytest.fixture
def bad(tmp_path, monkeypatch, start):
    """Start a run of one of the environments above: `bad("shape", …)` returns its id."""
    (tmp_path / "bad_envs.py").write_text(BAD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda what, **options: start(env=f"bad_envs:Bad-{what}-v0", **options)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (
            "raise",
            "failed at step 37: step(action) raised RuntimeError: the simulator broke; fix the environment.",
        ),
        (
            "reset",
            "failed at reset after step 40: reset(seed=…) raised OSError: the port is taken; fix the environment.",
        ),
        (
            "shape",
            "failed at step 37: step(action): the observation has shape (3,), not (2,); fix the environment.",
        ),
    ],
)
def test_an_environment_that_breaks_fails_its_run_at_the_step(db, bad, wait_until, what, sentence):
    """Four environments and rollouts of 32 steps: the first rollout is learned from and recorded, the second breaks."""
    run_id = bad(what, episodes=200)
    run = wait_until(run_id, status=Status.FAILED)
    assert run.reason == f"Environment bad_envs:Bad-{what}-v0, copy 1, {sentence}"
    table = assert_whole(db, run_id)
    assert len(table) == 12
    assert set(table["return"]) == {10.0}


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        (
            "reward",
            "returned a reward of nan at step 1 of the rollout, which is not a finite number",
        ),
        ("observation", "the observation of environment 1 is not finite at step 1 of the rollout"),
    ],
)
def test_an_environment_that_gives_no_numbers_fails_its_run_after_three_rollouts(db, bad, wait_until, what, problem):
    run_id = bad(what, episodes=200)
    run = wait_until(run_id, status=Status.FAILED)
    assert run.reason.startswith("Update 4, at episode 48 and step 512 in phase 'late': ")
    assert f"{problem}, 3 times in a row; fix the environment." in run.reason
    undone = [event.message for event in read_events(db, run_id) if event.kind == "undone"]
    assert [message[-13:] for message in undone] == ["(1 in a row).", "(2 in a row).", "(3 in a row)."]
    table = assert_whole(db, run_id, loads_known=12)
    assert set(table["return"][:12]) == {10.0}
    assert np.isfinite(table["policy_loss"]).tolist() == [True] * 12 + [False] * 36


@pytest.mark.parametrize(("what", "length"), [("short", 1), ("bounds", 10)])
def test_what_is_unusual_but_sound_trains(db, bad, wait_until, what, length):
    """Episodes that end at their first step; observations without bounds."""
    run_id = bad(what, episodes=60)
    wait_until(run_id, status=Status.COMPLETED)
    table = assert_whole(db, run_id)
    assert len(table) == 60
    assert set(table["length"]) == {length}
    assert np.isfinite(table["total_loss"]).all()


class Harmful:
    """Creates a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def cut_short(file, _proof):
    file.write_bytes(file.read_bytes()[:5000])


def with_code(file, proof):
    torch.save({**load_checkpoint(file), "format": FORMAT, "policy": Harmful(proof)}, file)


def nothing_but_code(file, proof):
    file.write_bytes(pickle.dumps(Harmful(proof)))


def of_another_network(file, _proof):
    known = load_checkpoint(file)
    config = RunConfig.model_validate_json(known["config"])
    other = config.model_copy(update={"policy": config.policy.model_copy(update={"width": 8})})
    state = TrainingState(other, check_environment(other.env, allow_import=False))
    counted = {name: known[name] for name in ("completed", "step")}
    save_checkpoint(file, {**state.state_dict(), **counted})


@pytest.fixture
def stopped(db, start, wait_until):
    """A run that was stopped somewhere behind its boundary at 30, and the file of its newest checkpoint."""
    run_id = start(episodes=1_000_000, boundary=30)
    wait_until(run_id, episode=60)
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    return run_id, db.data_dir / read_checkpoints(db, run_id)[-1].path


@pytest.mark.parametrize("spoil", [cut_short, with_code, nothing_but_code])
def test_a_bad_checkpoint_is_named_and_the_one_before_is_taken(db, stopped, wait_until, tmp_path, spoil):
    (run_id, file), proof = stopped, tmp_path / "the code ran"
    before, earlier = assert_whole(db, run_id), read_checkpoints(db, run_id)[-2].episode
    spoil(file, proof)
    control.resume(db, run_id)
    wait_until(run_id, episode=earlier + 5)
    messages = [event.message for event in read_events(db, run_id)]
    sentence = "cannot be read: it is damaged or not a V3 Lab checkpoint; choose another."
    assert f"Checkpoint {file} {sentence}" in messages
    assert f"Training from the checkpoint at episode {earlier}." in messages
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    assert assert_whole(db, run_id)["return"][:earlier].tolist() == before["return"][:earlier].tolist()
    assert not proof.exists()


def test_the_code_of_those_checkpoints_does_harm_where_it_is_let(tmp_path):
    nothing_but_code(tmp_path / "c.pt", tmp_path / "the code ran")
    pickle.loads((tmp_path / "c.pt").read_bytes())
    assert (tmp_path / "the code ran").exists()


def test_a_checkpoint_of_another_network_fails_its_run_by_name_and_costs_no_episode(db, stopped, wait_until):
    run_id, file = stopped
    before = assert_whole(db, run_id)
    good = file.read_bytes()
    of_another_network(file, None)
    control.resume(db, run_id)
    run = wait_until(run_id, status=Status.FAILED)
    sentence = "does not fit this run: it is for another environment or network size."
    assert run.reason == f"Checkpoint {file} {sentence}"
    assert assert_whole(db, run_id)["return"].tolist() == before["return"].tolist()
    file.write_bytes(good)
    control.resume(db, run_id)
    wait_until(run_id, episode=len(before) + 10)


def test_a_folder_of_checkpoints_deleted_meanwhile_does_not_end_its_run(db, start, wait_until):
    run_id = start(episodes=1_000_000, boundary=30)
    wait_until(run_id, episode=60)
    folder = (db.data_dir / read_checkpoints(db, run_id)[-1].path).parent
    shutil.rmtree(folder.rename(folder.with_name("deleted")))  # at one stroke: the run may be writing into it
    control.stop(db, run_id)
    assert control.wait_stopped(db, run_id, PATIENCE_SECONDS) == Status.STOPPED
    before, newest = assert_whole(db, run_id), read_checkpoints(db, run_id)[-1]
    assert (db.data_dir / newest.path).exists()
    assert newest.episode == len(before)
    control.resume(db, run_id)
    wait_until(run_id, episode=newest.episode + 5)
