"""The table of runs on Home as AppTest sees it: what is sent to the browser, and a selection as it would come back."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest


def table(app: AppTest) -> dict[str, Any]:
    """What is sent to the table of runs."""
    (found,) = [one for one in app.get("bidi_component") if one.proto.component_name == "v3_run_table"]
    data: dict[str, Any] = json.loads(found.proto.json)
    return data


def names(app: AppTest) -> list[str]:
    """The names of the runs on the page, in their order."""
    if not any(one.proto.component_name == "v3_run_table" for one in app.get("bidi_component")):
        return []
    return [row["name"] for row in table(app)["rows"]]


def cells(app: AppTest, run_id: str) -> dict[str, dict[str, Any]]:
    """The cells of a run by the names of their columns."""
    data = table(app)
    (row,) = [row for row in data["rows"] if row["id"] == run_id]
    columns = [column["name"] for column in data["columns"][1:]]
    return dict(zip(columns, row["cells"], strict=True))


def select(app: AppTest, *run_ids: str) -> AppTest:
    """Select these runs."""
    app.session_state["runs-selected"] = list(run_ids)
    return app.run()
