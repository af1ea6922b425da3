"""The metrics of an episode, each declared once: its title, its meaning and its chart.

The fields of `EpisodeRecord` are the table. The values that the trainer must fill in, the columns that are
written, bucketed and exported, the charts and tooltips on Live, the list on Compare and docs/metrics.md all follow from
it. To add a metric: its entry here, the line that computes it, and a migration; docs/architecture.md has the steps.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin

from v3core.curriculum.knobs import CHOICES, COEFFICIENTS, KNOBS, SETTINGS
from v3core.messages import _
from v3core.phrases import sentences, unended, within
from v3core.rollup import MEAN_WINDOW, NEWEST_WINDOW

CLOSE_MARGIN = 0.05
"""A choice between the two largest gates is close if they differ by less."""
DEAD_LOAD = 0.01
"""An expert is dead over some episodes if its load, weighted by their steps, is below this share of the steps."""


_WINDOW = _("the steps of the newest episodes together, those of long episodes counting more")


Worst = Literal["", "most", "least"]


@dataclass(frozen=True)
class Chart:
    """A chart on Live, and the introduction of its tooltip."""

    name: str
    title: str
    about: str = ""
    from_zero: bool = False
    """Whether the y axes of its rows start at 0."""


RETURN = Chart(
    "return",
    _("Return"),
    _(
        "The moving average is over {mean_window}; it starts once there are as many. Evaluations are separate "
        "episodes without exploration, shown as their mean and the range from lowest to highest.",
        mean_window=MEAN_WINDOW,
    ),
)
SUCCESS = Chart("success", _("Success rate"), _("Success rate of training episodes and of evaluations."))
LOAD_POINTS = _(
    "A point is the load in one episode or, in a long run, the mean over several episodes, of short ones as much as of "
    "long ones; dead experts are counted by steps."
)
LOADS = Chart(
    "loads",
    _("Expert loads"),
    sentences(LOAD_POINTS, _("With “Mean over episodes” it is over all steps of these episodes together.")),
)
ENTROPY = Chart("entropy", _("Routing entropy and specialisation"))
DECISIONS = Chart(
    "decisions",
    _("Routing decisions"),
    _("How firmly steps are routed. Exact zeros are the share of gates that are exactly 0: 1 − support/N."),
)
EFFECTIVE = Chart("effective", _("Effective experts and support"))
GRADIENTS = Chart("gradients", _("Gradient of each expert"))
LOSSES = Chart(
    "losses", _("Losses"), _("Losses of the update that learned from the rollout in which the episode ended.")
)
SCHEDULE = Chart(
    "schedule",
    _("Schedule"),
    _(
        "The values that the curriculum plans, and the effective values that the optimiser, the router and the loss "
        "used."
    ),
)
UPDATES = Chart(
    "updates",
    _("Updates"),
    _(
        "How far an update moves the policy and its routing: in its last pass over its samples or, in runs that did "
        "not record that, as a mean over all of its gradient steps, the first of which is 0."
    ),
    from_zero=True,
)
NETWORK = Chart("network", _("Network"), _("The health of the value head, the experts and the units."), from_zero=True)
CHARTS = (RETURN, SUCCESS, LOADS, ENTROPY, DECISIONS, EFFECTIVE, GRADIENTS, LOSSES, SCHEDULE, UPDATES, NETWORK)
"""`ENTROPY` and `EFFECTIVE` draw each of their metrics as a line, `LOSSES`, `UPDATES` and `NETWORK` as a row."""


@dataclass(frozen=True)
class Metric:
    """A number of an episode, or a name."""

    title: str
    """Shown on pages."""
    meaning: str
    """One sentence, with the formula if there is one."""
    unit: str = ""
    chart: Chart | None = None
    """The chart on Live that shows it."""
    source: str = ""
    """The paper or program that its formula comes from."""
    since: int = 1
    """The first schema version that has it."""
    over: str = ""
    """The samples that an episode's value is computed over; by default those of its part of the record."""
    legend: str = ""
    """Name of its line in the legend, if not its title."""
    lowest_drawn: float = -math.inf
    """Lower limit of its y axis, so that a few outliers do not flatten all other values."""
    instead_of: str = ""
    """The metric of the same chart that is drawn only where this one was not recorded."""
    compared: bool = True
    """Whether Compare offers it; never if it is per expert or a name."""
    optional: bool = False
    """Whether it is constantly 0 when it is not used."""
    worst: Worst = ""
    """A run that matters by itself, though an interquartile mean cuts it away: that with the most or the least."""
    field: str = ""
    """Its field in the record. This and the following are read from the record."""
    kind: type = float
    """float, int or str."""
    per_expert: bool = False
    part: type = object
    """The part of the record that it belongs to."""

    @property
    def name(self) -> str:
        """Its name in the store, in exports and in charts; per expert, followed by `_` and the number from 1."""
        return self.field.removesuffix("s") if self.per_expert else self.field.rstrip("_")

    @property
    def column(self) -> str:
        """Its column in `episodes`, or in `expert_loads` if it is per expert."""
        return self.name.removeprefix("expert_") if self.per_expert else self.name

    @property
    def label(self) -> str:
        """Its title with its unit, as in `Routing entropy (nats)`."""
        return _("{title} ({unit})", title=self.title, unit=self.unit) if self.unit else self.title

    @property
    def phrase(self) -> str:
        """Its label within a sentence, as in `routing entropy (nats)`."""
        return within(self.label)

    @property
    def sentence(self) -> str:
        """Its meaning with its source."""
        if not self.source:
            return self.meaning
        return _("{meaning} ({source}).", meaning=unended(self.meaning), source=self.source)


