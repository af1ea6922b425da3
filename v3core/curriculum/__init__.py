"""Curricula: which settings apply when. Pure functions and files; no torch, no database."""

from .edit import check_edit, is_lengthened, lengthened, renamed, renamed_apart, unedited, with_boundaries
from .fit import (
    check_environment_named,
    check_experts,
    check_facts,
    check_fits,
    check_router_learns,
    environments_of,
    fits,
    scaled,
    scaled_to,
)
from .knobs import COEFFICIENTS, KNOBS, Graph, Metric, Routing, TopKWeights
from .length import Length
from .model import Architecture, Curriculum, Over, Phase, Ramp, Times, Value
from .presets import dump, load_curriculum, load_preset, parse, preset_names, preset_names_for
from .progress import PhaseStart, Progress, episodes_left, longest_window, next_phase_due, planned_starts, steps_left
from .settings import BaseValues, Settings, ignoring_base, settings_at, setup_at, setups_of
from .until import Until
