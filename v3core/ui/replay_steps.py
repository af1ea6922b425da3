"""What is known of one step of a replay, as JSON: the browser asks for it as the step is looked at."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from v3core.charts.step_view import step_view
from v3core.errors import V3Error
from v3core.jobs.made_replays import UNFINISHED
from v3core.jobs.replay_making import progress, read_made
from v3core.messages import ENGLISH, _, known_language, speaking, translated
from v3core.ui.language import PARAMETER
from v3core.ui.own_paths import path_of
from v3core.ui.replay_frames import number_in, wanted_in
from v3core.ui.shared import shared_database

NAME = "v3/replay-step"
NOT_YET = _("What is inside of the network is still being computed.")


def address() -> str:
    """Where the browser gets it, with `run`, `episode`, `seed`, `step`, and for the graph `layer` and `head`."""
    return path_of(NAME)


async def endpoint(request: Request) -> Response:
    """The step, in the language that `lang` names; 400 with a sentence for an address that names none."""
    with speaking(known_language(request.query_params.get(PARAMETER)) or ENGLISH):
        try:
            return JSONResponse(await run_in_threadpool(_step, request.query_params))
        except V3Error as error:
            return JSONResponse({"error": translated(error.message)}, status_code=400)


def _step(query: QueryParams) -> dict[str, Any]:
    database, wanted = shared_database(), wanted_in(query)
    made = read_made(database, wanted)
    layer, head = (number_in(query, name) if query.get(name) else None for name in ("layer", "head"))
    step = number_in(query, "step", 1)
    no_inside = made.no_inside
    if made.inside is None and progress(database, wanted).stage in UNFINISHED:
        no_inside = NOT_YET
    return step_view(made.replay, made.inside, step=step, layer=layer or 1, head=head, no_inside=no_inside)
