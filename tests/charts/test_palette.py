"""The palette keeps its promises: readable on both pages, told apart with any colour vision."""

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest

from v3core.charts.palette import CATEGORICAL, NEUTRAL, colours, rgba

CONFIG = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
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


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", [*CATEGORICAL, NEUTRAL])
def test_data_is_readable_on_both_pages(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 3


@pytest.mark.parametrize("vision", VISIONS)
def test_any_two_colours_are_told_apart(vision: str) -> None:
    seen = [lab(VISIONS[vision] @ linear(colour)) for colour in CATEGORICAL]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) >= 15


def test_pages_use_the_same_palette() -> None:
    assert tuple(CONFIG["theme"]["chartCategoricalColors"]) == CATEGORICAL


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_buttons_are_readable(mode: str) -> None:
    theme = CONFIG["theme"][mode]
    for background in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
        assert contrast(theme["textColor"], background) >= 7
        assert contrast(theme["linkColor"], background) >= 4.5
    assert contrast(theme["primaryColor"], "#ffffff") >= 4.5
    assert contrast(theme["primaryColor"], theme["backgroundColor"]) >= 3


def test_there_are_as_many_colours_as_asked_for() -> None:
    for count in (0, 1, 4, 8, 9, 64):
        given = colours(count)
        assert len(set(given)) == len(given) == count
    assert rgba("#ff8000", 0.5) == "rgba(255,128,0,0.5)"
