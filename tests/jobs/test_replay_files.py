"""Frames as moving pictures: of any size, but of one, not too long for a GIF, and whole or not at all."""

from itertools import repeat

import av
import numpy as np
import pytest
from PIL import Image

from tests.disks import fill, small_disk
from v3core.errors import V3Error
from v3core.jobs import replay_files
from v3core.jobs.replay_files import MAX_GIF_FRAMES, PICTURES, write_pictures


def frames(count, height=32, width=48):
    """Some of noise."""
    random = np.random.default_rng(0)
    return (random.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count))


@pytest.mark.parametrize(("height", "width"), [(33, 47), (3, 4), (2, 301)])
def test_frames_of_any_size(tmp_path, height, width):
    for form in PICTURES:
        assert write_pictures(tmp_path / f"a.{form}", frames(5, height, width)) == 5
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.size, picture.n_frames) == ((width, height), 5)
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert len(list(video.decode(video=0))) == 5


@pytest.mark.parametrize("form", PICTURES)
def test_frames_of_several_sizes_are_refused_and_nothing_is_left(tmp_path, form):
    with pytest.raises(V3Error, match="draws frames of several sizes"):
        write_pictures(tmp_path / f"a.{form}", (*frames(2, 5, 5), *frames(1, 6, 6)))
    assert not list(tmp_path.iterdir())


def test_frames_that_look_alike_fit_into_a_gif_as_long_as_its_clock_lasts(tmp_path):
    frame = np.zeros((4, 6, 3), np.uint8)
    assert write_pictures(tmp_path / "a.gif", repeat(frame, MAX_GIF_FRAMES)) == MAX_GIF_FRAMES
    with pytest.raises(V3Error, match=f"too long for a GIF, of {MAX_GIF_FRAMES} frames here; write an .mp4 file"):
        write_pictures(tmp_path / "b.gif", repeat(frame, MAX_GIF_FRAMES + 1))


def test_an_episode_that_is_too_long_for_a_gif(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_files, "MAX_GIF_BYTES", 32 * 48 * 10)
    assert write_pictures(tmp_path / "a.gif", frames(10)) == 10
    with pytest.raises(V3Error, match=r"too long for a GIF, of 10 frames here; write an \.mp4 file"):
        write_pictures(tmp_path / "b.gif", frames(11))
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.parametrize("form", PICTURES)
def test_a_full_disk(tmp_path, form):
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        with pytest.raises(V3Error, match="No space left on device"):
            write_pictures(disk / f"a.{form}", frames(200, 64, 64))
        assert not list(disk.iterdir())
        fill(disk)
        with pytest.raises(V3Error, match="No space left on device"):
            write_pictures(disk / f"a.{form}", frames(3))
