"""All that follows from the table of knobs."""

from dataclasses import fields

import pytest
from pydantic import ValidationError

from v3core.config import BaseConfig
from v3core.curriculum import COEFFICIENTS, KNOBS, BaseValues, Phase, Settings
from v3core.curriculum.knobs import FROM_RECIPE, SETTINGS
from v3core.curriculum.table import COMMON, FURTHER, PhaseRow
from v3core.overrides import SETTINGS as RECIPE_SETTINGS
from v3core.training.losses import ROUTING_LOSSES


def test_every_knob_is_a_field_wherever_settings_are():
    for kind in (BaseValues, Settings, PhaseRow):
        assert set(KNOBS) <= {field.name for field in fields(kind)}
    assert set(Phase.model_fields) == {"name", "until", *SETTINGS}
    assert {"name", "until", *SETTINGS} == {*COMMON, *FURTHER}
    assert tuple(BaseConfig.model_fields) == FROM_RECIPE


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_has_its_default_and_says_what_it_is(knob):
    declared = KNOBS[knob]
    assert getattr(BaseValues(), knob) == declared.default
    assert declared.allowed.holds(declared.default)
    assert declared.title[0].isupper()
    assert declared.meaning.endswith(".")
    assert Phase.model_fields[knob].description == declared.meaning


@pytest.mark.parametrize("knob", FROM_RECIPE)
def test_a_base_value_has_the_range_of_its_knob(knob):
    setting = RECIPE_SETTINGS[f"base.{knob}"]
    declared = KNOBS[knob]
    assert setting.title == declared.title
    assert (setting.allowed.low, setting.allowed.low_open) == (declared.allowed.low, declared.allowed.low_open)
    assert setting.allowed.high == min(declared.allowed.high, declared.most_in_recipe)
    with pytest.raises(ValidationError):
        BaseConfig(**{knob: declared.allowed.low - 1})


def test_every_coefficient_has_its_loss():
    """The action-entropy bonus is PPO's own term."""
    assert {*ROUTING_LOSSES, "entropy"} == set(COEFFICIENTS)
