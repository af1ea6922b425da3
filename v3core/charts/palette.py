"""Colours of data, one palette for each thing that has a colour, so that no colour has two meanings.

Text, grid and paper take the page's theme in the browser; only these are fixed. Each has a contrast of at least 3:1 on
the light and on the dark page. Within a palette any two are apart with any colour vision: normal, protanopia,
deuteranopia and tritanopia (CIE76 ΔE of 15 or more; Machado et al. 2009). Any two of different palettes are apart for
normal vision (12 or more). `tests/charts/test_palette.py` computes all of it.
"""

from collections.abc import Collection, Sequence
from functools import cache
from zlib import crc32

import numpy as np

from v3core.curriculum import unedited

EXPERTS = ("#1f78d1", "#d55e00", "#0aa58f", "#96489f", "#9e87bd", "#0d714d", "#fa2875", "#cf804e")
"""Of the first experts, by number; `expert_colours` has more."""
RUNS = ("#0084fc", "#fc5400", "#6c6090", "#a85430", "#6c3cfc", "#c08484", "#e460cc", "#a824c0")
"""Of compared runs, in their order; `run_colours` has more."""
CURRICULA = ("#0c9ccc", "#909000", "#b40cfc", "#cc786c", "#90546c", "#fc00b4", "#c03030", "#a878fc")
"""By name: `curriculum_colour` has more."""
MARKS = "●■◆▲▼★✚◐"
"""Of curricula that share a hue; presets have the first three."""
PHASES = ("#5490b4", "#9c906c", "#486c60", "#786030")
"""Of the bands of phases, in turn: soft, since they lie behind everything else."""
METRICS = ("#009ce4", "#e46c84", "#8418fc", "#846000")
"""Of the lines of a chart that is neither about experts nor about runs."""
EVALUATION = "#5454cc"
"""Evaluations come apart from training and look apart from it."""
ALARM = "#d62728"
NEUTRAL = "#808080"
"""For lines that are not data: thresholds, plans, boundaries."""

DASHES = ("solid", "dash", "longdash", "dashdot", "longdashdot", "8px 2px 2px 2px", "2px 6px", "12px 6px")
"""Of lines that share a hue, in turn. Without `dot`: a mean of fewer episodes than its window."""
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "star")
"""Of points that share a hue, in turn."""
_LIGHTER = (0.0, 0.28, -0.28, 0.14, -0.14, 0.21, -0.21, 0.07)
"""How far hues that are used again are mixed with white, or with black if it is negative."""

# A dark-to-light ramp (viridis without its two ends, which vanish on a dark or a light page): numbers of a heatmap.
_SEQUENTIAL = ("#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39")

# Presets keep their colours, whatever else has a name; a new one comes last.
_OF_PRESETS = (
    *("v3", "softmax-only", "direct-sparsemax", "v3-entmax", "demo-with-curriculum", "demo-without-curriculum"),
    *("switch", "switch-two-stage", "mixtral", "deepseek-moe", "deepseek-three-stage", "deepseek-v3-bias"),
    *("bengio-minigrid", "no-graph", "single-expert", "minihack-tasks", "memory-tasks"),
)

_CURRICULA_LOOKS = len(CURRICULA) * len(MARKS)
_FOR_PRESETS = 3 * len(CURRICULA)
"""Looks that no other curriculum has: those of today's presets, and of presets to come."""


def rgba(colour: str, opacity: float) -> str:
    """`#rrggbb` with an opacity from 0 to 1, as CSS writes it."""
    red, green, blue = _channels(colour)
    return f"rgba({red},{green},{blue},{opacity:g})"


def expert_colours(count: int) -> list[str]:
    """The colours of `count` experts, each its own whatever the count; from the ninth on hues come again."""
    return list(_more(EXPERTS, count))


def run_colours(count: int) -> list[str]:
    """The colours of `count` runs that are compared."""
    return list(_more(RUNS, count))


def pattern(patterns: Sequence[str], place: int) -> str:
    """Which of `DASHES` or `SYMBOLS` tells the expert or run at a place, from 0, from those of the same hue."""
    return patterns[place // len(EXPERTS) % len(patterns)]


def curriculum_colour(name: str) -> str:
    """The colour of a curriculum, the same on every page and every day; edited ones keep that of their origin."""
    return _more(CURRICULA, _CURRICULA_LOOKS)[_place_of_curriculum(name)]


def curriculum_colours(names: Collection[str]) -> dict[str, str]:
    """Of curricula in one chart, by name: the colour of each, but of two that share a hue the later takes a free one.

    Presets come first, then the others by name, so that presets keep theirs. From the ninth on hues come again.
    """
    origins = sorted({unedited(name) for name in names}, key=lambda name: (name not in _OF_PRESETS, name))
    free = [*range(len(CURRICULA))]
    places = {}
    for origin in origins:
        row, hue = divmod(_place_of_curriculum(origin), len(CURRICULA))
        if free and hue not in free:
            hue = min(free, key=lambda other: (other - hue) % len(CURRICULA))
        free = [other for other in free if other != hue]
        places[origin] = row * len(CURRICULA) + hue
    colours = _more(CURRICULA, _CURRICULA_LOOKS)
    return {name: colours[places[unedited(name)]] for name in names}


def curriculum_mark(name: str) -> str:
    """A letter that, in its colour, stands for a curriculum: hues come again, each with the other marks."""
    return MARKS[_place_of_curriculum(name) // len(CURRICULA)]


def shaded(colour: str, place: int) -> str:
    """The colour itself at place 0, then lighter and darker ones: groups of runs of one curriculum."""
    return _mixed(colour, _LIGHTER[place % len(_LIGHTER)])


def _place_of_curriculum(name: str) -> int:
    """By its name alone, so that it does not depend on what else there is: of 40 others, two are rarely the same."""
    name = unedited(name)
    if name in _OF_PRESETS:
        return _OF_PRESETS.index(name)
    return _FOR_PRESETS + crc32(name.encode()) % (_CURRICULA_LOOKS - _FOR_PRESETS)


def ramp(count: int) -> list[str]:
    """`count` colours of the ramp, from dark to light."""
    return [_between(_SEQUENTIAL, place) for place in np.linspace(0, 1, count)]


def colour_scale() -> list[tuple[float, str]]:
    """The ramp as plotly takes a colour scale."""
    return [(index / (len(_SEQUENTIAL) - 1), colour) for index, colour in enumerate(_SEQUENTIAL)]


@cache
def _more(palette: tuple[str, ...], count: int) -> tuple[str, ...]:
    return tuple(
        _mixed(palette[place % len(palette)], _LIGHTER[place // len(palette) % len(_LIGHTER)]) for place in range(count)
    )


def _mixed(colour: str, share: float) -> str:
    towards = 255 if share > 0 else 0
    return "#" + "".join(f"{round(value + abs(share) * (towards - value)):02x}" for value in _channels(colour))


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue


def _between(scale: Sequence[str], place: float) -> str:
    channels = np.array([_channels(colour) for colour in scale], dtype=float)
    knots = np.linspace(0, 1, len(scale))
    return "#" + "".join(f"{round(float(np.interp(place, knots, channels[:, channel]))):02x}" for channel in range(3))