def _metric(*entry: Any, **more: Any) -> Any:
    """A field of the record with its `Metric`; takes the arguments of `Metric`. The field has no default."""
    return field(metadata={"metric": Metric(*entry, **more)})


def _also(names: Iterable[str]) -> Callable[[type], type]:
    """Adds fields that are not listed in the class: every declared knob is recorded, and so is its loss."""

    def add(part: type) -> type:
        part.__annotations__ |= {name: float for name in names if name not in part.__annotations__}
        return part

    return add


@dataclass(kw_only=True)
class Acted:
    """Computed over the episode's own steps, as acted. Gates are normalised to sum to 1."""

    return_: float = _metric(_("Return"), _("Undiscounted sum of the environment's own rewards."), chart=RETURN)
    length: int = _metric(_("Episode length"), _("Steps of the episode."), _("steps"))
    phase_steps: int = _metric(
        _("Steps in its phase"),
        _("Steps acted in `phase`; fewer than the length if the episode began in the previous phase."),
        _("steps"),
        since=2,
        compared=False,
    )
    success: float | None = _metric(
        _("Success rate"),
        _("1 if the environment reports that the task was solved, otherwise 0."),
        chart=SUCCESS,
        since=2,
    )
    task: str | None = _metric(
        _("Task"),
        _("The environment of the episode, in a run that trains on several at once."),
        since=7,
        compared=False,
    )
    facts: str | None = _metric(
        _("Facts"),
        _("JSON: what the environment said of the episode at its end, by the names of the recipe's `episode_facts`."),
        since=8,
        compared=False,
    )
    situations: str | None = _metric(
        _("Situations"),
        _(
            "JSON: each situation that the environment declares, and `none of these`, to its steps in the episode and "
            "the mean gate of each expert in them; a step can be in several."
        ),
        since=8,
        compared=False,
    )
    load_entropy: float = _metric(
        _("Load entropy"),
        _(
            "H(E[α]) within the episode, entropy of its mean gates: low if a few experts do all the work. A mean over "
            "episodes is one of such values, and lower than that of all their steps together where an episode uses "
            "few of the experts."
        ),
        _("nats"),
        ENTROPY,
        since=2,
        legend=_("H(E[α]), load"),
    )
    routing_entropy: float = _metric(
        _("Routing entropy"),
        _(
            "E[H(α)], mean entropy of the gates of a step: ln N if all experts share equally, 0 if a single expert "
            "acts."
        ),
        _("nats"),
        ENTROPY,
        legend=_("E[H(α)], steps"),
    )
    specialisation: float = _metric(
        _("Specialisation"),
        _(
            "H(E[α]) − E[H(α)] within the episode, the mutual information between step and expert: 0 if every step "
            "is routed the same way. A mean over episodes is one of such values, of short episodes as much as of "
            "long ones."
        ),
        _("nats"),
        ENTROPY,
        since=2,
        legend=_("Specialisation within episodes"),
    )
    effective_experts: float = _metric(
        _("Effective experts"),
        _(
            "exp(H(E[α])) within the episode: the number of experts that effectively share its load. A mean over "
            "episodes is one of such values, and smaller than `pooled_effective_experts` where an episode uses few of "
            "the experts."
        ),
        chart=EFFECTIVE,
        since=2,
        worst="least",
    )
    support: float = _metric(
        _("Support"), _("Mean number of experts per step with a gate above 0."), _("experts"), EFFECTIVE, since=2
    )
    load_cv: float = _metric(
        _("Load CV"),
        _(
            "Coefficient of variation of the loads within the episode, their standard deviation divided by their mean: "
            "0 if balanced. A mean over episodes is one of such values, and higher than that of all their steps "
            "together where an episode uses few of the experts."
        ),
        chart=NETWORK,
        since=2,
    )
    dead_experts: int | None = _metric(
        _("Experts left out of the episode"),
        _(
            "Experts with a load below {dead_load:.0%} in this episode. More than are dead where a short episode, "
            "or another task, does without some; `recent_dead_experts` counts the dead.",
            dead_load=DEAD_LOAD,
        ),
        since=2,
        compared=False,
    )
    expert_persistence: float = _metric(
        _("Expert persistence"),
        _(
            "(keep − chance)/(1 − chance), with keep the share of steps whose largest gate is that of the expert at "
            "the step before, and chance the probability that two different steps of the episode, drawn at random, "
            "have the same: 1 if the expert never changes, 0 if it changes as in a random order; none if only one "
            "expert is used."
        ),
        chart=DECISIONS,
        source="Cohen's kappa, Educ. Psychol. Meas. 20, 1960",
        since=6,
    )
    close_choice_share: float = _metric(
        _("Close choices"),
        _(
            "Share of steps at which the largest gate exceeds the second largest by less than {close_margin:g}.",
            close_margin=CLOSE_MARGIN,
        ),
        _("0 to 1"),
        DECISIONS,
        since=6,
    )
    loads: tuple[float, ...] = _metric(
        _("Load"), _("Mean gate weight of an expert; the loads of an episode sum to 1."), chart=LOADS
    )
    hard_loads: tuple[float, ...] = _metric(
        _("Hard load"),
        _("Share of the steps at which an expert has the largest gate; the hard loads of an episode sum to 1."),
    )


