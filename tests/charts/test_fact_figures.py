"""The chart of an episode fact: its points, and its words in the language of its reader."""

import json

from v3core.charts.fact_figures import fact_figure
from v3core.messages import speaking

POINTS = [(20, 1.5), (40, -2.0), (55, 8.25)]


def test_the_line_goes_through_the_means_up_to_the_newest_episode() -> None:
    figure = fact_figure("r", "score", POINTS)
    (line,) = figure.data
    assert list(zip(line.x, line.y, strict=True)) == POINTS
    assert figure.layout.xaxis.range == [0, 55]
    assert figure.layout.yaxis.title.text == "score"
    assert line.hovertemplate == "score: %{y:.4~g}<extra></extra>"


def test_facts_and_runs_have_charts_of_their_own() -> None:
    kept = {fact_figure(run, name, POINTS).layout.uirevision for run in "ab" for name in ("score", "depth")}
    assert len(kept) == 4


def test_without_a_mean_it_is_empty() -> None:
    figure = fact_figure("r", "score", [])
    assert (figure.data[0].x, figure.layout.xaxis.range) == ([], [0, 1])


def test_a_name_is_shown_as_it_was_written() -> None:
    figure = fact_figure("r", "<b>%{x}", POINTS)
    shown = "&#60;b&#62;&#37;{x}"
    assert (figure.data[0].name, figure.layout.yaxis.title.text) == (shown, shown)
    assert figure.data[0].hovertemplate.startswith(f"{shown}: ")


def test_every_word_is_in_one_language() -> None:
    def text() -> str:
        return json.dumps(json.loads(fact_figure("r", "s", POINTS).to_json()), ensure_ascii=False)

    english = text()
    assert '"alt": "s of r, over the run\'s episodes."' in english
    assert '"text": "Episode"' in english
    with speaking("zh_CN"):
        chinese = text()
    assert [word for word in ("Episode", "episodes", " of ", "over the") if word in chinese] == []
