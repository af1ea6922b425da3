"""The page Claims: every claim with its comparisons, the studies, and what is wrong with a file."""

import json

import yaml

from tests.charts.patched import applied
from tests.pages.test_states import text_of
from v3core.claims.results import Result, write_results
from v3core.claims.statements import claims, readable_states
from v3core.claims.study import load_study, runs_of
from v3core.jobs.launcher import enqueue
from v3core.ui.shell import PAGES

STUDY = {
    "question": "Is [one](http://bad.example) better?",
    "environment": "CartPole-v1",
    "steps": 1024,
    "seeds": 6,
    "arms": [{"name": "one *star*", "curriculum": "v3"}, {"name": "two", "curriculum": "direct-sparsemax"}],
    "hypotheses": [
        {"claim": "collapse", "outcome": "dead_experts", "arm": "one *star*", "than": "two", "expected": "lower"}
        | {"matters": 1}
    ],
}


def studied(folder):
    """A study of which every run has a result."""
    (folder / "experiments").mkdir()
    (folder / "experiments" / "made.yaml").write_text(yaml.safe_dump(STUDY))
    study = load_study("made")
    values = {"one *star*": 0.25, "two": 3.5}
    results = [
        Result(run.arm, run.seed, run.key, {"arm": run.arm, "seed": run.seed, "key": run.key, "dead_experts": dead})
        for run in runs_of(study)
        for dead in [values[run.arm] + run.seed % 2]
    ]
    write_results(study, results)
    return study


def test_every_claim_is_there_with_its_verdict_and_its_sources(open_page, database, tmp_path):
    studied(tmp_path)
    app = open_page("pages/claims.py")
    assert not app.exception
    assert not app.error
    text = text_of(app)
    for claim in claims().values():
        assert claim.title in text
        assert " ".join(claim.sources.split())[:60] in text
    assert "| made | Dead experts | one *star*: lower than two, by 1.00 or more | −3.25 (−3.25 to −3.25) | 6 |" in text
    assert "supported |" in text
    assert "http://bad.example" not in [link.get("href") for link in app.get("link")]
    assert "12 of 12 runs have a result" in text


def test_a_claim_has_a_picture_where_its_comparisons_have_an_interval(open_page, database, tmp_path):
    studied(tmp_path)
    app = open_page("pages/claims.py")
    sent = [json.loads(one.proto.json) for one in app.get("bidi_component") if one.proto.json]
    figures = [applied(None, json.loads(data["figure"])) for data in sent if "figure" in data]
    drawn = {figure["layout"]["uirevision"]: figure for figure in figures}
    found, _problems = readable_states()
    with_interval = {one.hypothesis.claim for state in found for one in state.findings if one.measured.low is not None}
    assert drawn.keys() == {f"forest:{claim}" for claim in with_interval}
    assert "forest:collapse" in drawn
    assert "practice" not in with_interval
    texts = [text for trace in drawn["forest:collapse"]["data"] for (text,) in trace["customdata"]]
    assert any("one *star*: 0.750<br>two: 4.00<br>difference −3.25 (−3.25 to −3.25), 6 pairs" in text for text in texts)


def test_a_study_whose_runs_are_here_links_to_them(open_page, database, tmp_path):
    study = studied(tmp_path)
    assert not open_page("pages/claims.py").get("page_link")[len(PAGES) :]
    enqueue(database, [runs_of(study)[0].config], study.experiment)
    assert len(open_page("pages/claims.py").get("page_link")) == len(PAGES) + 1


def test_a_file_that_is_no_study_is_named_in_a_sentence(open_page, database, tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "made.yaml").write_text("question: [")
    app = open_page("pages/claims.py")
    assert not app.exception
    assert not app.error
    (warning,) = app.warning
    assert "made.yaml" in warning.value
    assert "The studies" in text_of(app)