@dataclass(kw_only=True)
@_also(f"{knob}_loss" for knob in COEFFICIENTS if knob not in ("entropy", "z_loss"))
class Update:
    """Means over the gradient steps of the update that learned from the rollout in which the episode ended."""

    policy_loss: float = _metric(
        _("Policy loss"),
        _("PPO's clipped surrogate, negated: the mean of −min(r·A, clip(r, 1 − ε, 1 + ε)·A)."),
        chart=LOSSES,
        source="arXiv:1707.06347, eq. 7",
    )
    value_loss: float = _metric(
        _("Value loss"), _("Half the mean squared error of the value head, in units of the reward scale."), chart=LOSSES
    )
    load_balance_loss: float = _metric(
        _("Load-balance loss"),
        _(
            "Coefficient × N·Σ fᵢ·Pᵢ, with fᵢ the share of samples whose largest gate is i and Pᵢ the mean "
            "probability of i in the softmax of the logits: equals the coefficient if balanced."
        ),
        chart=LOSSES,
        source="Switch, arXiv:2101.03961, eq. 4 to 6",
        optional=True,
    )
    expert_balance_loss: float = _metric(
        _("Expert-balance loss"),
        _("Coefficient × Σ fᵢ·Pᵢ, with fᵢ = N/(K·T)·count: equals the coefficient if balanced."),
        source="DeepSeekMoE, arXiv:2401.06066",
        since=2,
        optional=True,
    )
    router_z_loss: float = _metric(
        _("Router z-loss"),
        _("Coefficient × mean(logsumexp(logits)²)."),
        source="ST-MoE, arXiv:2202.08906",
        since=2,
        optional=True,
    )
    diversity_loss: float = _metric(
        _("Diversity loss"),
        _(
            "Coefficient × mean pairwise Bhattacharyya coefficient of the experts, which is 1 if all act "
            "identically and 0 if no two agree."
        ),
        since=2,
        optional=True,
    )
    consistency_loss: float = _metric(
        _("Consistency loss"),
        _("Coefficient × mean of Σᵢ (gᵢ(t + 1) − gᵢ(t))², with g the gates of a step."),
        since=2,
        optional=True,
    )
    gate_entropy_loss: float = _metric(
        _("Gate-entropy loss"),
        _("−coefficient × entropy of the softmax of the logits over all experts."),
        since=2,
        optional=True,
    )
    action_entropy: float = _metric(
        _("Action entropy"),
        _("Entropy of the action distribution; can be negative for continuous actions."),
        _("nats"),
        LOSSES,
    )
    total_loss: float = _metric(
        _("Total loss"), _("The minimised objective: the sum of all losses with their coefficients.")
    )
    approx_kl: float = _metric(
        _("Approximate KL"),
        _("Mean of (r − 1) − log r, with r the probability ratio: how far the policy moved from the one that acted."),
        _("nats"),
        UPDATES,
        "Schulman's estimator k3, joschu.net/blog/kl-approx.html",
    )
    approx_kl_first: float = _metric(
        _("Approximate KL, first step"),
        _("The approximate KL of the update's first minibatch: 0 up to rounding, because nothing was learned yet."),
        _("nats"),
        since=7,
        over=_("the first gradient step of the update"),
    )
    approx_kl_last: float = _metric(
        _("Approximate KL, last epoch"),
        _(
            "Mean approximate KL over the minibatches of the update's last pass: how far the update went. What "
            "Stable-Baselines3 logs as `train/approx_kl`."
        ),
        _("nats"),
        UPDATES,
        instead_of="approx_kl",
        since=7,
        over=_("the last pass of the update over its samples"),
    )
    approx_kl_max: float = _metric(
        _("Approximate KL, maximum"),
        _("The largest approximate KL of a minibatch of the update."),
        _("nats"),
        since=7,
        over=_("the gradient step of the update at which it is largest"),
    )
    clip_fraction: float = _metric(
        _("Clip fraction"),
        _(
            "Share of samples whose probability ratio left PPO's clip range. What Stable-Baselines3 logs as "
            "`train/clip_fraction`."
        ),
        _("0 to 1"),
        UPDATES,
    )
    clip_fraction_first: float = _metric(
        _("Clip fraction, first step"),
        _("The clip fraction of the update's first minibatch: 0, because nothing was learned yet."),
        _("0 to 1"),
        since=7,
        over=_("the first gradient step of the update"),
    )
    clip_fraction_last: float = _metric(
        _("Clip fraction, last epoch"),
        _("Mean clip fraction over the minibatches of the update's last pass: how far the update went."),
        _("0 to 1"),
        UPDATES,
        instead_of="clip_fraction",
        since=7,
        over=_("the last pass of the update over its samples"),
    )
    clip_fraction_max: float = _metric(
        _("Clip fraction, maximum"),
        _("The largest clip fraction of a minibatch of the update."),
        _("0 to 1"),
        since=7,
        over=_("the gradient step of the update at which it is largest"),
    )
    router_shift: float = _metric(
        _("Router shift"),
        _("Mean total variation distance between the gates when acting and when learning."),
        _("0 to 1"),
        UPDATES,
        since=2,
    )
    router_shift_first: float = _metric(
        _("Router shift, first step"),
        _("The router shift of the update's first minibatch: 0 up to rounding, because nothing was learned yet."),
        _("0 to 1"),
        since=7,
        over=_("the first gradient step of the update"),
    )
    router_shift_last: float = _metric(
        _("Router shift, last epoch"),
        _("Mean router shift over the minibatches of the update's last pass: how far the update went."),
        _("0 to 1"),
        UPDATES,
        instead_of="router_shift",
        since=7,
        over=_("the last pass of the update over its samples"),
    )
    router_shift_max: float = _metric(
        _("Router shift, maximum"),
        _("The largest router shift of a minibatch of the update."),
        _("0 to 1"),
        since=7,
        over=_("the gradient step of the update at which it is largest"),
    )
    grad_norm: float = _metric(
        _("Gradient norm before clipping"), _("Norm of the gradient of all parameters."), chart=UPDATES
    )
    dormant_share: float = _metric(
        _("Dormant units, without gates"),
        _(
            "Share of the units in scene embedding and experts with at most 2.5 % of their layer's mean activity, "
            "whatever the gates: units of an expert that no step is routed to may count as active."
        ),
        _("0 to 1"),
        None,
        "Sokar et al., arXiv:2302.12902",
        since=2,
        over=_("a forward pass after the update"),
        compared=False,
    )
    gated_dormant_share: float = _metric(
        _("Dormant units"),
        _(
            "Share of the units in scene embedding and experts with at most 2.5 % of their layer's mean activity. "
            "The hidden units of all experts are one layer, and their activity is weighted by the gates: those of "
            "an expert that no step is routed to are dormant."
        ),
        _("0 to 1"),
        NETWORK,
        "Sokar et al., arXiv:2302.12902",
        since=7,
        over=_("a forward pass after the update"),
    )
    node_distance: float = _metric(
        _("Node distance"),
        _(
            "Mean over pairs of nodes of 1 − cosine of their embeddings behind the graph layers: 0 if all nodes of "
            "a state are alike (over-smoothed)."
        ),
        _("0 to 2"),
        NETWORK,
        "MAD of Chen et al., arXiv:1909.03211",
        since=6,
        over=_("a forward pass after the update"),
    )
    expert_grad_norms: tuple[float, ...] = _metric(
        _("Gradient norm of an expert"),
        _("Norm of the gradient of the expert's parameters before clipping: an expert at 0 does not learn."),
        chart=GRADIENTS,
        since=2,
    )

    @classmethod
    def nothing(cls, experts: int) -> "Update":
        """For a rollout without an update: NaN throughout."""
        numbers: dict[str, Any] = {entry.name: math.nan for entry in fields(cls)}
        return cls(**numbers | {"expert_grad_norms": (math.nan,) * experts})


