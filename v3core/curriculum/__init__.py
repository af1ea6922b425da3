"""Curricula: which settings hold when. Pure functions and files; no torch, no database."""

from v3core.curriculum.edit import check_edit, renamed, with_boundaries
from v3core.curriculum.environments import environment_at, setup_at, setups_of
from v3core.curriculum.fit import check_environment_named, check_experts, check_fits, environments_of, fits, scaled
from v3core.curriculum.knobs import (
    CHOICES,
    COEFFICIENTS,
    KNOBS,
    METRICS,
    Graph,
    Metric,
    Routing,
    TopKWeights,
)
from v3core.curriculum.longer import lengthened
from v3core.curriculum.model import Architecture, Curriculum, Over, Phase, Ramp, Times, Value
from v3core.curriculum.presets import (
    dump,
    load_curriculum,
    load_file,
    load_preset,
    parse,
    preset_names,
    preset_names_for,
)
from v3core.curriculum.progress import (
    BEGIN,
    PhaseStart,
    Progress,
    episodes_left,
    longest_window,
    next_phase_due,
    phase_at,
    phase_spans,
    planned_starts,
    starts_of,
    steps_left,
)
from v3core.curriculum.settings import BaseValues, Settings, settings_at
from v3core.curriculum.until import Until

__all__ = [
    "BEGIN",
    "CHOICES",
    "COEFFICIENTS",
    "KNOBS",
    "METRICS",
    "Architecture",
    "BaseValues",
    "Curriculum",
    "Graph",
    "Metric",
    "Over",
    "Phase",
    "PhaseStart",
    "Progress",
    "Ramp",
    "Routing",
    "Settings",
    "Times",
    "TopKWeights",
    "Until",
    "Value",
    "check_edit",
    "check_environment_named",
    "check_experts",
    "check_fits",
    "dump",
    "environment_at",
    "environments_of",
    "episodes_left",
    "fits",
    "lengthened",
    "load_curriculum",
    "load_file",
    "load_preset",
    "longest_window",
    "next_phase_due",
    "parse",
    "phase_at",
    "phase_spans",
    "planned_starts",
    "preset_names",
    "preset_names_for",
    "renamed",
    "scaled",
    "settings_at",
    "setup_at",
    "setups_of",
    "starts_of",
    "steps_left",
    "with_boundaries",
]
