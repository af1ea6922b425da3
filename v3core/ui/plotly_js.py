"""plotly's JavaScript, from the installed package: nothing is loaded from the internet.

`asgi.py` serves it. For a server that was started without `asgi.py`, as by `streamlit run app.py`, a copy lies where
Streamlit serves files of an app.
"""

from pathlib import Path

import plotly

from v3core.atomic_write import replacing
from v3core.errors import V3Error
from v3core.paths import INSTALLED, shipped
from v3core.ui.own_paths import path_of

FOLDER = shipped("static")
"""Streamlit serves the folder `static` next to app.py as `app/static/`."""

NAME = "plotly.min.js"
SOURCE = Path(plotly.__file__).parent / "package_data" / NAME


def address() -> str:
    """Where the browser finds it on this server."""
    return path_of(f"app/static/{NAME}")


def ensure_plotly_js(folder: Path = FOLDER) -> Path:
    """Put plotly.min.js into `folder` unless it is there; raises a V3Error if it cannot. Several processes may race."""
    target = folder / NAME
    try:
        content_size = SOURCE.stat().st_size
    except OSError:
        raise V3Error("The plotly package lacks plotly.min.js; reinstall it from requirements.txt.") from None
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
            f"The script for charts cannot be written to {folder}: {error.strerror or error}; make the folder writable."
        ) from None
    return target
