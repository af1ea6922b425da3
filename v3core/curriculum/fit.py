"""Whether a curriculum fits a run, its environment and its network; and fitting one to another run length."""

from collections.abc import Collection

from v3core.curriculum.length import Length
from v3core.curriculum.model import Curriculum, Over, Phase, ramps_of
from v3core.curriculum.until import Until
from v3core.errors import V3Error, explained
from v3core.messages import _, several
from v3core.phrases import listed


def check_fits(curriculum: Curriculum, episodes: int, steps: int | None = None) -> None:
    """Raise a V3Error for an end that a run of this length never reaches."""
    for number, phase in enumerate(curriculum.phases, start=1):
        if problem := fit_problem(number, phase, episodes, steps):
            raise V3Error(problem)


def check_facts(curriculum: Curriculum, recorded: Collection[str]) -> None:
    """Raise a V3Error for a trigger on a fact of episodes that is not `recorded`: it would never fire."""
    for number, phase in enumerate(curriculum.phases, start=1):
        if phase.until is not None and phase.until.fact is not None and phase.until.fact not in recorded:
            known = _("it records {recorded}", recorded=listed([*recorded])) if recorded else _("it records none")
            raise V3Error(
                "Phase {number} '{name}' waits for the episode fact '{fact}', which the run does not record; "
                "{known}: name it in the recipe's episode_facts, or choose another trigger.",
                number=number,
                name=phase.name,
                fact=phase.until.fact,
                known=known,
            )


def fit_problem(number: int, phase: Phase, episodes: int, steps: int | None = None) -> str:
    """Why a run of this length never reaches the end of a phase, one sentence; empty if it may."""
    until = phase.until
    if until is not None and until.step is not None and steps is not None and until.step >= steps:
        return _(
            "Phase {number} '{name}' ends at step {step}, but the run has only {steps} steps; end it earlier, or "
            "train longer.",
            number=number,
            name=phase.name,
            step=until.step,
            steps=steps,
        )
    by_steps = Length(episodes, steps).is_by_steps
    has = (
        _("{steps} steps, in which there are no more episodes than that", steps=steps)
        if by_steps
        else _("{episodes} episodes", episodes=episodes)
    )
    if until is not None and until.episode is not None and until.episode >= episodes:
        return _(
            "Phase {number} '{name}' ends at episode {episode}, but the run has only {has}; end it earlier, train "
            "longer, or scale the curriculum.",
            number=number,
            name=phase.name,
            episode=until.episode,
            has=has,
        )
    if until is not None and until.is_trigger and (needed := max(until.window, until.min_episodes)) >= episodes:
        return _(
            "Phase {number} '{name}' ends after {needed} episodes at the earliest, but the run has only {has}; "
            "lower its 'window' and 'min_episodes' or train longer.",
            number=number,
            name=phase.name,
            needed=needed,
            has=has,
        )
    return ""


def fits(curriculum: Curriculum, episodes: int, steps: int | None = None) -> bool:
    """Whether a run of this length can reach every end of `curriculum`."""
    return not any(
        fit_problem(number, phase, episodes, steps) for number, phase in enumerate(curriculum.phases, start=1)
    )


def scaled(curriculum: Curriculum, episodes: int) -> Curriculum:
    """The same curriculum in proportion to a run of `episodes`.

    What counts episodes is scaled: ends by episode, a trigger's `min_episodes` and `max_episodes`, a ramp's `over`. A
    trigger's `window` shrinks only as far as it must to fit. Ends by step and thresholds stay: they say what the run
    has seen or can do, not how long it is. A curriculum without an episode end that does not say its own length is
    left alone.

    Raises:
        V3Error: if the run is too short for every phase to get at least one episode, or the curriculum has episode
            ends and does not say what length they were written for.
    """
    if episodes < len(curriculum.phases):
        raise V3Error(
            "A run of {episodes} episodes is too short for the {phases} phases of '{name}'; train at least {phases} "
            "episodes.",
            episodes=episodes,
            phases=len(curriculum.phases),
            name=curriculum.name,
        )
    if curriculum.episodes is None:
        if not curriculum.boundaries:
            return curriculum.model_copy(update={"episodes": episodes})
        raise V3Error(
            "Curriculum '{name}' does not set 'episodes', so it cannot be scaled; add 'episodes: N' to it.",
            name=curriculum.name,
        )
    factor = episodes / curriculum.episodes
    ends = _scaled_ends(curriculum, factor, episodes)
    phases = [_scaled_phase(phase, end, factor, episodes) for phase, end in zip(curriculum.phases, ends, strict=True)]
    with explained(_("Curriculum '{name}'", name=curriculum.name)):
        return Curriculum.model_validate({**dict(curriculum), "episodes": episodes, "phases": tuple(phases)})


def scaled_to(curriculum: Curriculum, length: Length) -> Curriculum:
    """The same curriculum in proportion to a run of this length.

    In a run whose steps alone are planned, ends and ramps that count episodes become ends and ramps of environment
    steps, at the same part of the run. What a trigger counts stays.

    Raises:
        V3Error: as `scaled`.
    """
    if not length.is_by_steps or length.steps is None:
        return scaled(curriculum, length.episodes)
    if curriculum.episodes is None:
        return scaled(curriculum, length.episodes) if curriculum.boundaries else curriculum  # refused
    factor = length.steps / curriculum.episodes
    phases = [_by_steps(phase, factor) for phase in curriculum.phases]
    with explained(_("Curriculum '{name}'", name=curriculum.name)):
        return Curriculum.model_validate({**dict(curriculum), "episodes": None, "phases": tuple(phases)})


