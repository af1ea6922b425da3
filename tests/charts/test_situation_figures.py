"""The chart of a situation, in the language of its reader."""

import json

import pytest

from v3core.charts.situation_figures import situation_figure
from v3core.messages import speaking

POINTS = {2: [(1, (0.25, 0.75)), (9, (0.5, 0.5))], 40: [(9, (0.025,) * 40)]}


def text_of(experts: int) -> str:
    figure = situation_figure("r", "s", POINTS[experts], last=9)
    return json.dumps(json.loads(figure.to_json()), ensure_ascii=False)


@pytest.mark.parametrize("experts", POINTS)
def test_every_word_is_in_one_language(experts: int) -> None:
    english = text_of(experts)
    assert f"Load of {experts} experts in the situation 's' of r, over the run's episodes." in english
    assert "Expert 1" in english
    with speaking("zh_CN"):
        chinese = text_of(experts)
    traces = ('"name": "Expert', '"name": "Fair', '["Expert', "Expert 2:")
    assert [word for word in ("Load", "Episode", "episode ", "situation '", *traces) if word in chinese] == []
