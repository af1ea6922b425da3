"""What helps against an alarm: pure functions from a curriculum to the one to ask for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from v3core.curriculum import Curriculum, Phase, Progress, Settings, settings_at
from v3core.curriculum.knobs import KNOBS
from v3core.curriculum.model import Over, Ramp, Times, Value, ramps_of
from v3core.curriculum.progress import starts_of
from v3core.curriculum.settings import BaseValues
from v3core.curriculum.until import Until
from v3core.errors import V3Error
from v3core.insight.alarms.rules import (
    LENGTHEN_PHASE,
    LOWER_RATE,
    LOWER_TEMPERATURE,
    RAISE_LOAD_BALANCE,
    RAISE_TEMPERATURE,
)
from v3core.messages import _

BALANCE_ON_SOFTMAX = "balance_on_softmax"
BALANCE_ON_SOFTMAX_SETTING = "ppo.balance_on=softmax"
LONGER = 1.5
"""How many times as long a phase becomes."""
SWITCH_LOAD_BALANCE = 0.01
"""What a load balance of 0 is raised to: the coefficient of Switch, arXiv:2101.03961."""


@dataclass(frozen=True)
class Remedy:
    """A change to the curriculum of a run."""

    name: str
    title: str
    """On its button."""
    icon: str
    """Name of a Material symbol."""
    meaning: str
    """What it does, one sentence."""
    apply: Callable[[Curriculum, Progress, BaseValues], Curriculum]
    """From the curriculum in force, at this progress with these base values. V3Error if it cannot help now."""
    assignments: tuple[str, ...] = ()
    """Settings that it changes too, as in `ppo.epochs=4`: of no run but a fork."""


def scaled_knob(
    curriculum: Curriculum, progress: Progress, base: BaseValues, knob: str, factor: float, instead_of_zero: float = 0.0
) -> Curriculum:
    """The curriculum with a knob times `factor` from now on: in the phase in force and in all that follow.

    Ramps keep their shape and their length, so that the value now is that times `factor` too. Where the value is 0,
    it becomes `instead_of_zero`.
    """
    starts = starts_of(curriculum, progress)
    here = len(starts) - 1
    now: Settings = settings_at(curriculum, progress, base)
    phases = list(curriculum.phases)
    for index in range(here, len(phases)):
        value: Value | None = getattr(phases[index], knob)
        if value is None and index == here:
            value = float(getattr(now, knob))  # it inherits, perhaps what an earlier ramp reached
        if value is None:
            continue
        phases[index] = _with(phases[index], {knob: _times(value, knob, factor, instead_of_zero)})
    return curriculum.model_copy(update={"phases": tuple(phases)})


def _times(value: Value, knob: str, factor: float, instead_of_zero: float) -> Value:
    if isinstance(value, Ramp):
        return Ramp.model_validate(
            {
                **dict(value),
                "start": _times(value.start, knob, factor, instead_of_zero),
                "to": _times(value.to, knob, factor, instead_of_zero),
            }
        )
    if isinstance(value, Times):
        return Times(times=_rounded(value.times * factor))
    allowed = KNOBS[knob].allowed
    raised = value * factor if value else instead_of_zero
    return _rounded(min(raised, allowed.high))


def _rounded(number: float) -> float:
    """Without the digits that only rounding made: 0.0150000…2 is 0.015."""
    return float(f"{number:.6g}")


def longer_phase(curriculum: Curriculum, progress: Progress, base: BaseValues) -> Curriculum:  # noqa: ARG001
    """The phase in force half as long again; what follows shares the rest of the run as before.

    Ramps of the phase in force keep their slope: they reach their value where they would have, and hold it.
    """
    starts = starts_of(curriculum, progress)
    here = len(starts) - 1
    phase, start = curriculum.phases[here], starts[-1]
    who = _("Phase {number} '{name}'", number=here + 1, name=phase.name)
    if phase.until is None:
        raise V3Error("{who} lasts until the end of the run; train the run longer instead.", who=who)
    until = phase.until
    if until.step is not None:
        length = until.step - start.step
        return _with_end(
            curriculum, here, Until(step=start.step + round(length * LONGER)), _held(phase, Over(steps=max(1, length)))
        )
    if until.is_trigger:
        if until.max_episodes is None:
            raise V3Error("{who} ends on a trigger without a limit; change its threshold instead.", who=who)
        changed = {"max_episodes": round(until.max_episodes * LONGER)}
        return _with_end(
            curriculum, here, until.model_copy(update=changed), _held(phase, Over(episodes=until.max_episodes))
        )
    assert until.episode is not None
    after = sum(1 for later in curriculum.phases[here + 1 : -1] if later.until and later.until.episode is not None)
    last = progress.episodes - 1 - after
    end = min(start.episode + round((until.episode - start.episode) * LONGER), last)
    if end <= until.episode:
        raise V3Error(
            "{who} cannot be longer in a run of {episodes:,} episodes; train the run longer first.",
            who=who,
            episodes=progress.episodes,
        )
    held = _held(phase, Over(episodes=max(1, until.episode - start.episode)))
    moved = _with_end(curriculum, here, Until(episode=end), held)
    return _moved_after(moved, here, until.episode, end, progress.episodes)


def _held(phase: Phase, over: Over) -> dict[str, Ramp]:
    """The phase's own ramps, written as ramps over the length that it had."""
    return {knob: ramp.model_copy(update={"over": over}) for knob, ramp in ramps_of(phase).items() if ramp.over is None}


