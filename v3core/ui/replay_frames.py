"""The frames of a replay for the browser, as many as there are by now."""

import asyncio
import struct
import time

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from v3core.errors import V3Error
from v3core.insight.replays import MEDIAN
from v3core.jobs import made_replays
from v3core.jobs.frame_files import read_frames
from v3core.jobs.made_replays import UNFINISHED, Wanted, made_folder
from v3core.jobs.replay_making import progress
from v3core.messages import translated
from v3core.ui.language import of_request
from v3core.ui.own_paths import path_of
from v3core.ui.shared import shared_database

NAME = "v3/replay-frames"
MAX_COUNT = 1000
MAX_BYTES = 8 << 20
"""Of one answer; the browser asks for the next ones."""
WAIT_SECONDS = 5.0
"""An answer waits for its first frame up to this long while the replay is being made."""
_LOOK_SECONDS = 0.02


def address() -> str:
    """Where the browser gets them, with `run`, `episode`, `seed`, `first` (from 0), `count` and `wait`."""
    return path_of(NAME)


def wanted_in(query: QueryParams) -> Wanted:
    """The replay that an address names: `run`, `episode` and `seed`, which is left out for the median.

    Raises:
        V3Error: if they are no numbers.
    """
    seed = query.get("seed", "")
    return Wanted(query.get("run", ""), number_in(query, "episode"), None if seed in ("", MEDIAN) else _number(seed))


def number_in(query: QueryParams, name: str, default: int | None = None) -> int:
    """A number of an address, 0 or larger; V3Error if it is none, or is missing and has no default."""
    text = query.get(name)
    return default if text is None and default is not None else _number(text or "")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise V3Error("'{text}' is not a whole number.", text=text[:40])
    return int(text)


async def endpoint(request: Request) -> Response:
    """For each frame its bytes as a little-endian uint32 and its PNG; none if there are none yet.

    With `wait=1` it is answered as soon as there is one, so that nobody has to ask again and again.

    400 with a sentence for an address that names no replay.
    """
    query = request.query_params
    try:
        first, count = number_in(query, "first", 0), number_in(query, "count", 1)
        wanted, count = wanted_in(query), min(count, MAX_COUNT)
        until = time.monotonic() + (WAIT_SECONDS if query.get("wait") == "1" and count else 0.0)
        while not (content := await run_in_threadpool(_frames, wanted, first, count)):
            if time.monotonic() >= until or not await run_in_threadpool(_is_being_made, wanted):
                break
            await asyncio.sleep(_LOOK_SECONDS)
    except V3Error as error:
        said = translated(error, of_request(request.headers, query))
        return JSONResponse({"error": said}, status_code=400)
    return Response(content, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


def _frames(wanted: Wanted, first: int, count: int) -> bytes:
    folder = made_folder(shared_database(), wanted)
    found = read_frames(folder, first, count, MAX_BYTES)
    if found:
        made_replays.touch(folder)
    return b"".join(struct.pack("<I", len(picture)) + picture for picture in found)


def _is_being_made(wanted: Wanted) -> bool:
    return progress(shared_database(), wanted).stage in UNFINISHED