@dataclass(kw_only=True)
@_also(KNOBS)
class InForce:
    """Effective settings, as read back from the optimiser, the router and the loss, not planned; None if not used."""

    phase: str = _metric(_("Phase"), _("Name of the phase of the rollout in which the episode ended."))
    env: str = _metric(_("Environment"), _("The environment in which the episode was played."), since=2)
    lr: float
    temperature: float
    routing: str = _metric(_("Routing"), CHOICES["routing"].meaning)
    alpha: float | None
    top_k: int | None
    top_k_weights: str | None
    jitter: float
    bias_speed: float


@dataclass(kw_only=True)  # not frozen: that takes three times as long with this many fields
class EpisodeRecord(Acted, Update, InForce):
    """One complete episode.

    NaN if there is no value, as for the losses of a rollout without an update.
    """

    episode: int
    """Its number, from 1 without gaps, in order of completion."""
    step: int = _metric(
        _("Step"),
        _("Environment steps of the whole run when the episode ended, summed over all environments."),
        _("steps"),
        compared=False,
    )
    explained_variance: float = _metric(
        _("Explained variance of the value head"),
        _(
            "1 − Var(target − value)/Var(target): 1 if returns are predicted perfectly, 0 if no better than by "
            "their mean."
        ),
        chart=NETWORK,
        since=2,
        over=_("the whole rollout, before the update"),
        lowest_drawn=-1.0,
    )
    recent_dead_experts: int | None = _metric(
        _("Dead experts"),
        _(
            "Experts with a load below {dead_load:.0%} over all steps of these episodes together: {newest_window}.",
            dead_load=DEAD_LOAD,
            newest_window=NEWEST_WINDOW,
        ),
        chart=EFFECTIVE,
        since=7,
        over=_WINDOW,
        worst="most",
    )
    recent_specialisation: float = _metric(
        _("Specialisation, pooled"),
        _(
            "H(E[α]) − E[H(α)] over all steps of these episodes together, so that experts that differ between "
            "episodes count: {newest_window}.",
            newest_window=NEWEST_WINDOW,
        ),
        _("nats"),
        ENTROPY,
        since=7,
        over=_WINDOW,
        legend=_("Specialisation, pooled by steps"),
    )
    rollbacks: int = _metric(
        _("Undone updates"),
        _("Updates of the run so far that were undone or skipped because of a non-finite number."),
        since=2,
    )


