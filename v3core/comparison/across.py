"""Several environments together: each group's scores, normalised by stated bounds."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from v3core.errors import V3Error, suggestion
from v3core.insight.compared import Across, AcrossGroup, GroupResult
from v3core.insight.estimates import probability_of_improvement
from v3core.insight.profiles import Bounds, aggregates, performance_profile
from v3core.messages import _
from v3core.phrases import listed, sentences

POINTS = 101
"""Scores of a performance profile, from 0 to the best, at least to 1."""


def across(groups: Sequence[GroupResult], bounds: Mapping[str, Bounds]) -> Across:
    """Aggregates and profiles over the environments that have bounds, and in which every group has a run that counts.

    Raises:
        V3Error: for bounds of an environment that no run is in, or that are no interval.
    """
    envs = list(dict.fromkeys(group.env for group in groups))
    for env, bound in bounds.items():
        if env not in envs:
            sentence = _("No run is in environment '{env}', which bounds are given for.", env=env)
            raise V3Error(sentences(sentence, suggestion(env, envs)))
        if not bound.low < bound.high:
            raise V3Error(
                "The bounds of {env} are {low:g} and {high:g}; the first must be the lower one.",
                env=env,
                low=bound.low,
                high=bound.high,
            )
    names = list(dict.fromkeys(group.name for group in groups))
    found = {(group.name, group.env): list(group.finals.values()) for group in groups}
    used = [env for env in envs if env in bounds and all(found.get((name, env)) for name in names)]
    notes = []
    if without := [env for env in envs if env not in bounds]:
        notes.append(_("Without bounds, and so left out: {envs}.", envs=listed(without)))
    if partly := [env for env in envs if env in bounds and env not in used]:
        notes.append(_("Left out, because not every group has a run there that counts: {envs}.", envs=listed(partly)))
    if not used:
        return Across((), (), {}, tuple(notes))
    scores = {name: [bounds[env].normalise(found[name, env]) for env in used] for name in names}
    best = max(float(part.max()) for strata in scores.values() for part in strata)
    at = np.linspace(0, max(best, 1.0), POINTS)
    return Across(
        environments=tuple(used),
        groups=tuple(
            AcrossGroup(name, aggregates(scores[name]), performance_profile(scores[name], at)) for name in names
        ),
        improvement={
            f"{first} > {second}": probability_of_improvement(scores[first], scores[second])
            for first, second in combinations(names, 2)
        },
        notes=tuple(notes),
    )


def parse_bounds(text: str) -> tuple[str, Bounds]:
    """Environment and bounds of a text such as `CartPole-v1=0,500`; raises a V3Error if it is none."""
    env, _sign, ends = text.rpartition("=")
    try:
        low, high = map(float, ends.split(","))
    except ValueError:
        raise V3Error(
            "'{text}' gives no bounds; write the lowest and the highest value, as in CartPole-v1=0,500.", text=text
        ) from None
    return env.strip(), Bounds(low, high)
