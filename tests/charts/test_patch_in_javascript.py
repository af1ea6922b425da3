"""What the browser makes of patches, by the files that it runs, in the Node.js that comes with Playwright."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from playwright._impl._driver import compute_driver_executable

from tests.charts.patched import applied
from tests.charts.test_figures import FIGURES
from tests.charts.test_patch import COUNT, received, run_of
from v3core import ui
from v3core.charts.folding import folded
from v3core.charts.patch import patch, whole
from v3core.store.bulk import COLUMNS

FILES = [Path(ui.__path__[0]) / f"live_chart_{name}.js" for name in ("patch", "folding")]
HAS = """
const plain = (value) => ArrayBuffer.isView(value) ? Array.from(value, plain)
  : Array.isArray(value) ? value.map(plain)
  : typeof value === "number" && !Number.isFinite(value) ? null
  : value === null || typeof value !== "object" ? value
  : Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))
const found = {}
for (const [name, versions] of Object.entries(JSON.parse(require("fs").readFileSync(0)))) {
  let sent
  found[name] = versions.map((steps) => {
    sent = patched(sent, steps)
    return plain(unfolded(sent))
  })
}
console.log(JSON.stringify(found))
"""


def drawn(versions: dict[str, list[Any]]) -> Any:
    """What the browser draws of each figure after each of the patches that it is sent."""
    node = compute_driver_executable()[0]
    code = "\n".join([*(file.read_text(encoding="utf-8") for file in FILES), HAS])
    said = subprocess.run([node, "-e", code], input=json.dumps(versions), capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


def test_the_browser_draws_what_a_fresh_page_would_at_every_step() -> None:
    random = np.random.default_rng(5)
    rows = {name: random.random(COUNT) for name in COLUMNS}
    rows["return"][5:60:2] = np.nan
    rows["policy_loss"][1200:1300] = np.nan
    rows["total_loss"][:] = np.nan
    sent: dict[str, list[Any]] = {}
    fresh: dict[str, list[Any]] = {}
    for name, figure in FIGURES.items():
        trees = [figure(run_of(count, 4, rows)).tree() for count in (0, 1, 300, 1001, 1002, 1399, 2500, 900)]
        now = [folded(tree) for tree in trees]
        steps = [whole(now[0]), *(patch(before, after) for before, after in pairwise(now))]
        sent[name] = received(steps)
        fresh[name] = [received(applied(None, whole(tree))) for tree in trees]
    assert drawn(sent) == fresh


def test_steps_that_no_chart_takes_today_are_understood() -> None:
    before: dict[str, Any] = {"a": {"b": "Episode 9 of 🎲", "c": 1, "d": [1.0, {"e": None}]}, "f": np.array([1.0, 2.0])}
    now: dict[str, Any] = {"a": {"b": "Episode 10 of 🎲", "d": [2.5, {"e": True}]}, "f": np.array([1.0, np.inf, 2.0])}
    steps = patch(before, now)
    assert {kind for kind, *_ in steps} == {"at", "splice"}
    assert {kind for kind, *_ in steps[0][2]} == {"delete", "words", "at"}
    assert drawn({"": received([whole(before), steps])})[""][1] == applied(None, whole(now))
