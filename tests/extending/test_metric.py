"""A metric is added by its entry, the line that computes it and a migration; all else follows."""

import pytest

from tests.extending.conftest import Project
from v3core.store.schema import SCHEMA_VERSION

NEXT = SCHEMA_VERSION + 1
ENTRY = f"""
    largest_load: float = _metric(
        "Largest load", "max(E[α]): the load of the busiest expert.", "0 to 1", NETWORK, since={NEXT}
    )
"""
COMPUTED = "            largest_load=float(loads.max()),"
MIGRATION = f'''
    """Schema {NEXT}: the largest load."""

    import sqlalchemy as sa
    from alembic import op

    revision = "{NEXT}"
    down_revision = "{SCHEMA_VERSION}"


    def upgrade() -> None:
        """Empty in old rows."""
        op.add_column("episodes", sa.Column("largest_load", sa.Double))
'''

LOOK = """
    import json
    import sys

    from streamlit.testing.v1 import AppTest

    from tests.markdown import shown
    from tests.pages.test_measurements import figures
    from tests.waiting import PATIENCE_SECONDS
    from v3core.metrics import COMPARED

    run = sys.argv[1]
    app = AppTest.from_file("app.py", default_timeout=PATIENCE_SECONDS)
    app.query_params["run"] = run
    app.switch_page("pages/live.py")
    app.session_state["health"] = True
    app.run()
    assert not app.exception
    figure = figures(app)["network"]
    assert "Largest load (0 to 1)" in [trace["name"] for trace in figure["data"]], figure
    assert any("max(E[α])" in shown(text.value) for text in app.markdown)
    assert COMPARED["largest_load"].label == "Largest load (0 to 1)"
"""

READ = """
    import csv

    rows = list(csv.DictReader(open("run.csv")))
    assert len(rows) == 8
    for row in rows:
        loads = [float(value) for name, value in row.items() if name.startswith("load_") and name[5:].isdigit()]
        assert abs(float(row["largest_load"]) - max(loads)) < 1e-9
"""

OLD = """
    import shutil
    from pathlib import Path

    from v3core.store.opening import open_database
    from v3core.store.runs import list_runs
    from v3core.store.curve import read_series

    shutil.copy("tests/store/databases/schema-4.db", "recorded/old.db")
    database = open_database("sqlite:///recorded/old.db", Path("recorded"))
    read = read_series(database, list_runs(database)[0].id)
    assert not read.summary("largest_load").count.any()
    assert read.summary("return").count.all()
"""


def test_a_metric_takes_its_entry_its_line_and_its_migration(project: Project) -> None:
    project.insert("v3core/metrics.py", ENTRY, before="    dead_experts: int | None")
    project.insert("v3core/training/statistics.py", COMPUTED, before="            dead_experts=")
    project.write(f"v3core/store/migrations/versions/schema_{NEXT}.py", MIGRATION)
    trained = project.run(
        *("-m", "v3core", "train", "--env", "CartPole-v1", "--curriculum", "v3", "--episodes", "8", "--seed", "1")
    )
    run = trained.split()[-1]
    project.run("-c", LOOK, run)
    project.run("-m", "v3core", "export", run, "--to", "run.csv")
    project.run("-c", READ)
    project.run("-c", OLD)
    project.write_docs("tests/test_metrics.py", stale="docs/metrics.md is stale")
    assert "| `largest_load` | Largest load | 0 to 1 | max(E[α]): the load" in project.read("docs/metrics.md")


PER_STEP = f"""
    largest_gate: float = _metric("Largest gate", "E[max(α)], mean over the steps of the largest gate.", since={NEXT})
"""
TRAIN = """
    import math
    import sys
    from pathlib import Path

    from tests.runs import tiny_config
    from tests.training.conftest import Recorder
    from v3core.training.hooks import Orders
    from v3core.training.trainer import train

    resumed = [Path(path) for path in sys.argv[1:]]
    config = tiny_config(episodes=40)
    hooks = Recorder(Path("recorded"), lambda hooks: Orders(stop=not resumed and hooks.calls.count("record") >= 2))
    train(config, curriculum=config.curriculum, hooks=hooks, checkpoint=resumed[0] if resumed else None)
    assert not hooks.remarks
    if not resumed:
        print(hooks.saved[-1][0])
        sys.exit()
    known = [record.largest_gate for record in hooks.episodes if not math.isnan(record.largest_gate)]
    assert all(1 / config.policy.experts <= value <= 1 for value in known)
    # Only of the episodes that were in progress is it not known.
    assert 1 <= len(hooks.episodes) - len(known) <= config.ppo.environments < len(known)
    assert not any(math.isnan(record.routing_entropy) for record in hooks.episodes)
"""


@pytest.mark.long
def test_a_metric_per_step_resumes_a_checkpoint_of_before(project: Project) -> None:
    checkpoint = project.run("-c", TRAIN).strip()
    project.insert("v3core/metrics.py", PER_STEP, before="    support: float = _metric(")
    statistics = "v3core/training/statistics.py"
    project.insert(statistics, '        "largest_gate": gates.max(2, keepdims=True),', before='        "loads": gates,')
    computed = '            largest_gate=float(means["largest_gate"][0]),'
    project.insert(statistics, computed, before="            support=")
    project.run("-c", TRAIN, checkpoint)
