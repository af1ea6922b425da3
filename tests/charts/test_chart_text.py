"""Names in figures: plotly reads HTML, templates and formulas in them."""

from dataclasses import replace

from tests.charts.test_figures import series
from v3core.charts.chart_text import chart_text
from v3core.charts.compare import compare_figure
from v3core.charts.figures import return_figure
from v3core.charts.schedule import schedule_figure
from v3core.config import BaseConfig
from v3core.curriculum import load_preset, scaled

NAME = '<b>a</b> &amp; <a href="http://x.y">%{y} $z$</a>'
ESCAPED = '&#60;b&#62;a&#60;/b&#62; &#38;amp; &#60;a href="http://x.y"&#62;&#37;{y} &#36;z&#36;&#60;/a&#62;'


def test_signs_that_mean_something_to_plotly_are_entities():
    assert chart_text("v3 · CartPole-v1 (½)") == "v3 · CartPole-v1 (½)"
    assert chart_text(NAME) == ESCAPED
    assert chart_text(" a\n b") == "a b"


def test_names_are_escaped_wherever_a_figure_writes_them():
    one = series(50)
    bands = [replace(band, name=NAME) for band in one.bands]
    points = [replace(point, env=env) for point in one.evaluations[:2] for env in (NAME, "other")]
    run = replace(one, name=NAME, bands=bands, evaluations=tuple(points))
    curriculum = scaled(load_preset("v3"), run.end)
    figures = (
        compare_figure([run, run]),
        return_figure(run),
        schedule_figure(run, curriculum, BaseConfig().values()),
    )
    written = [text for figure in figures for text in texts(figure.tree())]
    assert any(ESCAPED in text for text in written)
    assert [text for text in written if "<a" in text] == []


def texts(node, key=""):
    """Every text of a figure that plotly draws; `meta` is for the page, which draws it itself."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name not in ("meta", "uirevision"):
                yield from texts(value, name)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from texts(value, key)
    elif isinstance(node, str):
        yield node