OVER: Mapping[type, str] = {
    Acted: _("over the episode's own steps"),
    Update: _("mean over the gradient steps of the update that learned from the episode's last rollout"),
    InForce: _("in force in the episode's last rollout"),
    EpisodeRecord: _("count of the run when the episode ended"),
}
"""What the metrics of each part are computed over, unless a metric says otherwise."""


def _of_knob(name: str) -> Metric:
    """The metric of a field without an entry: a setting, or the loss of a knob, as declared with the knob."""
    if name in SETTINGS:
        setting, chart = SETTINGS[name], SCHEDULE if name in KNOBS else None
        return Metric(setting.title, setting.meaning, "", chart, setting.source, setting.since, compared=False)
    coefficient = name.removesuffix("_loss")
    knob = KNOBS[coefficient]
    meaning = _("The loss of the coefficient `{coefficient}`, multiplied by it.", coefficient=coefficient)
    return Metric(_("{title} loss", title=knob.title), meaning, source=knob.source, since=knob.since, optional=True)


def _declared() -> Iterator[Metric]:
    for part, over in OVER.items():
        for entry in fields(part):
            if entry.name in part.__annotations__ and entry.name != "episode":
                metric: Metric = entry.metadata.get("metric") or _of_knob(entry.name)
                kinds = get_args(entry.type) or (entry.type,)
                yield replace(
                    metric,
                    over=metric.over or over,
                    field=entry.name,
                    part=part,
                    kind=next((kind for kind in (int, str) if kind in kinds), float),
                    per_expert=get_origin(entry.type) is tuple,
                )


