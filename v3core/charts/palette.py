"""Colours of data. Text, grid and paper take the page's theme in the browser; only these are fixed.

Each has a contrast of at least 3:1 on the light and on the dark page, and any two stay apart (CIE76 ΔE of 15 or more)
for protanopia and deuteranopia (Machado et al. 2009); `tests/charts/test_palette.py` computes both.
"""

from collections.abc import Sequence

import numpy as np

CATEGORICAL = ("#1f78d1", "#d55e00", "#0aa58f", "#96489f", "#9e87bd", "#0d714d", "#fa2875", "#cf804e")
"""For runs, experts and metrics, in this order."""

NEUTRAL = "#808080"
"""For lines that are not data: thresholds, plans, boundaries."""

# A dark-to-light ramp (viridis without its two ends, which vanish on a dark or a light page) for many experts.
_SEQUENTIAL = ("#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39")


def rgba(colour: str, opacity: float) -> str:
    """`#rrggbb` with an opacity from 0 to 1, as CSS writes it."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def colours(count: int) -> list[str]:
    """`count` colours: the categorical ones while they last, then a ramp."""
    if count <= len(CATEGORICAL):
        return list(CATEGORICAL[:count])
    return ramp(count)


def ramp(count: int) -> list[str]:
    """`count` colours of the ramp, from dark to light."""
    return [_between(_SEQUENTIAL, place) for place in np.linspace(0, 1, count)]


def colour_scale() -> list[tuple[float, str]]:
    """The ramp as plotly takes a colour scale."""
    return [(index / (len(_SEQUENTIAL) - 1), colour) for index, colour in enumerate(_SEQUENTIAL)]


def _between(ramp: Sequence[str], place: float) -> str:
    channels = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in ramp], dtype=float)
    knots = np.linspace(0, 1, len(ramp))
    return "#" + "".join(f"{round(float(np.interp(place, knots, channels[:, channel]))):02x}" for channel in range(3))
