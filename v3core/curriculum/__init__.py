"""Curricula: which routing settings hold when. Pure functions and files; no torch, no database."""

from v3core.curriculum.edit import check_edit, check_fits, scaled, with_boundaries
from v3core.curriculum.files import dump, load_curriculum, load_file, load_preset, parse, preset_names
from v3core.curriculum.model import KNOBS, Curriculum, Phase, Ramp, Routing, Times, Until, Value
from v3core.curriculum.settings import BaseValues, Progress, Settings, phase_at, phase_spans, settings_at

__all__ = [
    "KNOBS",
    "BaseValues",
    "Curriculum",
    "Phase",
    "Progress",
    "Ramp",
    "Routing",
    "Settings",
    "Times",
    "Until",
    "Value",
    "check_edit",
    "check_fits",
    "dump",
    "load_curriculum",
    "load_file",
    "load_preset",
    "parse",
    "phase_at",
    "phase_spans",
    "preset_names",
    "scaled",
    "settings_at",
    "with_boundaries",
]
