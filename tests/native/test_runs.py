"""Whole runs on the native backend: opt-in, repeatable, resumed to the bit, left to torch where it cannot be used."""

import pytest

from tests.training.conftest import Recorder, assert_same_checkpoint, told
from v3core.errors import V3Error
from v3core.native import library
from v3core.training import trainer
from v3core.training.checkpoint import load_checkpoint
from v3core.training.hooks import Orders


@pytest.fixture
def native(monkeypatch):
    """Ask for the native backend."""
    monkeypatch.setenv("V3_NATIVE", "1")


def run(config, hooks, **options):
    return trainer.train(config, curriculum=config.curriculum, hooks=hooks, **options)


@pytest.mark.parametrize("env", ["CartPole-v1", "MiniGrid-Empty-5x5-v0"])
def test_one_seed_gives_one_run_to_the_bit(small_run, tmp_path, native, env):
    recorders = [Recorder(tmp_path / name) for name in ("one", "other")]
    for recorder in recorders:
        run(small_run(env, evaluate=2), recorder)
    assert told(recorders[0]) == told(recorders[1])
    assert_same_checkpoint(recorders[0].saved[-1][0], recorders[1].saved[-1][0])
    assert load_checkpoint(recorders[0].saved[-1][0])["backend"] == "native"
    assert not recorders[0].remarks


def test_a_resumed_run_records_what_an_uninterrupted_one_does(small_run, tmp_path, native):
    config = small_run(episodes=12, evaluate=2)
    whole = Recorder(tmp_path / "whole")
    run(config, whole)
    first = Recorder(tmp_path / "parts", lambda hooks: Orders(stop=hooks.calls.count("record") >= 3))
    run(config, first)
    second = Recorder(tmp_path / "parts")
    run(config, second, checkpoint=first.saved[-1][0])
    assert told(first, second) == told(whole)
    assert not second.remarks


def test_a_resume_on_the_other_backend_continues_and_says_so(small_run, tmp_path, native, monkeypatch):
    config = small_run(episodes=12)
    first = Recorder(tmp_path, lambda hooks: Orders(stop=hooks.calls.count("record") >= 3))
    run(config, first)
    monkeypatch.setenv("V3_NATIVE", "0")
    second = Recorder(tmp_path)
    run(config, second, checkpoint=first.saved[-1][0])
    assert second.remarks == ["Continues on the eager backend, after the native one."]
    assert second.episodes[-1].episode == 12


def test_what_is_not_covered_is_left_to_torch(small_run, tmp_path, native, monkeypatch):
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "none.so")
    library.load.cache_clear()
    hooks = Recorder(tmp_path)
    run(small_run(), hooks)
    assert hooks.remarks == ["The network's library is not built here, so torch computes the network."]
    library.load.cache_clear()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"no library", "cannot be loaded"), (None, "is of another version or for another processor")],
)
def test_a_library_that_cannot_be_used_is_said_in_a_sentence(tmp_path, compiled, monkeypatch, content, sentence):
    path = tmp_path / "v3network.so"
    path.write_bytes(compiled.read_bytes() if content is None else content)
    monkeypatch.setattr(library, "VERSION", 99)
    with pytest.raises(V3Error, match=sentence):
        library.load.__wrapped__(path)


def test_a_compiler_that_fails_is_said_in_a_sentence(tmp_path):
    with pytest.raises(V3Error, match="cannot compile the network"):
        library.build(compiler="false", target=tmp_path / "v3network.so")
    with pytest.raises(V3Error, match="cannot be compiled with"):
        library.build(compiler=str(tmp_path / "none"), target=tmp_path / "v3network.so")
    assert not list(tmp_path.iterdir())
