"""A knob with a loss is added by its entry, its loss and the columns that they are recorded in; all else follows."""

import pytest

from tests.extending.conftest import Project
from v3core.store.schema import SCHEMA_VERSION

NEXT = SCHEMA_VERSION + 1
ENTRY = f"""
    evenness: float = _knob(
        "Evenness", "Coefficient of the variance of the mean gates, N²·Var(Pᵢ).", "loss", source="ours", since={NEXT}
    )
"""
LOSS = '    "evenness": lambda routed: routed.probabilities.shape[1] ** 2 * routed.probabilities.mean(0).var(),'
MIGRATION = f'''
    """Schema {NEXT}: evenness."""

    import sqlalchemy as sa
    from alembic import op

    revision = "{NEXT}"
    down_revision = "{SCHEMA_VERSION}"


    def upgrade() -> None:
        """Empty in old rows."""
        for name in ("evenness", "evenness_loss"):
            op.add_column("episodes", sa.Column(name, sa.Double))
'''

LOOK = """
    import sys

    from streamlit.testing.v1 import AppTest

    from tests.pages.test_measurements import figures
    from tests.waiting import PATIENCE_SECONDS

    def page(path, **state):
        app = AppTest.from_file("app.py", default_timeout=PATIENCE_SECONDS)
        app.query_params["run"] = sys.argv[1]
        app.switch_page(path)
        for name, value in state.items():
            app.session_state[name] = value
        app.run()
        assert not app.exception
        return app

    launch = page("pages/launch.py", **{"more-knobs": True})
    field = [field for field in launch.text_input if field.label == "Evenness"][0]
    assert "variance of the mean gates" in field.help
    field.set_value("-1").run()
    assert any("Evenness '-1' must be 0 or more." in text.value for text in launch.markdown)
    schedule = figures(page("pages/live.py", health=True))["schedule"]
    assert "Evenness coefficient" in str(schedule["layout"]), schedule["layout"]
"""

READ = """
    import csv

    for row in csv.DictReader(open("run.csv")):
        used = row["phase"] == "warmup"
        assert float(row["evenness"]) == (0.5 if used else 0.0)
        assert (float(row["evenness_loss"]) > 0) == used, row
        known = ("policy_loss", "load_balance_loss", "evenness_loss")
        parts = sum(float(row[name]) for name in known) + 0.5 * float(row["value_loss"])
        parts -= float(row["entropy"]) * float(row["action_entropy"])
        assert abs(parts - float(row["total_loss"])) < 1e-5, (parts, row)
"""


@pytest.mark.long
def test_a_knob_takes_its_entry_its_loss_and_its_columns(project: Project) -> None:
    project.insert("v3core/curriculum/knobs.py", ENTRY, before="    bias_speed: float = _knob(")
    project.insert("v3core/training/losses.py", LOSS, before='    "gate_entropy": lambda routed')
    project.write(f"v3core/store/migrations/versions/schema_{NEXT}.py", MIGRATION)
    train = ("train", "--env", "CartPole-v1", "--curriculum", "v3", "--episodes", "16", "--seed", "1")
    options = ("--set", "ppo.rollout_steps=16", "--set", "phases.warmup.evenness=0.5")
    options += ("--set", "phases.transition.evenness=0")
    run = project.run("-m", "v3core", *train, *options).split()[-1]
    project.run("-m", "v3core", "export", run, "--to", "run.csv")
    project.run("-c", READ)
    project.run("-c", LOOK, run)
    project.write_docs("tests/test_docs.py", "tests/curriculum/test_knobs.py")
    assert "| `evenness` | Evenness | Coefficient of the variance" in project.read("docs/curricula.md")
    assert "| `evenness_loss` | Evenness loss |" in project.read("docs/metrics.md")
