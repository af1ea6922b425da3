"""The frames of a replay for the browser: those asked for, as many as there are, or a sentence."""

import asyncio
import io
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from v3core.jobs.frame_files import FrameWriter, read_frames, to_png
from v3core.jobs.made_replays import DONE, DRAWING, State, Wanted, made_folder, write_state
from v3core.store.database import Database
from v3core.store.opening import open_database
from v3core.ui import replay_frames

RUN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def database(tmp_path: Path, monkeypatch) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    monkeypatch.setattr(replay_frames, "shared_database", lambda: opened)
    yield opened
    opened.close()


def answer(query: str) -> Response:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query.encode()}
    return asyncio.run(replay_frames.endpoint(Request(scope)))


def taken_apart(content: bytes) -> list[bytes]:
    """The pictures of an answer, as the browser finds them."""
    found = []
    while content:
        (size,) = struct.unpack_from("<I", content)
        found.append(content[4 : 4 + size])
        content = content[4 + size :]
    return found


def test_as_many_as_there_are_by_now(database, monkeypatch):
    folder = made_folder(database, Wanted(RUN, 7, 5))
    folder.mkdir(parents=True)
    asked = f"run={RUN}&episode=7&seed=5"
    assert answer(f"{asked}&first=0&count=3").body == b""
    frames = FrameWriter(folder)
    for shade in range(6):
        frames.add(np.full((4, 6, 3), shade * 40, np.uint8))
    with (folder / "frames.index").open("ab") as index:
        index.write(b"\x01\x02")  # the half of an entry
    whole = read_frames(folder, 0, 100, 1 << 20)
    assert len(whole) == 6
    assert all(picture.startswith(b"\x89PNG") and picture.endswith(b"IEND\xaeB`\x82") for picture in whole)
    assert taken_apart(answer(f"{asked}&first=0&count=3").body) == whole[:3]
    assert taken_apart(answer(f"{asked}&first=4&count=100").body) == whole[4:]
    assert taken_apart(answer(f"{asked}&first=2").body) == whole[2:3]
    assert answer(f"{asked}&first=6&count=2").body == b""
    assert answer(f"run={RUN}&episode=7&first=0&count=3").body == b"", "the median is another one"
    monkeypatch.setattr(replay_frames, "MAX_BYTES", len(whole[1]) + len(whole[2]))
    assert taken_apart(answer(f"{asked}&first=1&count=5").body) == whole[1:3]
    frames.discard()
    assert answer(f"{asked}&first=0&count=3").body == b""


def test_an_answer_waits_for_the_first_frame_while_frames_are_drawn(database, monkeypatch):
    folder = made_folder(database, Wanted(RUN, 7, 5))
    folder.mkdir(parents=True)
    write_state(folder, State(stage=DRAWING))
    frames = FrameWriter(folder)
    drawn = threading.Timer(0.2, lambda: frames.add(np.zeros((4, 6, 3), np.uint8)))
    drawn.start()
    asked = f"run={RUN}&episode=7&seed=5"
    assert answer(f"{asked}&first=0&count=3").body == b"", "not waited for without being asked to"
    assert len(taken_apart(answer(f"{asked}&first=0&count=3&wait=1").body)) == 1
    drawn.join()
    monkeypatch.setattr(replay_frames, "WAIT_SECONDS", 0.2)
    assert answer(f"{asked}&first=1&count=3&wait=1").body == b"", "it does not wait for ever"
    monkeypatch.setattr(replay_frames, "WAIT_SECONDS", 60.0)
    write_state(folder, State(stage=DONE))
    start = time.monotonic()
    assert answer(f"{asked}&first=1&count=3&wait=1").body == b"", "no more is coming"
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "'' is not a whole number."),
        ("run=moon&episode=1", "There is no run 'moon'."),
        (f"run={RUN}&episode=x", "'x' is not a whole number."),
        (f"run={RUN}&episode=1&seed=-1", "'-1' is not a whole number."),
        (f"run={RUN}&episode=1&seed=4294967296", "There is no replay at episode 1 of seed 4294967296"),
        (f"run={RUN}&episode=1&first=%C2%B2", "'²' is not a whole number."),
        ("run=../x&episode=1", "There is no run '../x'."),
    ],
)
def test_an_address_that_names_no_replay_is_answered_with_a_sentence(database, query, sentence):
    said = answer(query)
    assert said.status_code == 400
    assert sentence in said.body.decode()
    assert sentence not in answer(f"{query}&lang=zh_CN").body.decode()


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 3), (400, 600, 3)])
def test_a_frame_is_kept_to_the_bit(shape):
    frame = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for kind in (frame, np.full(shape, 200, np.uint8), frame[:, ::-1], frame.transpose(1, 0, 2)):
        with Image.open(io.BytesIO(to_png(kind))) as picture:
            picture.verify()
        found = Image.open(io.BytesIO(to_png(kind)))
        assert found.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(found), kind)