def _by_steps(phase: Phase, factor: float) -> Phase:
    changes: dict[str, object] = {}
    if phase.until is not None and phase.until.episode is not None:
        changes["until"] = Until(step=max(1, round(phase.until.episode * factor)))
    for knob, ramp in ramps_of(phase).items():
        if ramp.over is not None and ramp.over.episodes is not None:
            over = Over(steps=max(1, round(ramp.over.episodes * factor)))
            changes[knob] = ramp.model_copy(update={"over": over})
    return phase.model_copy(update=changes)


def _scaled_ends(curriculum: Curriculum, factor: float, episodes: int) -> list[int | None]:
    """The end of each phase that ends at an episode, each at least one later than the previous one."""
    ends: list[int | None] = []
    latest, left = 0, len(curriculum.boundaries)
    for end in (*curriculum.planned_ends, None):
        if end is not None:
            latest = min(max(round(end * factor), latest + 1), episodes - left)
            left -= 1
        ends.append(None if end is None else latest)
    return ends


def _scaled_phase(phase: Phase, end: int | None, factor: float, episodes: int) -> Phase:
    changes: dict[str, object] = {}
    if end is not None:
        changes["until"] = Until(episode=end)
    elif phase.until is not None and phase.until.is_trigger:
        changes["until"] = _scaled_trigger(phase.until, factor, episodes)
    for knob, ramp in ramps_of(phase).items():
        if ramp.over is not None and ramp.over.episodes is not None:
            over = Over(episodes=max(1, round(ramp.over.episodes * factor)))
            changes[knob] = ramp.model_copy(update={"over": over})
    return phase.model_copy(update=changes)


def _scaled_trigger(until: Until, factor: float, episodes: int) -> Until:
    most = None if until.max_episodes is None else max(1, round(until.max_episodes * factor))
    room = max(1, min(episodes - 1, episodes if most is None else most))
    return until.model_copy(
        update={
            "max_episodes": most,
            "min_episodes": min(round(until.min_episodes * factor), room),
            "window": min(until.window, room),
        }
    )


def environments_of(curriculum: Curriculum) -> tuple[str, ...]:
    """The environments that phases name, in their order, each once; empty where the run's serves throughout."""
    return tuple(dict.fromkeys(phase.env for phase in curriculum.phases if phase.env is not None))


def trains_on(curriculum: Curriculum, env: str) -> bool:
    """Whether phases name an environment, or none; with the module that registers it, it is the same one."""
    named = environments_of(curriculum)
    return not named or env.rpartition(":")[2] in {one.rpartition(":")[2] for one in named}


def check_environment_named(curriculum: Curriculum, env: str) -> None:
    """Raise a V3Error for a curriculum that names environments, but not this one."""
    named = environments_of(curriculum)
    if not trains_on(curriculum, env):
        raise V3Error(
            "Curriculum '{name}' trains on {named}, not on {env}; choose one of them as the environment, or another "
            "curriculum.",
            name=curriculum.name,
            named=listed(named),
            env=env,
        )


def check_experts(curriculum: Curriculum, experts: int) -> None:
    """Raise a V3Error for a phase that chooses more experts than the router has, `policy` applied."""
    for number, phase in enumerate(curriculum.phases, start=1):
        if phase.top_k is not None and phase.top_k > experts:
            chosen_among = several("{count} expert", "{count} experts", count=experts)
            raise V3Error(
                "Phase {number} '{name}' has top_k {top_k}, but the router has {chosen_among} to choose from; lower "
                "it, or use more experts.",
                number=number,
                name=phase.name,
                top_k=phase.top_k,
                chosen_among=chosen_among,
            )


def check_router_learns(
    curriculum: Curriculum, experts: int | None = None, *, before: Curriculum | None = None
) -> None:
    """Raise a V3Error for a phase in which the router gets no gradient from the policy.

    The weight of a single expert, normalised over the chosen, is 1 whatever the router says: only the probabilities of
    Switch (arXiv:2101.03961) give its choice a gradient. The router of one expert has nothing to learn.

    `experts` is how many the router has, if that is known. `before` is a curriculum that runs already; a phase that is
    as it was in it is allowed, so that other phases of earlier runs can be edited.
    """
    network = curriculum.policy
    if (experts or (network and network.experts)) == 1 or (network is not None and network.single_expert):
        return
    allowed = [] if before is None else _routings(before)
    for number, routing in enumerate(_routings(curriculum)):
        kind, top_k, weights = routing
        if kind == "topk" and top_k == 1 and weights != "probabilities" and routing not in allowed[number : number + 1]:
            raise V3Error(
                "Phase {value} '{name}' chooses top_k 1 with top_k_weights {weights}, which gives the router a "
                "gradient of exactly 0; set top_k_weights to probabilities, or top_k to 2 or more.",
                value=number + 1,
                name=curriculum.phases[number].name,
                weights=weights,
            )


def _routings(curriculum: Curriculum) -> list[tuple[str, int, str]]:
    """Routing, top_k and top_k_weights in force in each phase: what one does not set, it inherits."""
    found = [("softmax", 2, "renormalised")]
    for phase in curriculum.phases:
        kind, top_k, weights = found[-1]
        found.append((phase.routing or kind, phase.top_k or top_k, phase.top_k_weights or weights))
    return found[1:]