def _with_end(curriculum: Curriculum, index: int, until: Until, values: Mapping[str, Any]) -> Curriculum:
    phases = list(curriculum.phases)
    phases[index] = _with(phases[index], {"until": until, **values})
    return curriculum.model_copy(update={"phases": tuple(phases)})


def _moved_after(curriculum: Curriculum, here: int, old: int, new: int, episodes: int) -> Curriculum:
    """Later ends by episode, in proportion between the end that moved and the end of the run."""
    phases, before = list(curriculum.phases), new
    ends = [index for index in range(here + 1, len(phases)) if (until := phases[index].until) and until.episode]
    for place, index in enumerate(ends):
        until = phases[index].until
        assert until is not None
        assert until.episode is not None
        share = (until.episode - old) / max(1, episodes - old)
        most = episodes - 1 - (len(ends) - 1 - place)
        before = min(max(new + round(share * (episodes - new)), before + 1), most)
        phases[index] = _with(phases[index], {"until": Until(episode=before)})
    return curriculum.model_copy(update={"phases": tuple(phases)})


def _with(phase: Phase, values: Mapping[str, Any]) -> Phase:
    return type(phase).model_validate({**dict(phase), **values})


def balanced(curriculum: Curriculum, progress: Progress, base: BaseValues) -> Curriculum:
    """With a load balance from now on if there is none; the coefficient as it is otherwise."""
    if settings_at(curriculum, progress, base).load_balance:
        return curriculum
    return scaled_knob(curriculum, progress, base, "load_balance", 1.0, SWITCH_LOAD_BALANCE)


_ALL = (
    Remedy(
        RAISE_LOAD_BALANCE,
        _("Double load balance"),
        "balance",
        _("Doubles the coefficient of the load-balance loss in this phase and all that follow; one of 0 becomes 0.01."),
        lambda curriculum, progress, base: scaled_knob(
            curriculum, progress, base, "load_balance", 2.0, SWITCH_LOAD_BALANCE
        ),
    ),
    Remedy(
        BALANCE_ON_SOFTMAX,
        _("Balance on the softmax"),
        "balance",
        _(
            "The balance losses read the softmax of the router's logits, which has a gradient for experts whose gate "
            "is 0; a coefficient of load balance that is 0 becomes 0.01."
        ),
        balanced,
        (BALANCE_ON_SOFTMAX_SETTING,),
    ),
    Remedy(
        RAISE_TEMPERATURE,
        _("Raise temperature by half"),
        "thermostat",
        _("Multiplies the temperature by 1.5 in this phase and all that follow, which softens the routing."),
        lambda curriculum, progress, base: scaled_knob(curriculum, progress, base, "temperature", 1.5),
    ),
    Remedy(
        LOWER_TEMPERATURE,
        _("Lower temperature by a third"),
        "device_thermostat",
        _("Multiplies the temperature by 2/3 in this phase and all that follow, which sharpens the routing."),
        lambda curriculum, progress, base: scaled_knob(curriculum, progress, base, "temperature", 2 / 3),
    ),
    Remedy(
        LOWER_RATE,
        _("Halve learning rate"),
        "trending_down",
        _("Halves the learning rate in this phase and all that follow."),
        lambda curriculum, progress, base: scaled_knob(curriculum, progress, base, "lr", 0.5),
    ),
    Remedy(
        LENGTHEN_PHASE,
        _("Lengthen this phase"),
        "expand",
        _("Makes the phase in force half as long again; later boundaries move in proportion."),
        longer_phase,
    ),
)

REMEDIES: Mapping[str, Remedy] = {remedy.name: remedy for remedy in _ALL}
"""By name."""
