"""Replays made for the page: once, whoever asks; read meanwhile; cancelled, recovered, deleted, kept within a size."""

import io
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import av
import gymnasium
import numpy as np
import psutil
import pytest
from PIL import Image

from tests.made_replays import played
from tests.waiting import wait_for
from v3core.cli.playing import PATIENCE
from v3core.environments.make import make_environment
from v3core.environments.registry import check_environment
from v3core.environments.replaying import play_again
from v3core.errors import V3Error
from v3core.jobs import made_replays, replay_making, replay_process
from v3core.jobs.frame_files import read_frames
from v3core.jobs.housekeeping import delete, run_sizes
from v3core.jobs.kept_replays import read_replays, recorded_replays, replay_file, write_replays
from v3core.jobs.launchers.processes import start_command
from v3core.jobs.lifecycle import Status
from v3core.jobs.replay_files import write_pictures
from v3core.jobs.replay_making import Wanted, begin, cancel, made_folder, progress, read_made
from v3core.store.history import read_checkpoints

pytestmark = pytest.mark.parametrize("db", ["sqlite"], indirect=True)

SLOW = """
import ctypes
import time
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

class Slow(CartPoleEnv):
    def render(self):
        time.sleep(0.05)
        return super().render()

class Stuck(CartPoleEnv):
    def render(self):
        ctypes.PyDLL(None).sleep(1000)  # in native code, without releasing Python's lock

gym.register("Slow-v0", entry_point=Slow, max_episode_steps=500)
gym.register("Stuck-v0", entry_point=Stuck, max_episode_steps=500)
"""


@pytest.fixture
def trained(db, make, train):
    """A short run that has ended, with its newest evaluation: `(run_id, episode)`."""
    run_id = make()
    assert train(run_id) is Status.COMPLETED
    return run_id, recorded_replays(db, run_id)[-1]


def pictures(db, wanted):
    """All frames as arrays."""
    found = read_frames(made_folder(db, wanted), 0, 100_000, 1 << 30)
    return [np.asarray(Image.open(io.BytesIO(picture))) for picture in found]


def ended(db, wanted):
    """Wait for its end."""
    return wait_for(lambda: (now := progress(db, wanted)).stage not in made_replays.UNFINISHED and now, str(wanted))


def gone(process):
    """Wait for the end of a process."""

    def is_over():
        with suppress(psutil.NoSuchProcess):
            return process.status() == psutil.STATUS_ZOMBIE
        return True

    wait_for(is_over, f"the end of {process}")


def process_of(db, wanted):
    return replay_making._read_process(made_folder(db, wanted))


