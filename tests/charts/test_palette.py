"""The palette keeps its promises: readable on both pages, told apart with any colour vision."""

import itertools
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.charts.made import made_curve
from v3core.charts import palette
from v3core.charts.compare import compare_figure
from v3core.charts.figures import return_figure, rows_figure
from v3core.charts.palette import (
    DASHES,
    SYMBOLS,
    curriculum_colour,
    curriculum_colours,
    curriculum_mark,
    expert_colours,
    pattern,
    rgba,
    run_colours,
)
from v3core.charts.series import PhaseBand, RunSeries
from v3core.charts.traces import AREA_OPACITY
from v3core.metrics import LOSSES
from v3core.ui.run_columns import COLUMNS, Wall

CONFIG = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
PRESETS = list((Path(__file__).parents[2] / "data" / "curricula").glob("*.yaml"))
PAGES = [CONFIG["theme"][mode]["backgroundColor"] for mode in ("light", "dark")]

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    lighter, darker = sorted((linear(colour) @ (0.2126, 0.7152, 0.0722) for colour in (one, other)), reverse=True)
    return float((lighter + 0.05) / (darker + 0.05))


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / (0.9505, 1, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


ONE_BY_ONE = {"evaluation": [palette.EVALUATION], "alarm": [palette.ALARM], "neutral": [palette.NEUTRAL]}
CAPTION = 0.6
"""How much of the text's colour Streamlit's captions have; the rest is the page behind them."""


def faded(text: str, page: str) -> str:
    """The colour of a caption."""
    channels = (
        round(CAPTION * int(text[at : at + 2], 16) + (1 - CAPTION) * int(page[at : at + 2], 16)) for at in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02x}" for channel in channels)


PALETTES = {
    "experts": list(palette.EXPERTS),
    "runs": list(palette.RUNS),
    "curricula": list(palette.CURRICULA),
    "phases": list(palette.PHASES),
    "metrics": list(palette.METRICS),
    **ONE_BY_ONE,
}
ALL = [colour for colours in PALETTES.values() for colour in colours]


def distance(one: str, other: str, vision: str = "normal") -> float:
    """CIE76 ΔE of two colours as they are seen."""
    return float(np.linalg.norm(lab(VISIONS[vision] @ linear(one)) - lab(VISIONS[vision] @ linear(other))))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", ALL)
def test_data_is_readable_on_both_pages(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 3


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("name", [name for name in PALETTES if name not in ONE_BY_ONE])
def test_any_two_colours_of_a_palette_are_told_apart(name: str, vision: str) -> None:
    assert min(distance(one, other, vision) for one, other in itertools.combinations(PALETTES[name], 2)) >= 15


def test_no_colour_has_two_meanings() -> None:
    for (name, mine), (other_name, others) in itertools.combinations(PALETTES.items(), 2):
        least = min(distance(one, other) for one in mine for other in others)
        assert least >= 12, (name, other_name)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_experts_are_told_apart_where_their_areas_are_drawn(page: str, vision: str) -> None:
    """Areas are translucent: what is seen is mixed with the page."""
    seen = [blended(one, page, AREA_OPACITY) for one in palette.EXPERTS]
    assert min(distance(one, other, vision) for one, other in itertools.combinations(seen, 2)) >= 12


def test_single_episodes_are_readable_next_to_their_mean_on_both_pages() -> None:
    run = RunSeries("run", made_curve({"return": np.arange(30.0)}), total=30)
    episodes, mean = return_figure(run).data[:2]
    assert distance(episodes.marker.color, mean.line.color) >= 15
    for page in PAGES:
        seen = blended(episodes.marker.color, page, episodes.marker.opacity)
        assert contrast(seen, page) >= 2
    smoothed = rows_figure(replace(run, window=10), LOSSES).data[0]
    assert smoothed.name.endswith("every episode")


def blended(colour: str, page: str, opacity: float) -> str:
    """What a browser shows of a translucent colour on a page."""
    channels = zip(*(tuple(int(one[at : at + 2], 16) for at in (1, 3, 5)) for one in (colour, page)), strict=True)
    return "#" + "".join(f"{round(opacity * top + (1 - opacity) * under):02x}" for top, under in channels)


def test_an_expert_keeps_its_colour_and_no_two_of_64_look_alike() -> None:
    for count in (0, 1, 4, 8, 9, 64):
        given = expert_colours(count)
        assert given == expert_colours(64)[:count]
        assert len(set(given)) == len(given) == count
        looks = {(place % 8, pattern(DASHES, place), pattern(SYMBOLS, place)) for place in range(count)}
        assert len(looks) == count
    assert len(set(run_colours(64))) == 64
    assert rgba("#ff8000", 0.5) == "rgba(255,128,0,0.5)"


def test_a_curriculum_has_the_same_colour_everywhere_and_keeps_it_when_it_is_edited() -> None:
    assert {name: looks_of(name) for name in ("v3", "direct-sparsemax", "mine")} == {
        "v3": (palette.CURRICULA[0], "●"),
        "direct-sparsemax": (palette.CURRICULA[2], "●"),
        "mine": ("#af675d", "▼"),
    }
    assert curriculum_colour("mine (edited)") == curriculum_colour("mine")
    first, second, *_ = compare_figure([made("a"), made("b")], curricula=["v3", "mine"]).data[2:]
    assert [first.marker.line.color, second.marker.line.color] == [curriculum_colour("v3"), curriculum_colour("mine")]


@pytest.mark.parametrize(
    "names", [["gradual", "never sparse", "long warmup", "dense"], [f"curriculum {7 * n}" for n in range(8)]]
)
def test_curricula_of_one_chart_have_hues_of_their_own(names: list[str]) -> None:
    by_name = [distance(*pair) for pair in itertools.combinations(map(curriculum_colour, names), 2)]
    assert min(by_name) < 12, "by their names alone, two of these share a hue"
    found = curriculum_colours([*names, "v3"][-8:])
    for first, second in itertools.combinations(found.values(), 2):
        assert distance(first, second) > 12
    assert found["v3"] == curriculum_colour("v3")
    assert curriculum_colours([*reversed([*names, "v3"][-8:])]) == found
    assert curriculum_colours(["never sparse", "v3", "v3 (edited)"]) == {
        name: curriculum_colour(name) for name in ("never sparse", "v3", "v3 (edited)")
    }


def test_more_curricula_than_hues_use_them_again() -> None:
    found = curriculum_colours([f"own {number}" for number in range(20)])
    assert len(found) == 20
    assert len(set(found.values())) > 12


def looks_of(name: str) -> tuple[str, str]:
    return curriculum_colour(name), curriculum_mark(name)


def test_of_more_than_eight_curricula_few_look_alike_and_none_like_a_preset() -> None:
    presets = {looks_of(path.stem) for path in PRESETS}
    assert len(presets) == len(PRESETS)
    others = [f"curriculum {number}" for number in range(500)]
    assert not presets & set(map(looks_of, others))
    assert len(set(map(looks_of, others))) == 40
    # Of twelve curricula at once; eight colours would be used again at least four times.
    alike = [12 - len(set(map(looks_of, others[at : at + 12]))) for at in range(0, 480, 12)]
    assert np.mean(alike) < 1.5


def test_a_new_preset_changes_the_looks_of_no_other_curriculum(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*(path.stem for path in PRESETS), *(f"curriculum {number}" for number in range(50))]
    before = [*map(looks_of, names)]
    monkeypatch.setattr(palette, "_OF_PRESETS", (*palette._OF_PRESETS, "a new one"))
    assert [*map(looks_of, names)] == before
    assert looks_of("a new one") not in before


def test_a_strip_on_compare_begins_with_the_mark_of_its_curriculum_as_on_runs() -> None:
    figure = compare_figure([made("a"), made("b")], curricula=["v3", "mine"])
    marks = [curriculum_mark("v3"), curriculum_mark("mine")]
    assert [band["texts"] for band in figure.layout.meta.bands] == [[f"{mark} one", f"{mark} 1"] for mark in marks]
    assert [COLUMNS["curriculum"].cell(run_with(name), Wall())["mark"] for name in ("v3", "mine")] == marks


def run_with(curriculum: str) -> Any:
    return SimpleNamespace(curriculum=curriculum)


def made(name: str) -> RunSeries:
    return RunSeries(name, made_curve({"return": np.arange(30.0)}), bands=[PhaseBand("one", 0, 30)], total=30)


def test_pages_use_the_same_palette() -> None:
    assert tuple(CONFIG["theme"]["chartCategoricalColors"]) == palette.EXPERTS


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_buttons_are_readable(mode: str) -> None:
    theme = CONFIG["theme"][mode]
    for background in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
        assert contrast(theme["textColor"], background) >= 7
        assert contrast(theme["linkColor"], background) >= 4.5
        assert contrast(faded(theme["textColor"], background), background) >= 4.5
    assert contrast(theme["primaryColor"], "#ffffff") >= 4.5
    assert contrast(theme["primaryColor"], theme["backgroundColor"]) >= 3
