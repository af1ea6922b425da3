"""plotly's JavaScript, from this package: nothing is loaded from the internet.

It is plotly's own bundle for cartesian axes (the npm package plotly.js-cartesian-dist-min), of the version that the
pinned plotly brings: a browser takes three times as long to load all of plotly.js, maps and 3D included.

`asgi.py` serves it. For a server that was started without `asgi.py`, as by `streamlit run app.py`, a copy lies where
Streamlit serves files of an app.
"""

import re
from functools import cache
from pathlib import Path

from v3core.atomic_write import replacing
from v3core.errors import V3Error
from v3core.messages import _
from v3core.paths import INSTALLED, shipped
from v3core.ui.own_paths import path_of

FOLDER = shipped("static")
"""Streamlit serves the folder `static` next to app.py as `app/static/`."""

NAME = "plotly.min.js"
PLOTLY_WORDS: dict[str, str] = {
    "not_plotly": _("the file is there but is not plotly"),
    "not_loaded": _("{url} cannot be loaded"),
}
"""Of `plotly_page.js`."""
SOURCE = Path(__file__).with_name("plotly-cartesian.min.js")


def address() -> str:
    """Where the browser finds it on this server."""
    return path_of(f"app/static/{NAME}")


def versioned_address() -> str:
    """What pages ask for: another one with each version, so that no stale copy is kept."""
    return f"{address()}?v={version()}-cartesian"


@cache
def version() -> str:
    """The version of plotly.js, as the file says."""
    with SOURCE.open(encoding="utf-8") as file:
        found = re.search(r"\bv(\d+\.\d+\.\d+)", file.read(200))
    return found[1] if found else "unknown"


def ensure_plotly_js(folder: Path = FOLDER) -> Path:
    """Put plotly.min.js into `folder` unless it is there; raises a V3Error if it cannot. Several processes may race."""
    target = folder / NAME
    try:
        content_size = SOURCE.stat().st_size
    except OSError:
        raise V3Error("V3 Lab lacks its file {name}; install it again.", name=SOURCE.name) from None
    if INSTALLED:
        return SOURCE
    try:
        if target.exists() and target.stat().st_size == content_size:
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(target) as unfinished:
            unfinished.write_bytes(SOURCE.read_bytes())
    except OSError as error:
        raise V3Error(
            "The script for charts cannot be written to {folder}: {value}; make the folder writable.",
            folder=folder,
            value=error.strerror or error,
        ) from None
    return target