METRICS: dict[str, Metric] = {metric.name: metric for metric in _declared()}
"""Everything that is recorded of an episode except its number, by name."""

MEAN_RETURN, MEAN_SUCCESS = "mean_return", "mean_success"
"""Means of the last 100 episodes: stored only in the pyramid, because they do not follow from a bucket's mean."""
WINDOWED = frozenset({MEAN_RETURN, MEAN_SUCCESS, *(name for name, metric in METRICS.items() if metric.over == _WINDOW)})
"""The metrics that are over several episodes already: of a stretch of them the last value counts.

Extremes and a mean over the stretch would be of windows that overlap, and what is true now would show late.
"""

PER_EXPERT = tuple(metric for metric in METRICS.values() if metric.per_expert)

EVALUATION, EVALUATION_SUCCESS, KNOCKOUT = "evaluation", "evaluation_success", "knockout_loss"
AT_EVALUATIONS = (EVALUATION, EVALUATION_SUCCESS, KNOCKOUT)
"""The metrics that have a value per evaluation, not per episode."""
ENTROPY_SHARE, MOST_USED_LOAD, POOLED_EXPERTS = "entropy_share", "most_used_load", "pooled_effective_experts"
POOLED = frozenset({MOST_USED_LOAD, POOLED_EXPERTS})
"""The metrics of the loads over all steps of several episodes together, which no mean of values of episodes is."""

DERIVED: dict[str, Metric] = {
    EVALUATION: Metric(
        _("Mean return of evaluations"),
        _("Mean return of the episodes of an evaluation: separate from training and without exploration."),
        field=EVALUATION,
    ),
    EVALUATION_SUCCESS: Metric(
        _("Success rate of evaluations"),
        _("Share of the episodes of an evaluation that solved the task, where the environment says so."),
        field=EVALUATION_SUCCESS,
    ),
    KNOCKOUT: Metric(
        _("Loss without an expert"),
        _(
            "Mean return of a knock-out's episodes with all experts, minus their mean without the expert that is "
            "missed most: 0 or less if none is needed."
        ),
        field=KNOCKOUT,
    ),
    MOST_USED_LOAD: Metric(
        _("Load of the most used expert"),
        _(
            "The largest of the loads over all steps of the episodes that are drawn together: experts of different "
            "runs have no common order."
        ),
        field=MOST_USED_LOAD,
        worst="most",
    ),
    POOLED_EXPERTS: Metric(
        _("Effective experts, pooled"),
        _(
            "exp of the entropy of the loads over all steps of the episodes that are drawn together, so that experts "
            "that differ between episodes count."
        ),
        field=POOLED_EXPERTS,
        worst="least",
    ),
    ENTROPY_SHARE: Metric(
        _("Routing entropy / ln N"),
        _("E[H(α)] divided by ln N, the maximum with N experts: from 0 to 1."),
        field=ENTROPY_SHARE,
    ),
}
"""Metrics that are computed when they are drawn."""

COMPARED: Mapping[str, Metric] = {
    name: metric
    for name, metric in (
        *((name, (METRICS | DERIVED)[name]) for name in ("return", "success", EVALUATION)),
        *METRICS.items(),
        *DERIVED.items(),
    )
    if metric.compared and metric.kind is not str and not metric.per_expert
}
"""The metrics on Compare, the most frequently used first."""


def phrase_of(name: str) -> str:
    """What a metric that can be compared is called within a sentence; another name as it is."""
    return COMPARED[name].phrase if name in COMPARED else name


def worst_of(name: str) -> Worst:
    """Which run of a group matters by itself, of any metric that can be compared."""
    return COMPARED[name].worst if name in COMPARED else ""


def of_chart(chart: Chart) -> tuple[Metric, ...]:
    return tuple(metric for metric in METRICS.values() if metric.chart is chart)


def explain(column: str) -> Metric | None:
    """The metric of an exported column, such as `approx_kl` or `load_3`; None if it is not a metric."""
    name, _, expert = column.rpartition("_")
    return METRICS.get(name if expert.isdigit() else column)
