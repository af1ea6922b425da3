"""The figure of a claim: intervals in multiples of what matters, each with its verdict and its own numbers."""

import pytest

from tests.charts.test_group_figures import checked
from tests.claims.made_study import results, study
from v3core.claims.findings import findings_of
from v3core.claims.forest import forest
from v3core.claims.results import Result
from v3core.claims.study import Relation

FIRST = (0, 1, 0, 1, 0, 2)
SECOND = (4, 5, 5, 4, 6, 5)


def drawn(*findings):
    return checked(forest("collapse", findings))


def interval(trace, place=0):
    return [
        trace.x[place] - trace.error_x.arrayminus[place],
        trace.x[place],
        trace.x[place] + trace.error_x.array[place],
    ]


@pytest.mark.parametrize(("expected", "sign"), [("lower", -1), ("higher", 1)])
def test_an_interval_is_in_multiples_of_what_matters_and_right_of_0_as_expected(expected, sign):
    (finding,) = findings_of(study(expected, matters=2.0), results(FIRST, SECOND))
    (trace,) = drawn(finding).data
    found = finding.measured
    assert found.value == pytest.approx(-25 / 6)
    assert interval(trace) == pytest.approx(sorted(sign * end / 2 for end in (found.low, found.value, found.high)))
    assert trace.name == ("supported" if expected == "lower" else "not supported")


def test_the_numbers_in_its_own_unit_and_every_name_are_in_the_hover():
    (finding,) = findings_of(study(), results(FIRST, SECOND))
    lines = drawn(finding).data[0].customdata[0][0].split("<br>")
    assert lines[:3] == ["Dead experts · made", "with: 0.667", "without: 4.83"]
    assert lines[3].startswith("difference −4.17 (−5.")
    assert lines[3].endswith(", 6 pairs of seeds")
    assert lines[4:] == ["2.00 or more matters", "supported"]


def test_without_enough_runs_there_is_no_interval_and_nothing_is_drawn():
    (few,) = findings_of(study(), results(FIRST[:4], SECOND[:4]))
    (none,) = findings_of(study(), [])
    (enough,) = findings_of(study(), results(FIRST, SECOND))
    assert few.measured.n == 4
    assert forest("collapse", []) is forest("collapse", [few, none]) is None
    assert len(drawn(few, enough, none).data[0].x) == 1


def test_what_is_not_counted_is_open_and_each_verdict_has_one_look():
    supported, uncounted = (findings_of(study(counts=counts), results(FIRST, SECOND))[0] for counts in (True, False))
    undecided = findings_of(
        study(matters=0.5), results(FIRST, [value + sign for value, sign in zip(FIRST, (9, -9) * 3, strict=True)])
    )[0]
    assert undecided.verdict == "undecided"
    one, two = drawn(supported, uncounted, undecided), drawn(undecided)
    looks = {trace.name: (trace.marker.symbol, trace.marker.color) for trace in one.data}
    colour = looks["supported"][1]
    assert looks["supported"] == ("circle", colour)
    assert looks["supported (not counted)"] == ("circle-open", colour)
    assert looks["undecided"] == (two.data[0].marker.symbol, two.data[0].marker.color)
    assert looks["undecided"][1] != colour
    assert one.data[1].error_x.thickness < one.data[0].error_x.thickness
    assert [trace.y[0] for trace in one.data] == sorted(trace.y[0] for trace in one.data), (
        "the rows of the table, in its order"
    )


def test_lines_are_at_0_and_at_what_matters_in_every_row():
    finding = findings_of(study(), results(FIRST, SECOND))[0]
    figure = drawn(finding, finding)
    for name, x in (("zero", 0), ("matters", 1)):
        lines = [shape for shape in figure.layout.shapes if shape.name == name]
        assert [(line.x0, line.x1) for line in lines] == [(x, x)] * 2
        for line, y in zip(lines, figure.data[0].y, strict=True):
            assert line.y0 < y < line.y1
    low, high = figure.layout.xaxis.range
    assert low < 0
    assert high > 1


def test_a_relation_is_in_multiples_of_the_correlation_that_matters():
    relation = Relation(
        claim="ties",
        outcome="evaluation_return",
        foretold_by="dead_experts",
        arms=("with", "without"),
        expected="lower",
        matters=0.25,
    )
    both = study().model_copy(update={"hypotheses": (), "relations": (relation,)})
    runs = results(FIRST, SECOND)
    for one in runs:
        one.row["evaluation_return"] = 9 - one.row["dead_experts"] + one.seed % 2
    (finding,) = findings_of(both, runs)
    (trace,) = drawn(finding).data
    found = finding.measured
    assert interval(trace) == pytest.approx([end / -0.25 for end in (found.high, found.value, found.low)])
    assert trace.x[0] > 1
    text = trace.customdata[0][0]
    assert "where dead experts is higher" in text
    assert "r = −0." in text
    assert "within with, without" in text


def test_names_of_arms_are_shown_letter_by_letter():
    made = study()
    named = made.hypotheses[0].model_copy(update={"than": "<b>without</b> %{x} and as long as a name of an arm may be"})
    arms = (made.arms[0], made.arms[1].model_copy(update={"name": named.than}))
    bold = made.model_copy(update={"hypotheses": (named,), "arms": arms})
    rows = [
        one if one.arm == "with" else Result(named.than, one.seed, one.key, one.row) for one in results(FIRST, SECOND)
    ]
    figure = drawn(findings_of(bold, rows)[0])
    label = next(note.text for note in figure.layout.annotations if "Dead experts" in note.text)
    for text in (label, figure.data[0].customdata[0][0]):
        assert "<b>" not in text
        assert "%{x}" not in text
    assert label.endswith("as long as a<br>name of an arm may be"), "broken where a phone ends, between words"


def test_a_line_of_chinese_is_broken_where_it_takes_as_much_room():
    made = study()
    names = ["专" * 30, "家" * 20]
    hypothesis = made.hypotheses[0].model_copy(update=dict(zip(("arm", "than"), names, strict=True)))
    arms = tuple(arm.model_copy(update={"name": name}) for arm, name in zip(made.arms, names, strict=True))
    rows = [Result(names[one.arm == "without"], one.seed, one.key, one.row) for one in results(FIRST, SECOND)]
    (finding,) = findings_of(made.model_copy(update={"hypotheses": (hypothesis,), "arms": arms}), rows)
    label = next(note.text for note in drawn(finding).layout.annotations if "Dead experts" in note.text)
    assert label.split("<br>")[1:] == ["专" * 24, "专" * 6, "against " + "家" * 20]
