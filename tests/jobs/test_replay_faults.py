"""What keeps a replay from being made, or from being drawn: one sentence each, and the rest of it is there."""

import json
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.disks import fill, small_disk
from tests.made_replays import made, played
from v3core.errors import V3Error
from v3core.jobs import frame_files, made_replays, replay_process
from v3core.jobs.files import checkpoint_file
from v3core.jobs.frame_files import frame_count, read_frames
from v3core.jobs.kept_replays import write_replays
from v3core.jobs.made_replays import FOLDER, State, Wanted, made_folder, write_state
from v3core.jobs.replay_making import begin, progress, read_made
from v3core.jobs.replay_process import make as make_replay
from v3core.messages import translated
from v3core.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.parametrize("db", ["sqlite"], indirect=True)
STEPS, AT = 30, 20


class Draws(gymnasium.Env):
    """Counts its steps, and draws as `how` says."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, how="", render_mode=None, ends=STEPS):
        self.observation_space, self.action_space = spaces.Box(0, 1e6, (2,), np.float32), spaces.Discrete(2)
        self._how, self._ends, self.render_mode = how, ends, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return self._seen(), {}

    def _seen(self):
        return np.full(2, self._steps, np.float32)

    def step(self, action):
        self._steps += 1
        return self._seen(), 1.0, self._steps == self._ends, False, {}

    def render(self):
        frame = np.full((60, 80, 3) if self._how == "large" else (8, 6, 3), self._steps % 256, np.uint8)
        if self._how == "raises" or (self._how == "raises at" and self._steps == AT):
            raise OSError("no window")
        if self._how == "exits":
            sys.exit(1)
        if self._how == "window":
            import pygame

            pygame.display.init()
            pygame.display.set_mode((4, 4))
            pygame.display.quit()
        other = {
            "grows": lambda: np.zeros((8, 6 + self._steps // AT, 3), np.uint8),
            "grey": lambda: frame[:, :, 0],
            "float": lambda: frame / 255,
            "nothing": lambda: None,
            "list": lambda: [frame, frame[:2]],
            "empty": lambda: frame[:0],
        }
        return other.get(self._how, lambda: frame)()


class Blind(Draws):
    metadata = {"render_modes": ["human"]}  # noqa: RUF012


class Elsewhere(Draws):
    """What it shows does not depend on its seed, from step `AT` on."""

    offset = 0

    def _seen(self):
        return super()._seen() + (self.offset if self._steps >= AT else 0)


@pytest.fixture(autouse=True)
def environments():
    kinds = {"TestDraws-v0": Draws, "TestBlind-v0": Blind, "TestElsewhere-v0": Elsewhere}
    for name, kind in kinds.items():
        gymnasium.register(name, kind)
    yield
    for name in kinds:
        gymnasium.registry.pop(name, None)


@pytest.fixture
def wanted(db, make):
    """Records a replay of a run's evaluation: `wanted(replay)`."""
    run_id = make()

    def record(replay):
        write_replays(db, run_id, 7, {"median": replay}, experts=3, boundaries=())
        return Wanted(run_id, 7, None)

    return record


def made_in_here(db, asked):
    """Make it in this process, and give what there is."""
    folder = made_folder(db, asked)
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder, State())
    make_replay(db, asked)
    return progress(db, asked)


@pytest.mark.parametrize(
    ("how", "sentence", "frames"),
    [
        ("", "", STEPS + 1),
        ("raises", "cannot be drawn from frame 1 on: render() raised OSError: no window; fix the environment.", 0),
        ("raises at", "cannot be drawn from frame 21 on: render() raised OSError: no window", AT),
        ("exits", "cannot be drawn from frame 1 on: render() raised SystemExit", 0),
        ("grows", "The environment draws frames of several sizes, 6 × 8 and 7 × 8; fix its render method.", AT),
        ("grey", "returned an array of shape (8, 6) and type uint8; it must return an array of shape (height, wi", 0),
        ("float", "render() returned an array of shape (8, 6, 3) and type float64; it must", 0),
        ("nothing", "render() returned None; it must", 0),
        ("list", "render() returned 2 values; it must", 0),
        ("empty", "render() returned an array of shape (0, 6, 3) and type uint8; it must", 0),
        ("window", "", STEPS + 1),
    ],
)
def test_what_an_environment_draws(db, wanted, monkeypatch, how, sentence, frames):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        monkeypatch.delenv(name, raising=False)
    replay = played("TestDraws-v0", STEPS, how=how)
    asked = wanted(replay)
    assert made_in_here(db, asked).stage == "done"
    found = read_made(db, asked)
    assert found.replay == replay
    assert sentence in found.no_frames
    assert bool(found.no_frames) == bool(sentence)
    assert found.frames == frames == len(read_frames(made_folder(db, asked), 0, 1000, 1 << 20))
    assert len(found.observations) == STEPS + 1
    assert "needs the checkpoint at episode 7" in found.no_inside