def test_a_recorded_replay_is_there_at_once_and_its_frames_are_those_of_the_environment(db, trained, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    run_id, episode = trained
    wanted = Wanted(run_id, episode, None)
    recorded = read_replays(db, run_id, episode)["median"]
    assert read_made(db, wanted).replay == recorded
    size = run_sizes(db, [run_id])[run_id].files
    begin(db, wanted)
    assert ended(db, wanted).stage == "done", progress(db, wanted).error
    assert run_sizes(db, [run_id])[run_id].files == size, "it is no part of the run's size"
    made = read_made(db, wanted)
    assert recorded.expert_outputs is None, "they are computed from the checkpoint"
    assert replace(made.replay, expert_outputs=None) == recorded
    mixed = np.einsum("te,teo->to", recorded.gates, made.replay.expert_outputs)
    np.testing.assert_allclose(mixed, recorded.outputs, atol=1e-5)
    assert (made.no_frames, made.frames) == ("", len(recorded) + 1)
    moments = list(play_again(check_environment("CartPole-v1", allow_import=False), recorded, frames=True))
    for frame, moment in zip(pictures(db, wanted), moments, strict=True):
        np.testing.assert_array_equal(frame, moment.frame)
    np.testing.assert_array_equal(made.observations, [moment.observation for moment in moments])
    assert made.frame_size == (600, 400)
    assert made.no_inside == ""
    np.testing.assert_allclose(made.inside.gates, recorded.gates, atol=1e-5)
    np.testing.assert_allclose(made.inside.outputs, recorded.outputs, atol=1e-4)


def test_other_episodes_are_played_from_the_checkpoint(db, trained):
    run_id, _ = trained
    episode = read_checkpoints(db, run_id)[-1].episode
    wanted = Wanted(run_id, episode, 12345)
    with pytest.raises(V3Error, match="not played yet"):
        read_made(db, wanted)
    begin(db, wanted)
    assert ended(db, wanted).stage == "done", progress(db, wanted).error
    made = read_made(db, wanted)
    assert made.replay.seed == 12345
    assert made.frames == len(made.replay) + 1
    first = gymnasium.make("CartPole-v1").reset(seed=12345)[0]
    np.testing.assert_array_equal(made.observations[0], first)


def test_what_was_recorded_is_shown_and_else_played_as_it_was(db, trained):
    run_id, episode = trained
    recorded = read_replays(db, run_id, episode)
    for replay in recorded.values():
        assert read_made(db, Wanted(run_id, episode, replay.seed)).replay == replay
    replay_file(db, run_id, episode).unlink()
    begin(db, Wanted(run_id, episode, None))
    assert ended(db, Wanted(run_id, episode, None)).stage == "done"
    again = read_made(db, Wanted(run_id, episode, None)).replay
    assert replace(again, expert_outputs=None) == recorded["median"], "to the bit"


@pytest.mark.parametrize("env", ["Acrobot-v1", "LunarLander-v3", "MiniGrid-DoorKey-5x5-v0"])
def test_the_frames_of_each_kind_of_environment_are_its_own(db, make, tmp_path, env):
    replay = played(env, 25)
    wanted = Wanted(make(), 7, None)
    write_replays(db, wanted.run_id, 7, {"median": replay}, experts=3, boundaries=())
    folder = made_folder(db, wanted)
    folder.mkdir(parents=True)
    made_replays.write_state(folder, made_replays.State())
    replay_process.make(db, wanted)
    found = pictures(db, wanted)
    world = make_environment(env, render_mode="rgb_array")
    world.reset(seed=replay.seed)
    own = [world.render()]
    for action in check_environment(env, allow_import=False).actions.to_environment(replay.actions):
        world.step(action)
        own.append(world.render())
    world.close()
    np.testing.assert_array_equal(found, own)
    assert write_pictures(tmp_path / "a.mp4", found) == len(replay) + 1
    with av.open(str(tmp_path / "a.mp4")) as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(shown) == len(replay) + 1
    for frame, other in zip(shown, own, strict=True):
        assert np.abs(frame.astype(int) - other).mean() < 3, "colours are stored with less detail than brightness"


def test_whoever_asks_there_is_one_process(db, trained, monkeypatch):
    run_id, episode = trained
    wanted, started = Wanted(run_id, episode, None), []

    def counted(*arguments):
        started.append(start_command(*arguments))
        return started[-1]

    monkeypatch.setattr("v3core.jobs.launchers.processes.start_command", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: begin(db, wanted), range(16)))
    assert ended(db, wanted).stage == "done"
    begin(db, wanted)
    assert len(started) == 1


def test_one_that_failed_or_died_is_made_again(db, trained):
    run_id, episode = trained
    wanted = Wanted(run_id, episode, None)
    assert progress(db, wanted).stage == "failed", "nobody has begun it"
    begin(db, wanted)
    psutil.Process(process_of(db, wanted).pid).kill()
    now = ended(db, wanted)
    assert now.stage == "failed"
    assert "ended unexpectedly" in now.error
    begin(db, wanted)
    assert ended(db, wanted).stage == "done"
    content = replay_file(db, run_id, episode).read_bytes()
    replay_file(db, run_id, episode).write_bytes(content[:100])
    begin(db, wanted)
    now = ended(db, wanted)
    assert (now.stage, "their file is damaged" in now.error) == ("failed", True)
    replay_file(db, run_id, episode).write_bytes(content)
    begin(db, wanted)
    assert ended(db, wanted).stage == "done"
    (made_folder(db, wanted) / "replay.npz").write_bytes(b"PK")
    assert read_made(db, wanted).replay == read_replays(db, run_id, episode)["median"]
    begin(db, wanted)
    assert ended(db, wanted).stage == "done"
    replay_file(db, run_id, episode).unlink()
    begin(db, wanted)
    assert progress(db, wanted).stage == "done", "what was made stays if its sources are deleted"


@pytest.fixture(params=["Slow"])
def slow(request, db, make, train, tmp_path, monkeypatch):
    """A run in an environment that draws slowly, with its newest evaluation."""
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_id = make(env=f"slow:{request.param}-v0")
    assert train(run_id) is Status.COMPLETED
    return Wanted(run_id, recorded_replays(db, run_id)[-1], None)


