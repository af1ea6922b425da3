"""Checkpoints are whole or absent, and a bad one is refused by name."""

import os
import pickle
import shutil

import pytest
import torch

from tests.disks import fill, small_disk
from v3core.curriculum import PhaseStart
from v3core.environments import check_environment
from v3core.errors import V3Error
from v3core.policy import Gating
from v3core.training.checkpoint import load_checkpoint, save_checkpoint
from v3core.training.state import TrainingState


@pytest.fixture
def state(small_run):
    """The state of a run that is under way."""
    state = TrainingState(small_run(), check_environment("CartPole-v1", allow_import=False))
    state.starts = (PhaseStart(0, 0), PhaseStart(7, 90))
    state.recent.extend([(1.5, 3, None), (2.0, 4, 1.0)])
    state.completed, state.step, state.rollbacks, state.failures_in_a_row = 9, 100, 2, 1
    state.policy.move_bias(torch.tensor([0.0, 0.1, -0.1, 0.0]))
    state.policy.gating = Gating(routing="topk", temperature=0.7, top_k=2)
    torch.rand(5, generator=state.generator)
    state.random.random(5)
    return state


@pytest.fixture
def saved(state, tmp_path):
    """A checkpoint file."""
    path = tmp_path / "run.pt"
    save_checkpoint(path, state.state_dict())
    return path


def test_everything_comes_back(state, saved, small_run):
    other = TrainingState(small_run(seed=9), check_environment("CartPole-v1", allow_import=False))
    other.load(saved)
    assert other.starts == state.starts == (PhaseStart(0, 0), PhaseStart(7, 90))
    assert list(other.recent) == [(1.5, 3, None), (2.0, 4, 1.0)]
    assert (other.completed, other.step, other.rollbacks, other.failures_in_a_row) == (9, 100, 2, 1)
    assert other.policy.uses_bias
    assert other.policy.gating == state.policy.gating == Gating(routing="topk", temperature=0.7, top_k=2)
    for (name, ours), theirs in zip(state.policy.state_dict().items(), other.policy.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_bias_that_came_back_to_zero_stays_in_use(state, small_run, tmp_path):
    state.policy.move_bias(torch.tensor([0.0, -0.1, 0.1, 0.0]))
    assert not state.policy.expert_bias.any()
    save_checkpoint(tmp_path / "zero.pt", state.state_dict())
    other = TrainingState(small_run(), check_environment("CartPole-v1", allow_import=False))
    other.load(tmp_path / "zero.pt")
    assert other.policy.uses_bias


def test_random_numbers_continue_in_a_run_of_the_same_seed_only(state, saved, small_run):
    def loaded(**config):
        other = TrainingState(small_run(**config), check_environment("CartPole-v1", allow_import=False))
        other.load(saved)
        return torch.rand(3, generator=other.generator).tolist(), other.random.random()

    numbers = torch.rand(3, generator=state.generator).tolist(), state.random.random()
    assert loaded() == numbers
    of_a_fork = loaded(seed=9)
    assert of_a_fork[0] != numbers[0]
    assert of_a_fork[1] != numbers[1]
    assert loaded(seed=9) == of_a_fork


def test_nothing_else_is_left_in_the_folder(saved):
    assert [path.name for path in saved.parent.iterdir()] == ["run.pt"]


def test_a_folder_that_was_deleted_meanwhile_is_made(state, saved):
    shutil.rmtree(saved.parent)
    save_checkpoint(saved, state.state_dict())
    assert load_checkpoint(saved)["completed"] == 9


def test_a_crash_while_writing_leaves_the_old_checkpoint(state, saved, monkeypatch):
    before = saved.read_bytes()

    def no_room(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(V3Error, match=r"run\.pt cannot be written: No space left on device"):
        save_checkpoint(saved, state.state_dict())
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 1


@pytest.mark.parametrize("keep", [0, 10, 1000, -200])
def test_a_truncated_file_is_refused_by_name(state, saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(V3Error, match=r"run\.pt cannot be read.*damaged"):
        state.load(saved)


def test_a_single_wrong_bit_is_refused_by_name(state, saved):
    weights = max(state.policy.state_dict().values(), key=torch.numel).numpy().tobytes()
    content = bytearray(saved.read_bytes())
    content[content.index(weights) + len(weights) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(V3Error, match=r"run\.pt cannot be read.*damaged"):
        state.load(saved)


@pytest.mark.parametrize("content", [b"hello", b"\x80\x04K\x01.", bytes(5000)])
def test_a_foreign_file_is_refused_by_name(state, saved, content):
    saved.write_bytes(content)
    with pytest.raises(V3Error, match=r"run\.pt"):
        state.load(saved)


def test_a_file_of_another_program_is_refused_by_name(state, saved):
    torch.save({"model": torch.zeros(3)}, saved)
    with pytest.raises(V3Error, match=r"run\.pt is not compatible with this version"):
        state.load(saved)


def test_a_missing_file_is_refused_by_name(state, tmp_path):
    with pytest.raises(V3Error, match=r"none\.pt is missing"):
        state.load(tmp_path / "none.pt")


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the checkpoint ran code",))


def test_code_in_a_checkpoint_is_never_run(saved):
    torch.save({"format": Trap()}, saved)
    with pytest.raises(V3Error, match="cannot be read"):
        load_checkpoint(saved)
    saved.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(V3Error, match="cannot be read"):
        load_checkpoint(saved)


@pytest.mark.parametrize(("env", "experts"), [("Acrobot-v1", 4), ("CartPole-v1", 5)])
def test_a_checkpoint_of_another_run_is_refused_by_name(saved, small_run, env, experts):
    other = TrainingState(small_run(env, experts=experts), check_environment(env, allow_import=False))
    with pytest.raises(V3Error, match=r"run\.pt does not fit this run"):
        other.load(saved)


def test_a_checkpoint_with_a_part_missing_is_refused_by_name(state, saved):
    contents = state.state_dict()
    del contents["optimizer"]
    save_checkpoint(saved, contents)
    with pytest.raises(V3Error, match=r"run\.pt does not fit this run"):
        state.load(saved)


@pytest.mark.parametrize("room", [0, 3_000, 200_000])
def test_a_full_disk_leaves_no_half_a_checkpoint(tmp_path, room):
    """With 3,000 bytes torch itself would raise a RuntimeError, and not name the disk."""
    with small_disk(tmp_path / "disk") as disk:
        (disk / "room").write_bytes(b"x" * room)
        fill(disk)
        (disk / "room").unlink()
        with pytest.raises(V3Error, match="cannot be written: No space left on device; free some space"):
            save_checkpoint(disk / "c.pt", {str(number): torch.randn(1000) for number in range(400)})
        assert [file.name for file in disk.iterdir()] == ["ballast"]