def test_an_environment_without_frames(db, wanted):
    asked = wanted(played("TestBlind-v0", STEPS))
    assert made_in_here(db, asked).stage == "done"
    found = read_made(db, asked)
    assert found.no_frames == "Environment TestBlind-v0 draws no frames: it has no render mode 'rgb_array'."
    assert (found.frames, len(found.observations)) == (0, STEPS + 1)


@pytest.mark.parametrize("changes", ["before", "while it is drawn"])
def test_nothing_is_shown_of_an_episode_that_goes_another_way(db, wanted, monkeypatch, changes):
    replay = played("TestElsewhere-v0", STEPS)
    asked = wanted(replay)
    if changes == "before":
        monkeypatch.setattr(Elsewhere, "offset", 1)
    else:
        monkeypatch.setattr(Elsewhere, "render", lambda self: setattr(Elsewhere, "offset", 1) or Draws.render(self))
    assert made_in_here(db, asked).stage == "done"
    monkeypatch.setattr(Elsewhere, "offset", 0)
    found = read_made(db, asked)
    assert found.replay == replay, "the recorded numbers stay"
    assert "does not go the same when it is played again" in found.no_frames
    assert "draws random numbers elsewhere than from its seed" in found.no_frames
    assert found.frames == 0
    if changes == "before":
        assert found.observations is None
        assert found.no_inside == found.no_frames


def test_what_is_not_installed_or_not_of_the_run_is_not_made(db, wanted, tmp_path, monkeypatch):
    asked = wanted(played("TestDraws-v0", STEPS))
    gymnasium.registry.pop("TestDraws-v0")
    assert made_in_here(db, asked).stage == "done"
    assert "There is no environment 'TestDraws-v0'." in read_made(db, asked).no_frames
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "others.py").write_text("raise SystemError('it was imported')")
    asked = wanted(made(environment=type(made().environment)("others:Env-v0")))
    assert made_in_here(db, asked).stage == "done"
    found = read_made(db, asked)
    assert found.no_frames == "The replay names 'others:Env-v0', which imports code and does not belong to its run."
    said = translated(found.no_frames, "zh_CN"), translated(found.no_inside, "zh_CN")  # by a page
    assert all(one.startswith("该回放指定了会导入代码的“others:Env-v0”") for one in said)
    assert "others" not in sys.modules


def test_an_environment_that_hangs(db, wanted, monkeypatch):
    ends = []
    monkeypatch.setattr(replay_process, "HANGS_SECONDS", 0.2)
    monkeypatch.setattr(replay_process, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr("os._exit", lambda code: ends.append(progress(db, asked)))
    monkeypatch.setattr(Draws, "render", lambda self: [None for _ in iter(lambda: bool(ends), True)])
    asked = wanted(played("TestDraws-v0", STEPS))
    made_in_here(db, asked)
    assert (ends[0].stage, ends[0].error) == (
        "failed",
        "The environment made no step for 0.2 s; its process was ended.",
    )


def test_frames_that_take_too_much_space_are_left_out(db, wanted, monkeypatch):
    monkeypatch.setattr(frame_files, "MAX_BYTES", 2 << 20)
    monkeypatch.setattr(Draws, "render", lambda _: np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8))
    asked = wanted(played("TestDraws-v0", STEPS))
    assert made_in_here(db, asked).stage == "done"
    assert read_made(db, asked).no_frames == "Further frames would take more than 2 MiB; they are left out."
    assert 1 < read_made(db, asked).frames < 6


