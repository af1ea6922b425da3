"""A routing is added by its weights and its name; all else follows."""

import pytest

from tests.extending.conftest import Project

WEIGHTS = """
    if routing == "even":
        return torch.full_like(logits, 1 / logits.shape[-1])
"""

LOOK = """
    from streamlit.testing.v1 import AppTest

    from tests.waiting import PATIENCE_SECONDS

    app = AppTest.from_file("app.py", default_timeout=PATIENCE_SECONDS)
    app.switch_page("pages/launch.py").run()
    assert not app.exception
    (chooser,) = [box for box in app.selectbox if box.label == "Routing"][:1]
    assert "even" in chooser.options
    chooser.set_value("even").run()
    assert not app.exception
    assert not app.error
"""

READ = """
    import csv

    rows = list(csv.DictReader(open("run.csv")))
    even = [row for row in rows if row["phase"] == "warmup"]
    assert {row["routing"] for row in even} == {"even"}
    assert all(abs(float(row["load_1"]) - 1 / 4) < 1e-6 for row in even)
"""


@pytest.mark.long
def test_a_routing_takes_its_weights_and_its_name(project: Project) -> None:
    project.replace("v3core/curriculum/knobs.py", '"uniform", "random"]', '"uniform", "random", "even"]')
    project.insert("v3core/policy/routing.py", WEIGHTS, before='    if routing == "topk":')
    train = ("train", "--env", "CartPole-v1", "--curriculum", "v3", "--episodes", "16", "--seed", "1")
    run = project.run("-m", "v3core", *train, "--set", "phases.warmup.routing=even").split()[-1]
    project.run("-m", "v3core", "export", run, "--to", "run.csv")
    project.run("-c", READ)
    project.run("-c", LOOK)
    project.write_docs("tests/test_docs.py")
    assert "`random`, `even`" in project.read("docs/curricula.md")
