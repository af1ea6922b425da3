"""The rules of alarms, each declared once: meaning, formula, threshold, source and remedies.

A rule measures something of every episode (`Window`) and holds where that is at or beyond its threshold. The texts and
the buttons on Live and docs/alarms.md follow from this table. To add a rule: an entry here, and its recorded cases in
`tests/insight/cases`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v3core.insight.alarms.window import Window
from v3core.messages import Message, _, several
from v3core.metrics import DEAD_LOAD
from v3core.phrases import listed, strung
from v3core.rollup import SHORTEST_WINDOW, Floats

RAISE_LOAD_BALANCE = "raise_load_balance"
RAISE_TEMPERATURE, LOWER_TEMPERATURE = "raise_temperature", "lower_temperature"
LENGTHEN_PHASE, LOWER_RATE = "lengthen_phase", "lower_lr"

Bools = NDArray[np.bool_]
_LN2 = math.log(2)


@dataclass(frozen=True)
class Rule:
    """A condition on recorded episodes that calls for attention."""

    name: str
    """Contains what it is about."""
    title: str
    """Shown on pages."""
    meaning: str
    """What it measures, with the formula, and when it holds; one or two sentences."""
    window: str
    """The episodes that it looks at. W is `Length.mean_window` at each; only those of loads stay within a phase."""
    threshold: float
    advice: str
    """What helps, as in `raise load balance`."""
    remedies: tuple[str, ...] = ()
    """What its buttons do, by the names in `remedies.py`; muting is always offered."""
    source: str = ""
    below: bool = False
    """Whether it holds at or below the threshold instead of at or above it."""
    draws: tuple[str, ...] = ()
    """Metrics that show the evidence; `load` stands for the loads of all experts."""
    measure: Callable[[Window], Floats] | None = None
    """Value of each episode; NaN where there is none. None if something else than episodes decides."""
    tell: Callable[[Window, int], str] | None = None
    """The evidence at the episode at that place of the window, in words."""
    when: Callable[[Window], Bools] | None = None
    """Episodes at which it may be raised; by default all. It is kept up at others too."""

    def holds(self, values: Floats) -> Bools:
        """Where a value is at or beyond the threshold; never where it is NaN."""
        with np.errstate(invalid="ignore"):
            return np.asarray(values <= self.threshold if self.below else values >= self.threshold)


# ------------------------------------------------------ Experts -------------------------------------------------------


def _only(condition: NDArray[np.bool_] | bool, values: Floats) -> Floats:
    return np.where(condition, values, np.nan)


def _several(window: Window, values: Floats, least: int = 2) -> Floats:
    return values if window.experts >= least else np.full(len(window.rows), np.nan)


def _dead(window: Window) -> Floats:
    return _several(window, _only(window.full, (window.loads < DEAD_LOAD).sum(axis=1).astype(np.float64)))


def _tell_dead(window: Window, place: int) -> str:
    dead = np.flatnonzero(window.loads[place] < DEAD_LOAD)
    used = window.last_used(place)[dead]
    episodes = [f"{episode:,}" for episode in sorted(set(used.tolist())) if episode]
    never = int((used == 0).sum())
    counts = {"dead": len(dead), "experts": window.experts}
    if not episodes:
        return _("{dead:d} of {experts:d} experts dead, never used", **counts)
    last: Message
    if len(episodes) > 8:
        last = _("between episodes {first} and {last}", first=episodes[0], last=episodes[-1])
    else:
        last = several(
            "at episode {episodes}", "at episodes {episodes}", count=len(episodes), episodes=listed(episodes)
        )
    if not never:
        return _("{dead:d} of {experts:d} experts dead, last used {when}", **counts, when=last)
    return _(
        "{dead:d} of {experts:d} experts dead, last used {when}, {never:d} never used",
        **counts,
        when=last,
        never=never,
    )


def _shared(window: Window) -> Floats:
    if window.experts < 3:
        return np.full(len(window.rows), np.nan)
    ordered = window.ordered_loads
    return _only(ordered[:, 0] < COLLAPSE, ordered[:, :2].sum(axis=1))


def _tell_shared(window: Window, place: int) -> str:
    loads = window.loads[place]
    one, two = sorted(np.argsort(-loads)[:2].tolist())
    entropy = window.mean("routing_entropy")[place]
    values = {
        "one": one + 1,
        "two": two + 1,
        "sum": loads[[one, two]].sum(),
        "of_one": loads[one],
        "of_two": loads[two],
        "experts": window.experts,
        "entropy": entropy,
    }
    if abs(entropy - _LN2) < 5e-4:
        return _(
            "Experts {one} and {two} share {sum:.1%} of the load ({of_one:.0%} and {of_two:.0%}) among {experts}; "
            "routing "
            "entropy {entropy:.3f} nats, exactly ln 2: they share every step evenly",
            **values,
        )
    return _(
        "Experts {one} and {two} share {sum:.1%} of the load ({of_one:.0%} and {of_two:.0%}) among {experts}; routing "
        "entropy {entropy:.3f} nats",
        **values,
    )


def _largest(window: Window) -> Floats:
    return _several(window, window.ordered_loads[:, 0])


def _tell_collapse(window: Window, place: int) -> str:
    loads = window.loads[place]
    return _(
        "Expert {value} of {experts} has {max:.1%} of the load",
        value=int(loads.argmax()) + 1,
        experts=window.experts,
        max=loads.max(),
    )


def _uniform(window: Window) -> Floats:
    most = math.log(max(window.experts, 2))
    specialised = window.mean("specialisation") / most
    with np.errstate(invalid="ignore"):
        return _several(window, _only(specialised <= UNSPECIALISED, window.mean("routing_entropy") / most))


def _after_the_transition(window: Window) -> Bools:
    late = np.asarray([window.plan.is_last(phase) for phase in window.rows.phases], dtype=bool)
    if window.plan.has_one_phase:
        length = window.plan.config.length
        late = window.number > length.episodes // 2
        if length.steps is not None:
            late |= window.raw("step") > length.steps // 2
    return late & (window.since_boundary >= window.width)


def _tell_uniform(window: Window, place: int) -> str:
    entropy, specialised = (window.mean(name)[place] for name in ("routing_entropy", "specialisation"))
    most = math.log(window.experts)
    return _(
        "Every expert has nearly the same share of every step: routing entropy {entropy:.3f} of ln {experts} = "
        "{most:.3f} nats, specialisation {specialised:.3f}",
        entropy=entropy,
        experts=window.experts,
        most=most,
        specialised=specialised,
    )


# ----------------------------------------------------- Boundaries -----------------------------------------------------


def _cliff(window: Window) -> Floats:
    if window.experts < 2:
        return np.full(len(window.rows), np.nan)
    before = window.at_boundary[1]
    return _only(
        window.since_boundary >= window.width, (before - window.mean("routing_entropy")) / math.log(window.experts)
    )


def _just_after(window: Window) -> Bools:
    since = window.since_boundary
    return np.asarray((since >= window.width) & (since <= 1.5 * window.width))


def _tell_cliff(window: Window, place: int) -> str:
    before, after = window.at_boundary[1][place], window.mean("routing_entropy")[place]
    return _(
        "Routing entropy fell from {before:.3f} nats before phase '{phases}' to {after:.3f} in it",
        before=before,
        phases=window.rows.phases[place],
        after=after,
    )


def _drop(window: Window) -> Floats:
    fall = window.at_boundary[0] - window.mean("return")
    certain = (window.since_boundary >= window.width) & (fall > CERTAIN * window.deviation / math.sqrt(window.width))
    return _only(certain, fall / window.spread)


def _soon_after(window: Window) -> Bools:
    since = window.since_boundary
    return np.asarray((since >= window.width) & (since <= 3 * window.width))


def _tell_drop(window: Window, place: int) -> str:
    before, after = window.at_boundary[0][place], window.mean("return")[place]
    return _(
        "Mean return fell from {before:.4g} to {after:.4g} after phase '{phases}' began",
        before=before,
        after=after,
        phases=window.rows.phases[place],
    )


# ------------------------------------------------------ Updates -------------------------------------------------------


def _undone(window: Window) -> Floats:
    return window.rise("rollbacks")


def _tell_undone(window: Window, place: int) -> str:
    return several(
        "{count} update was undone within {width} episodes, because a number was not finite",
        "{count} updates were undone within {width} episodes, because a number was not finite",
        count=round(window.rise("rollbacks")[place]),
        width=window.width,
    )


def _times_usual(window: Window, name: str, least: float) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return _only(window.mean(name) >= least, window.mean(name) / window.usual(name))


def _gradient(window: Window) -> Floats:
    return _times_usual(window, "grad_norm", 2 * window.plan.config.ppo.max_grad_norm)


def _kl(window: Window) -> Floats:
    return _times_usual(window, "approx_kl", LEAST_KL)


def _tell_times(name: str, title: str) -> Callable[[Window, int], str]:
    def tell(window: Window, place: int) -> str:
        mean, usual = window.mean(name)[place], window.usual(name)[place]
        return _(
            "{title} is {mean:.3g} on average, {value:.0f} times its usual {usual:.3g}",
            title=title,
            mean=mean,
            value=mean / usual,
            usual=usual,
        )

    return tell


# ------------------------------------------------------ Network -------------------------------------------------------


def _smoothed(window: Window) -> Floats:
    return window.mean("node_distance")


def _tell_smoothed(window: Window, place: int) -> str:
    distance = window.mean("node_distance")[place]
    return _("Nodes of a state have nearly the same embedding: mean distance {distance:.4f}", distance=distance)


def _ineffective(window: Window) -> Floats:
    return np.asarray([float(len(found)) for found in window.differing])


def _tell_ineffective(window: Window, place: int) -> str:
    parts = [
        _("{name} is planned at {planned:.4g} but not used", name=name, planned=planned)
        if math.isnan(used)
        else _("{name} is planned at {planned:.4g} but {used:.4g} in effect", name=name, planned=planned, used=used)
        for name, (planned, used) in window.differing[place].items()
    ]
    return _("{parts} during phase '{phase}'", parts=strung(_("; "), parts), phase=window.rows.phases[place])


COLLAPSE = 0.9
UNSPECIALISED = 0.05
CERTAIN = 3.0
"""Standard errors of the mean that a fall of the return must exceed."""
LEAST_KL = 0.03
"""Below this an approximate KL is harmless, however unusual."""
EVALUATION_GAP, STALLED = "evaluation_gap", "stalled_worker"

_OF_PHASE = _(
    "all steps together of the newest W episodes that began in the phase in force, or of all of these while there are "
    "fewer, from {least} on",
    least=SHORTEST_WINDOW,
)

_ALL = (
    Rule(
        "collapse",
        _("Collapse onto one expert"),
        _("max E[αᵢ], the largest load of an expert; with at least two experts."),
        _OF_PHASE,
        COLLAPSE,
        _("raise load balance or the temperature"),
        (RAISE_LOAD_BALANCE, RAISE_TEMPERATURE, LENGTHEN_PHASE),
        _("Switch, arXiv:2101.03961, section 2.2"),
        draws=("load",),
        measure=_largest,
        tell=_tell_collapse,
    ),
    Rule(
        "dead_expert",
        _("Dead experts"),
        _(
            "Number of experts with a load E[αᵢ] below {dead_load:.0%} of the steps; with at least two experts.",
            dead_load=DEAD_LOAD,
        ),
        _OF_PHASE,
        1,
        _("raise load balance"),
        (RAISE_LOAD_BALANCE, RAISE_TEMPERATURE, LENGTHEN_PHASE),
        _("Shazeer et al., arXiv:1701.06538, section 4"),
        draws=("load",),
        measure=_dead,
        tell=_tell_dead,
    ),
    Rule(
        "shared_experts",
        _("Two experts share everything"),
        _(
            "Sum of the two largest loads, among at least three experts, unless one alone is at the threshold of "
            "`collapse`. With 50/50/0/0 and entropy ln 2, routing never chooses between the two."
        ),
        _OF_PHASE,
        0.98,
        _("raise load balance or the temperature"),
        (RAISE_LOAD_BALANCE, RAISE_TEMPERATURE, LENGTHEN_PHASE),
        _("ours"),
        draws=("load", "routing_entropy"),
        measure=_shared,
        tell=_tell_shared,
    ),
    Rule(
        "uniform_routing",
        _("Uniform routing"),
        _(
            "E[H(α)] / ln N after the transition (in the last phase; with a single phase in the second half of the "
            "run), where specialisation H(E[α]) − E[H(α)] is at most 5 % of ln N."
        ),
        _("mean of W episodes"),
        0.95,
        _("lower the temperature in the curriculum, or lengthen the transition"),
        (LOWER_TEMPERATURE, LENGTHEN_PHASE),
        _("2402.08609 reports entropy / ln N"),
        draws=("routing_entropy", "specialisation"),
        measure=_uniform,
        tell=_tell_uniform,
        when=_after_the_transition,
    ),
    Rule(
        "entropy_cliff",
        _("Entropy cliff at a boundary"),
        _("Fall of E[H(α)] from the W episodes before a boundary to the W after it, divided by ln N."),
        _("W episodes on either side of the boundary"),
        0.4,
        _("lengthen the phase or raise the temperature"),
        (RAISE_TEMPERATURE, LENGTHEN_PHASE),
        _("ours"),
        draws=("routing_entropy",),
        measure=_cliff,
        tell=_tell_cliff,
        when=_just_after,
    ),
    Rule(
        "return_drop",
        _("Return drop after a phase change"),
        _(
            "Fall of the mean return from the W episodes before a boundary to W after it, divided by the range that "
            "the mean return has covered so far, at least four standard deviations of a return; more than three "
            "standard errors."
        ),
        _("W episodes before the boundary, and W within the 3 W after it"),
        0.25,
        _("lower the learning rate or lengthen the phase"),
        (LOWER_RATE, LENGTHEN_PHASE),
        _("ours"),
        draws=("return",),
        measure=_drop,
        tell=_tell_drop,
        when=_soon_after,
    ),
    Rule(
        "undone_updates",
        _("Undone updates"),
        _("Number of updates that were undone or skipped because of a non-finite number."),
        _("newest W episodes"),
        1,
        _("lower the learning rate"),
        (LOWER_RATE,),
        _("ours"),
        draws=("rollbacks",),
        measure=_undone,
        tell=_tell_undone,
    ),
    Rule(
        "exploding_gradient",
        _("Exploding gradient"),
        _(
            "Mean gradient norm before clipping, divided by its geometric mean over the last 5 W episodes; only if "
            "it is at least twice the norm that gradients are clipped to."
        ),
        _("mean of W episodes"),
        5.0,
        _("lower the learning rate"),
        (LOWER_RATE,),
        _("Pascanu et al., arXiv:1211.5063"),
        draws=("grad_norm",),
        measure=_gradient,
        tell=_tell_times("grad_norm", _("The gradient norm")),
    ),
    Rule(
        "high_kl",
        _("High KL"),
        _(
            "Mean approximate KL over all gradient steps of an update, the first of which is 0, "
            "divided by its geometric mean over the last 5 W episodes; only from "
            "{least_kl:g} nats.",
            least_kl=LEAST_KL,
        ),
        _("mean of W episodes"),
        4.0,
        _("lower the learning rate"),
        (LOWER_RATE,),
        _("Schulman's estimator k3; target KL of PPO2 and Stable-Baselines3"),
        draws=("approx_kl",),
        measure=_kl,
        tell=_tell_times("approx_kl", _("Approximate KL")),
    ),
    Rule(
        "over_smoothing",
        _("Over-smoothed node embeddings"),
        _("Mean distance 1 − cosine of node embeddings behind the graph layers."),
        _("mean of W episodes"),
        0.05,
        _("use fewer graph layers"),
        (),
        _("MAD of Chen et al., arXiv:1909.03211"),
        below=True,
        draws=("node_distance",),
        measure=_smoothed,
        tell=_tell_smoothed,
    ),
    Rule(
        "ineffective_setting",
        _("A setting without effect"),
        _(
            "Number of settings whose effective value, read back from router, optimiser and loss, is not the "
            "planned one, or which the phase sets though its routing does not use them, or though they need several "
            "experts."
        ),
        _("newest episode"),
        1,
        _("change the routing or remove the setting"),
        (),
        _("ours"),
        measure=_ineffective,
        tell=_tell_ineffective,
    ),
    Rule(
        EVALUATION_GAP,
        _("Evaluation far below training"),
        _(
            "Mean return of training minus that of the evaluation, divided by the range that the mean return of "
            "training has covered so far, at least four standard deviations of a return; more than three standard "
            "errors."
        ),
        _("W episodes before the evaluation"),
        0.25,
        _("evaluate with sampled actions, or lengthen the phase"),
        (LENGTHEN_PHASE,),
        _("ours"),
        draws=("return",),
    ),
    Rule(
        STALLED,
        _("Stalled worker"),
        _("Seconds since the last heartbeat of a worker that still exists."),
        _("promise of the last heartbeat"),
        0,
        _("see the log; the machine may be low on memory"),
        (),
        _("ours"),
    ),
)

RULES: Mapping[str, Rule] = {rule.name: rule for rule in _ALL}
"""By name, the most urgent first."""


def verdict_order(rule: str) -> int:
    """Place of a rule in the order of urgency."""
    return list(RULES).index(rule) if rule in RULES else len(RULES)
