"""A report as one HTML file: plotly's bundle and all figures are inside, so it needs no network."""

import json
from base64 import b64encode
from datetime import datetime
from pathlib import Path

import jinja2
from plotly.offline import get_plotlyjs

from v3core.atomic_write import whole_file
from v3core.errors import V3Error
from v3core.messages import Message, several, spoken, translated
from v3core.report.gathering import Report
from v3core.store.database import Database
from v3core.store.export import table_of, write_parquet

DATA = ("runs", "episodes", "evaluations")
"""Tables of all runs that are written beside the report."""
_TEMPLATE = Path(__file__).with_name("report.html")


def _about(runs: int, made_at: datetime) -> Message:
    return several(
        "{count} run · written {moment} UTC by V3 Lab",
        "{count} runs · written {moment} UTC by V3 Lab",
        count=runs,
        moment=f"{made_at:%Y-%m-%d %H:%M}",
    )


def as_html(report: Report) -> str:
    """The report as text, about 5 MB; names that people chose are escaped."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=translated,  # of messages, what the reader's language has
    )
    environment.filters["base64"] = lambda content: b64encode(content).decode()
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    figures = ", ".join(
        f"{json.dumps(f'{place}-{picture.key}')}: {picture.figure.to_json()}"
        for place, section in enumerate(report.sections)
        for picture in section.pictures
    )
    return template.render(
        report=report,
        language=spoken().replace("_", "-"),
        about=_about(len(report.run_ids), report.made_at),
        figures=_in_script(f"{{{figures}}}"),
        plotly=get_plotlyjs(),
    )


def write_report(database: Database, report: Report, target: Path) -> Path:
    """Write the file, and a folder beside it with the data of its runs as Parquet; returns the folder.

    An earlier report there, and its data, are replaced.

    Raises:
        V3Error: for a file that does not end in `.html`, or that cannot be written.
    """
    if target.suffix.lower() not in (".html", ".htm"):
        raise V3Error("'{name}' cannot be written as a report; end it in .html.", name=target.name)
    folder = target.with_name(f"{target.stem}-data")
    if not target.parent.is_dir():
        raise V3Error("The folder {parent} does not exist; create it first.", parent=target.parent)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise V3Error(
            "The folder {folder} for the data cannot be created: {strerror}.", folder=folder, strerror=error.strerror
        ) from None
    with database.read() as tx:
        for what in DATA:
            with whole_file(folder / f"{what}.parquet") as draft:
                write_parquet(draft, *table_of(tx, list(report.run_ids), what))
    with whole_file(target) as draft:
        draft.write_text(as_html(report), encoding="utf-8")
    return folder


def _in_script(text: str) -> str:
    """JSON that cannot end the script which it is in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