def test_it_is_read_while_it_is_made_and_cancelled(db, slow):
    begin(db, slow)
    wait_for(lambda: progress(db, slow).stage == "drawing" and read_made(db, slow).frames > 2)
    assert 0 < progress(db, slow).total - 1 == len(read_made(db, slow).replay)
    process = psutil.Process(process_of(db, slow).pid)
    cancel(db, slow)
    assert progress(db, slow).stage == "cancelled"
    gone(process)
    cancel(db, slow)
    assert not list(made_folder(db, slow).glob(".*"))
    made = read_made(db, slow)
    assert 2 < made.frames < len(made.replay) + 1
    assert len(pictures(db, slow)) == made.frames
    begin(db, slow)
    wait_for(lambda: progress(db, slow).stage == "drawing")
    process = psutil.Process(process_of(db, slow).pid)
    (made_folder(db, slow) / replay_making.CANCEL).touch()  # as a server of another machine does
    gone(process)
    assert progress(db, slow).stage == "cancelled"


@pytest.mark.parametrize("slow", ["Stuck"], indirect=True)
def test_one_that_is_stuck_is_ended_by_cancel(db, slow):
    begin(db, slow)
    wait_for(lambda: progress(db, slow).stage == "drawing")
    process = psutil.Process(process_of(db, slow).pid)
    cancel(db, slow)
    gone(process)
    assert progress(db, slow).stage == "cancelled"


def test_the_process_ends_when_the_run_is_deleted(db, slow):
    begin(db, slow)
    wait_for(lambda: progress(db, slow).stage == "drawing")
    process = psutil.Process(process_of(db, slow).pid)
    delete(db, slow.run_id)
    gone(process)
    assert not list((db.data_dir / made_replays.FOLDER).iterdir())
    with pytest.raises(V3Error, match="There is no run"):
        begin(db, slow)


def test_those_looked_at_the_longest_ago_go_first(db, make):
    run_id = make()
    folders = [made_folder(db, Wanted(run_id, number, None)) for number in range(5)]
    for age, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "frames.png").write_bytes(bytes(1000))
        (folder / "log").touch()
        os.utime(folder, (1e9 - age, 1e9 - age))
    made_replays.touch(folders[4])
    with made_replays.claimed(folders[3]) as log:
        assert log is not None
        made_replays.keep_within(db, 500)
    assert [folder.exists() for folder in folders] == [False, False, False, True, True]
    assert not list(folders[0].parent.glob(".*"))


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted("../../etc", 1, None), "There is no run '../../etc'"),
        (Wanted("00000000-0000-0000-0000-000000000000", -1, None), "There is no replay at episode −1"),
        (Wanted("00000000-0000-0000-0000-000000000000", 1, 2**32), "seeds go from 0 to 4294967295"),
        (Wanted("00000000-0000-0000-0000-000000000000", 1, 1), "There is no run"),
    ],
)
def test_what_names_nothing_is_refused(db, wanted, sentence):
    with pytest.raises(V3Error, match=sentence):
        begin(db, wanted)
    assert not (db.data_dir / made_replays.FOLDER).exists()


def test_no_server_needs_torch_or_an_environment_for_it(db, spawn):
    script = "import sys, v3core.jobs.replay_making; print({'torch', 'gymnasium'} & set(sys.modules))"
    assert spawn(script).stdout.read().strip() == "set()"


def test_a_killed_process_leaves_its_claim(db, slow):
    begin(db, slow)
    wait_for(lambda: progress(db, slow).stage == "drawing")
    os.kill(process_of(db, slow).pid, signal.SIGKILL)
    assert ended(db, slow).stage == "failed"
    begin(db, slow)
    assert progress(db, slow).stage == "playing"
    cancel(db, slow)


def test_one_that_nobody_waits_for_yields_to_training(db, trained):
    run_id, episode = trained
    wanted = Wanted(run_id, episode, None)
    begin(db, wanted, patient=True)
    pid, found = process_of(db, wanted).pid, set()

    def has_yielded():
        with suppress(psutil.NoSuchProcess):
            found.add(psutil.Process(pid).nice())
        return PATIENCE in found or progress(db, wanted).stage == "done"

    wait_for(has_yielded, "it yields")
    assert PATIENCE in found
