"""plotly's own JavaScript, from the installed package, where Streamlit serves it: nothing comes from outside."""

import os
import tempfile
from pathlib import Path

import plotly

from v3core.errors import V3Error

FOLDER = Path(__file__).resolve().parents[2] / "static"
"""Streamlit serves the folder `static` beside app.py as `app/static/`."""

NAME = "plotly.min.js"


def ensure_plotly_js(folder: Path = FOLDER) -> Path:
    """Put plotly.min.js into `folder` unless the installed one is there already; several processes may race.

    Raises:
        V3Error: if the package lacks the file or the folder cannot be written.
    """
    source = Path(plotly.__file__).parent / "package_data" / NAME
    target = folder / NAME
    try:
        content_size = source.stat().st_size
    except OSError:
        raise V3Error("The plotly package has no plotly.min.js; install it again from requirements.txt.") from None
    try:
        if target.stat().st_size == content_size:
            return target
    except OSError:
        pass
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{NAME}.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(source.read_bytes())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise V3Error(
            f"The charts' script cannot be written to {folder}: {error.strerror or error}; make that folder writable."
        ) from None
    return target
