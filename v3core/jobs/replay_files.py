"""A replay as a file: its steps as a table, or its frames as a moving picture."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v3core.atomic_write import whole_file
from v3core.environments.replaying import need_frames, play_again
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error
from v3core.insight.replays import Replay
from v3core.phrases import listed
from v3core.store.export import FORMS
from v3core.store.run_tables import Field, Kind

FRAMES_PER_SECOND = 30
PICTURES = ("gif", "mp4")
SUFFIXES = (*FORMS, *PICTURES)
"""The endings of files that a replay can be written to."""
MAX_GIF_BYTES = 512 << 20
"""Of all pixels of a GIF: 2,200 frames of CartPole."""
MAX_GIF_FRAMES = 65_535 // 3
"""Pillow makes one frame of those that look alike, and a GIF has 16 bits for its hundredths of a second."""


def check_target(target: Path) -> str:
    """The form of a file by its ending; V3Error if there is none."""
    form = target.suffix.lower().removeprefix(".")
    if form not in SUFFIXES:
        raise V3Error(
            "'{name}' cannot be written; end it in {join}.",
            name=target.name,
            join=listed([f".{name}" for name in SUFFIXES]),
        )
    return form


def step_fields(replay: Replay) -> list[Field]:
    """The columns of a replay's steps; experts, actions and outputs count from 1, as on pages."""
    number = Kind.INTEGER if replay.actions.dtype.kind in "iu" else Kind.FLOAT
    named = [Field("step", Kind.INTEGER, nullable=False)]
    named += [Field(f"action_{place}", number) for place in _counted(replay.actions.shape[1])]
    named += [Field(name, Kind.FLOAT) for name in ("reward", "value", "margin")]
    named.append(Field("expert", Kind.INTEGER))
    named += [Field(f"gate_{expert}", Kind.FLOAT) for expert in _counted(replay.gates.shape[1])]
    named += [Field(f"output_{place}", Kind.FLOAT) for place in _counted(replay.outputs.shape[1])]
    if replay.expert_outputs is not None:
        _, experts, outputs = replay.expert_outputs.shape
        named += [
            Field(f"expert_{expert}_output_{place}", Kind.FLOAT)
            for expert in _counted(experts)
            for place in _counted(outputs)
        ]
    return named


def step_rows(replay: Replay) -> Iterator[list[Any]]:
    """The values of `step_fields`, step by step from 1."""
    experts, margins = replay.experts, replay.margins
    for step in range(len(replay)):
        row = [step + 1, *replay.actions[step].tolist(), float(replay.rewards[step]), float(replay.values[step])]
        row += [float(margins[step]), int(experts[step]) + 1, *replay.gates[step].tolist()]
        row += replay.outputs[step].tolist()
        if replay.expert_outputs is not None:
            row += replay.expert_outputs[step].ravel().tolist()
        yield row


def _counted(count: int) -> range:
    return range(1, count + 1)


def write_steps(target: Path, replay: Replay) -> int:
    """Write the steps of a replay to a table by the ending of its name; returns how many."""
    write = FORMS[check_target(target)]
    with whole_file(target) as unfinished:
        return write(unfinished, step_fields(replay), step_rows(replay))


def write_pictures(target: Path, frames: Iterable[NDArray[np.uint8]]) -> int:
    """Write frames [height, width, 3] as a moving picture by the ending of its name; returns how many.

    Raises:
        V3Error: if it cannot be written.
    """
    write = _WRITERS[check_target(target)]
    with whole_file(target) as unfinished:
        return write(unfinished, _of_one_size(frames))


def draw(spec: EnvironmentSpec, replay: Replay, target: Path) -> int:
    """Play a replay again in its environment and write its frames; returns how many.

    Raises:
        V3Error: if the environment draws none, or they cannot be written.
    """
    need_frames(spec)
    frames: Any = (moment.frame for moment in play_again(spec, replay, frames=True))  # as asked, each has one
    return write_pictures(target, frames)


def _of_one_size(frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    shape: tuple[int, ...] = ()
    for frame in frames:
        shape = shape or frame.shape
        if frame.shape != shape:
            raise V3Error("The environment draws frames of several sizes; write the steps to a .json file instead.")
        yield frame


def _write_gif(path: Path, frames: Iterator[NDArray[np.uint8]]) -> int:
    from PIL import Image  # of Streamlit; only here, because commands start faster without it

    # One palette for all: a palette per frame flickers and takes longer.
    first = Image.fromarray(next(frames)).convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    rest: list[Image.Image] = []
    for frame in frames:
        size = (len(rest) + 2) * first.width * first.height  # a byte for each pixel, all in memory
        if size > MAX_GIF_BYTES or len(rest) + 2 > MAX_GIF_FRAMES:
            raise V3Error(
                "The episode is too long for a GIF, of {value} frames here; write an .mp4 file.", value=len(rest) + 1
            )
        rest.append(Image.fromarray(frame).quantize(palette=first, dither=Image.Dither.NONE))
    milliseconds = round(1000 / FRAMES_PER_SECOND / 10) * 10  # GIF counts hundredths of a second
    first.save(path, "GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return 1 + len(rest)


def _write_mp4(path: Path, frames: Iterator[NDArray[np.uint8]]) -> int:
    import av  # 100 MB of codecs, so only here

    first = _even(next(frames))
    count = 0
    with av.open(str(path), "w", format="mp4") as video:
        stream = video.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "veryfast", "crf": "16"}
        for frame in chain([first], map(_even, frames)):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            count += 1
        video.mux(stream.encode())
    return count


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours of a video have half its size, so both sides must be even: the last row or column is repeated."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


_WRITERS: dict[str, Callable[[Path, Iterator[NDArray[np.uint8]]], int]] = {"gif": _write_gif, "mp4": _write_mp4}
