"""The room that a chart keeps for its legend before it is drawn is what plotly's legend then takes."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

import v3core.ui

FOLDER = Path(v3core.ui.__file__).parent
HEIGHTS = """
async ([names, width]) => {
  const node = document.createElement("div")
  document.body.append(node)
  const data = names.map((name) => ({ type: "scatter", x: [1], y: [1], name, legendgroup: name }))
  const place = { x: 0, xref: "paper", y: 1, yref: "container", yanchor: "top" }
  const legend = { orientation: "h", traceorder: "normal", ...place }
  const margin = { l: 60, r: 20, t: 40, b: 40 }
  const layout = { width, height: 3000, margin, legend, showlegend: true, font: { family: "sans-serif", size: 13 } }
  await Plotly.newPlot(node, data, layout)
  return [legendHeight(names, width - margin.l - margin.r, "sans-serif"), node._fullLayout.legend._height]
}
"""


@pytest.mark.parametrize("width", [300, 640, 819, 1600])
def test_the_room_for_a_legend_is_what_it_takes(page: Page, width: int) -> None:
    page.set_content("<body></body>")
    page.add_script_tag(path=FOLDER / "plotly-cartesian.min.js")
    source = (FOLDER / "live_chart_legend.js").read_text(encoding="utf-8")
    page.add_script_tag(content=f'const canvas = document.createElement("canvas").getContext("2d")\n{source}')
    for count in (1, 2, 3, 5, 8, 13, 20, 40):
        for length in (3, 17, 31):
            names = [f"{'v3 a&#60;b curriculum epochs=10, load'[:length]}{number}" for number in range(count)]
            expected, found = page.evaluate(HEIGHTS, [names, width])
            assert expected == found, (count, length)