LONG = """
import resource, sys
from v3core.jobs.made_replays import State, Wanted, made_folder, write_state
from v3core.jobs.replay_process import make
from v3core.store.opening import open_database
sys.path.insert(0, sys.argv[1])
from tests.jobs.test_replay_faults import Draws
import gymnasium
gymnasium.register("TestDraws-v0", Draws)
database = open_database()
for run in sys.argv[2:]:
    wanted = Wanted(run, 7, None)
    made_folder(database, wanted).mkdir(parents=True)
    write_state(made_folder(database, wanted), State())
    make(database, wanted)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_memory_for_27000_steps_is_that_for_a_few(db, make, spawn, monkeypatch):
    from tests.jobs.conftest import ROOT

    runs = [make(), make()]
    for run_id, steps in zip(runs, (100, 27_000), strict=True):
        replay = played("TestDraws-v0", steps, how="large", ends=steps)
        write_replays(db, run_id, 7, {"median": replay}, experts=3, boundaries=())
    few, many = map(int, spawn(LONG, ROOT, *runs).stdout.read().split())
    assert read_made(db, Wanted(runs[1], 7, None)).frames == 27_001
    # All frames would be 390 MB; the numbers of all steps are 3 MB, several times while they are read.
    assert many - few < 60_000, "KiB"


def test_a_checkpoint_that_is_missing_or_of_another_version(db, make, train):
    run_id = make()
    train(run_id)
    file = max(checkpoint_file(db, run_id, 0).parent.glob("*.pt"))
    episode = int(file.stem.partition("-")[2])
    asked = Wanted(run_id, episode, 99)
    state = load_checkpoint(file)
    torch.save(state | {"format": "v3lab-checkpoint-99"}, file)
    now = made_in_here(db, asked)
    assert now.stage == "failed"
    assert now.error.endswith("is not compatible with this version of V3 Lab; start a new run.")
    with pytest.raises(V3Error, match="not compatible with this version") as refused:
        read_made(db, asked)
    chinese = "与此版本的 V3 Lab 不兼容；请启动新的运行。"
    assert translated(refused.value, "zh_CN").endswith(chinese)
    assert translated(now.error, "zh_CN").endswith(chinese)
    recorded = Wanted(run_id, episode, None)
    assert made_in_here(db, recorded).stage == "done", "it was recorded"
    assert read_made(db, recorded).no_inside.endswith("is not compatible with this version of V3 Lab; start a new run.")
    file.unlink()
    assert f"has no intact checkpoint at episode {episode}; available: " in made_in_here(db, asked).error
    assert made_in_here(db, recorded).stage == "done"
    assert f"needs the checkpoint at episode {episode}" in read_made(db, recorded).no_inside


def test_a_full_disk_and_one_that_cannot_be_written(db, wanted, monkeypatch):
    monkeypatch.setattr(Draws, "render", lambda _: np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    replay = played("TestDraws-v0", STEPS)
    asked = wanted(replay)
    with small_disk(db.data_dir / FOLDER, "size=1m") as disk:
        assert made_in_here(db, asked).stage == "done"
        found = read_made(db, asked)
        assert found.replay == replay
        assert (
            found.no_frames == "The frames cannot be written: No space left on device; free some space and try again."
        )
        assert found.frames == 0
        fill(disk)
        with pytest.raises(V3Error, match="cannot be made: No space left on device; free some space"):
            begin(db, Wanted(asked.run_id, 8, None))
    with small_disk(db.data_dir / FOLDER, "ro"), pytest.raises(V3Error, match="Read-only file system"):
        begin(db, asked)


def test_nothing_is_made_that_nobody_has_begun(db, wanted):
    asked = wanted(played("TestDraws-v0", STEPS))
    with pytest.raises(V3Error, match="Nobody has begun this replay"):
        make_replay(db, asked)
    assert not made_folder(db, asked).exists()


def test_a_state_that_cannot_be_read_is_none(db, wanted):
    asked = wanted(played("TestDraws-v0", STEPS))
    folder = made_folder(db, asked)
    made_in_here(db, asked)
    for content in ("", "[]", json.dumps({"moon": 1}), '{"stage": "done"'):
        (folder / "state.json").write_text(content)
        assert progress(db, asked).stage == "failed"
        assert read_made(db, asked).frames == frame_count(folder) == STEPS + 1
    assert made_replays.read_state(folder) is None
