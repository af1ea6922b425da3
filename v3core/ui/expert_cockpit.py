"""The section of Live about the experts: where the load goes, what each expert does, and whether it is needed.

Nothing is read while it is closed. What is open and chosen is in the address: `?run=ID&experts=true`. With
`?run=ID&section=experts` it is opened and scrolled to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import streamlit as st

from v3core import metrics
from v3core.charts import expert_figures
from v3core.charts.expert_figures import AREA, HEATMAP, LOADS
from v3core.charts.look import AS_TRAINED
from v3core.environments.evaluation_seeds import evaluation_seed
from v3core.errors import V3Error
from v3core.insight.experts import ExpertProfile, StateMap
from v3core.insight.removals import IDLE_SHARE, Removal, Verdict, removals
from v3core.jobs import control
from v3core.jobs.checkpoints import newest_present
from v3core.jobs.evaluating import BackgroundKnockout
from v3core.jobs.files import checkpoint_file
from v3core.jobs.kept_replays import find_replays
from v3core.jobs.lifecycle import ENDED
from v3core.messages import Message, _, say
from v3core.metrics import METRICS, of_chart
from v3core.paths import COMMAND
from v3core.phrases import capitalised, listed, sentences, strung
from v3core.store.database import Database
from v3core.store.expert_records import (
    EvaluatedExperts,
    count_expert_reports,
    read_expert_reports,
    read_knockouts,
    read_state_map,
)
from v3core.store.history import read_evaluations
from v3core.store.run_row import RunRow
from v3core.store.task_records import read_task_evaluation
from v3core.ui import news, shell, ticks
from v3core.ui.chart_sources import Source, loads_chart
from v3core.ui.clicks import or_notice
from v3core.ui.live_chart import live_chart
from v3core.ui.look_controls import zoom_group
from v3core.ui.option_labels import follow_language
from v3core.ui.run_data import load_series
from v3core.ui.situation_tables import situation_tables
from v3core.ui.state_map import state_map
from v3core.ui.status import counted
from v3core.ui.text import about, md, plain

KEY = "experts"
"""Of the expander, and the parameter of the address that opens it."""
_LED_TO = "experts-led-to"
_EVALUATION = "evaluation"
_NEWEST = "evaluation-newest"
FORMS = {AREA: _("Areas"), HEATMAP: _("Heatmap")}
ON_ALL, WHERE_USED = "all", "used"
WHERE = {ON_ALL: _("On all states"), WHERE_USED: _("Where it is used")}
BY_EXPERT, BY_SCENARIO = "expert", "scenario"
COLOURS = {BY_EXPERT: _("By expert"), BY_SCENARIO: _("By scenario")}
EPISODES = 20
"""Default number of episodes of a knock-out."""

_NO_NUMBERS = _("None of these numbers is finite, so there is nothing to show.")

_DISTANCE = _(
    "Jensen-Shannon distance of the action distributions of two experts in the same state, √divergence with "
    "logarithms of base 2, averaged over the states: 0 if they always act alike, 1 if they never share an action. "
    "Of several independent actions, the divergence is the mean over them; of numbers it is exact, before clipping "
    "to the bounds."
)
_ACTIONS = _(
    "What each expert would do alone, with a gate of 1. On all states: the same states for every expert. Where it "
    "is used: the same states, weighted with its gates. Of numbers, the mean and the deviation over states and "
    "actions."
)
_MAP = _(
    "Scene embeddings of the newest evaluation's states on the two axes along which they vary most (PCA). A point "
    "is coloured by the expert with the largest gate, or by scenario where the environment names several: what its "
    "reset returns as info['scenario'], or the mission of a MiniGrid. A click shows the state."
)
_KNOCKOUT = _(
    "Mean return when an expert is removed and the gates of the others are renormalised; where it had all the "
    "weight, the routing chooses among the others. Bars are means with 95 % intervals over the episodes (Student's "
    "t), the dashed line is the policy with all experts. Verdicts compare pairs of episodes that begin alike: "
    "needed if the interval of the difference lies below 0, idle if it lies within {idle_share:.0%} of the mean "
    "return.",
    idle_share=IDLE_SHARE,
)


def is_open(run_id: str) -> bool:
    """Whether the section is open, or is going to be because the address says so."""
    if st.query_params.get("section") == KEY and st.session_state.get(_LED_TO) != run_id:
        st.session_state[_LED_TO] = run_id  # once: it can be closed again
        st.session_state[KEY] = True
    return bool(st.session_state.get(KEY, st.query_params.get(KEY) == "true"))


@st.cache_resource(max_entries=16, show_spinner=False)
def _reports(
    _database: Database,
    url: str,  # noqa: ARG001  this and what follows tell what is cached apart
    run_id: str,
    generation: int,  # noqa: ARG001
    known: tuple[int, int, int],  # noqa: ARG001
) -> list[EvaluatedExperts]:
    """Read again if there are more, or others since a resume; of many experts they take tens of milliseconds."""
    return read_expert_reports(_database, run_id)


def expert_cockpit(database: Database, run: RunRow) -> None:
    """The section, closed at first."""
    was_open = is_open(run.id)

    @ticks.ticking(1, news.of_milestones(database, run.id))
    @shell.show_errors()
    def section(run_id: str) -> None:
        expander = st.expander(md("Experts"), icon=":material/groups:", key=KEY, on_change="rerun", bind="query-params")
        if expander.open != was_open:
            st.rerun()  # the charts above leave out what the section shows
        if expander.open:
            with expander:
                _Section(database, shell.run_or_rerun(database, run_id)).draw()

    section(run.id)


@dataclass(frozen=True)
class _Section:
    database: Database
    run: RunRow

    def draw(self) -> None:
        """All parts, top to bottom."""
        load, decisions = st.columns(2)
        with load.container(border=True, height="stretch"):
            self.loads()
        with decisions.container(border=True, height="stretch"):
            explained = [(metric.label, metric.sentence) for metric in of_chart(metrics.DECISIONS)]
            _head(metrics.DECISIONS.title, metrics.DECISIONS.about, explained)
            self.chart_of_run(metrics.DECISIONS.name, height=420)
        situation_tables(self.database, self.run)
        reports = _reports(
            self.database,
            self.database.url,
            self.run.id,
            self.run.generation,
            count_expert_reports(self.database, self.run.id),
        )
        if reports:
            self.evaluations(reports)
        else:
            st.info(plain(self.why_nothing()), icon=":material/query_stats:")
        with st.container(border=True):
            self.state_map(len(reports[-1].experts) if reports else self.run.experts)
        with st.container(border=True):
            self.knockout()

    def chart_of_run(self, name: str, *, height: int = 300) -> None:
        source = Source(name, (self.run.id,))
        live_chart(source, key=f"{name}-{self.run.id}", height=height, zoom_group=zoom_group(self.run.id, AS_TRAINED))

    def loads(self) -> None:
        """The load of each expert over time."""
        explained = [(METRICS[name].label, METRICS[name].sentence) for name in LOADS]
        about = sentences(_("The dotted lines are the fair share of each expert, 1/N."), metrics.LOAD_POINTS)
        _head(_("Load over time"), about, explained)
        with st.container(horizontal=True):
            form = _choice(_("Form of the loads"), FORMS, "loads")
            metric = _choice(_("Which load"), {"load": _("Soft load"), "hard_load": _("Hard load")}, "share")
        self.chart_of_run(loads_chart(form, metric))

    def why_nothing(self) -> str:
        """Why no evaluation has recorded what the experts do."""
        run = self.run
        if read_evaluations(self.database, run.id):
            return _(
                "The evaluations of this run were recorded by a version that did not record what each expert does."
            )
        if not run.config.evaluation.episodes:
            return _("This run has no evaluations, which record what each expert does.")
        if run.status in ENDED:
            return _("The run ended before its first evaluation, which records what each expert does.")
        every = run.config.evaluation.every
        when = _("after {every:,} episodes", every=every) if every else _("at the end of the run")
        return _("What each expert does is recorded by evaluations; the first one is {when}.", when=when)

    def evaluations(self, reports: Sequence[EvaluatedExperts]) -> None:
        """What each expert did in an evaluation, newest first, and how that came about."""
        shown = reports[-1]
        if len(reports) > 1:
            by_episode = {report.episode: report for report in reports}
            self._follow_newest(list(by_episode))
            chosen = st.selectbox(
                md("Evaluation at episode"),
                list(reversed(by_episode)),
                format_func=lambda episode: f"{episode:,}",
                key=_EVALUATION,
                bind="query-params",
                width=220,
                placeholder=say("Choose an option"),
            )
            shown = by_episode[chosen]
        name, experts = self.run.name, shown.experts
        left, right = st.columns(2)
        with left.container(border=True, height="stretch"):
            _head(_("Actions of each expert"), _ACTIONS)
            where = _choice(_("Weights of the states"), WHERE, "states")
            used = where == WHERE_USED
            unused = [str(number) for number, expert in enumerate(experts, 1) if expert.used_actions is None]
            if any((expert.used_actions if used else expert.actions) is not None for expert in experts):
                figure = expert_figures.actions_figure(name, experts, used=used)
                live_chart(figure, key=f"actions-{self.run.id}", height=figure.layout.height)
                if used and unused:
                    st.caption(md("Not used at all: {unused}.", unused=listed(unused)))
            else:
                st.caption(md(_NO_NUMBERS))
            st.caption(
                md("Episode {episode:,}, {states}.", episode=shown.episode, states=counted(shown.states, "state"))
            )
        with right.container(border=True, height="stretch"):
            _head(_("Distances of experts"), _DISTANCE)
            if len(experts) < 2:
                st.caption(md("There is only one expert."))
                return
            if any(distance is not None for expert in experts for distance in expert.distances):
                figure = expert_figures.distances_figure(name, experts)
                live_chart(figure, key=f"distances-{self.run.id}", height=figure.layout.height)
            else:
                st.caption(md(_NO_NUMBERS))
            st.caption(
                md("Episode {episode:,}, {compared}.", episode=shown.episode, compared=counted(shown.compared, "state"))
            )
        if len(reports) > 1:
            with st.container(border=True):
                _head(_("Distances over time"), _DISTANCE)
                series = load_series(self.database, self.run, control.current_curriculum(self.database, self.run.id))
                history: list[tuple[int, Sequence[ExpertProfile]]] = [(one.episode, one.experts) for one in reports]
                figure = expert_figures.distance_history_figure(series, history)
                live_chart(
                    figure, key=f"distance-history-{self.run.id}", zoom_group=zoom_group(self.run.id, AS_TRAINED)
                )

    def _follow_newest(self, episodes: Sequence[int]) -> None:
        """A new evaluation is shown unless an older one of this run is being looked at."""
        looked_at, newest = st.session_state.get(_EVALUATION), (self.run.id, episodes[-1])
        before = st.session_state.get(_NEWEST, newest)
        if before != newest and (before[0] != newest[0] or looked_at == before[1] or looked_at not in episodes):
            st.session_state[_EVALUATION] = episodes[-1]
        st.session_state[_NEWEST] = newest

    def state_map(self, experts: int) -> None:
        """Which states go where."""
        _head(_("Which states go where"), _MAP)
        found: tuple[int, StateMap] | None = read_state_map(self.database, self.run.id)
        if found is None:
            st.caption(md("The newest evaluation draws this map; there is none yet."))
            return
        episode, points = found
        by_scenario = len(points.scenarios) > 1 and _choice(_("Colour of the states"), COLOURS, "colour") == BY_SCENARIO
        kept = find_replays(self.database, self.run.id, episode).values()
        replays = {replay.number: replay.seed for replay in kept}
        tasks = len(read_task_evaluation(self.database, self.run.id, episode))
        state_map(
            self.run,
            points,
            experts,
            by_scenario=by_scenario,
            episode=episode,
            replays=replays,
            not_again=self._not_again(episode, replays, tasks),
            tasks=tasks,
        )
        st.caption(md("Episode {episode:,}, {x}.", episode=episode, x=counted(len(points.x), "state")))

    def _not_again(self, episode: int, replays: Mapping[int, int], tasks: int) -> str:
        """Why the episodes of the newest evaluation that were not kept cannot be played again; empty if they can."""
        if self.run.config.evaluation.sampled:
            return _("Its actions were drawn at random, so it would not go the same from its seed.")
        if not self.database.place.has(checkpoint_file(self.database, self.run.id, episode)):
            return _(
                "Playing it again needs the checkpoint at episode {episode:,}, which is not there.", episode=episode
            )
        if not replays or any(evaluation_seed(number, tasks) != seed for number, seed in replays.items()):
            return _("What it began with is not known, so it cannot be played again.")
        return ""

    def knockout(self) -> None:
        """Returns without each expert, and a button to measure them."""
        _head(_("Knock-out"), _KNOCKOUT)
        if self.run.experts < 2:
            st.caption(md("The policy has only one expert, so none can be removed."))
            return
        rows = read_knockouts(self.database, self.run.id)
        if rows:
            row = rows[-1]
            found = removals(row.complete, row.without)
            measured = _(
                "Episode {episode:,}, {complete} each.",
                episode=row.episode,
                complete=counted(len(row.complete), "episode"),
            )
            if np.isfinite([*row.complete, *chain(*row.without.values())]).any():
                figure = expert_figures.knockout_figure(self.run.name, row.complete, found)
                live_chart(figure, key=f"knockout-{self.run.id}", height=figure.layout.height)
                st.caption(plain(sentences(measured, _words(found))))
            else:
                st.caption(
                    md("{measured} No return is a finite number, so nothing is known of any expert.", measured=measured)
                )
        else:
            st.caption(md("Not measured yet."))
        self.measure()

    def measure(self) -> None:
        """A button that starts a knock-out with the newest checkpoint, and what comes of it."""
        with self.database.read() as tx:
            newest = newest_present(self.database, self.run.id, tx)
        if newest is None:
            command = f"{COMMAND} knockout {self.run.id[:8]}"
            st.caption(md("There is no checkpoint here to measure with. On the machine that has one: `{}`", command))
            return
        with st.container(horizontal=True, vertical_alignment="bottom"):
            field = f"knockout-episodes-{self.run.id}"
            st.number_input(md("Episodes"), 1, 1000, EPISODES, key=field, width=140)
            label = md("Measure at episode {episode:,}", episode=newest.episode)
            st.button(
                label,
                icon=":material/person_remove:",
                key=f"knockout-{self.run.id}-measure",
                on_click=_start,
                args=(self.database, self.run, newest.episode, field),
            )
        _under_way(self.run)


def _words(found: Sequence[Removal]) -> Message:
    parts = []
    for verdict in Verdict:
        experts = [removal.expert + 1 for removal in found if removal.verdict is verdict]
        if experts:
            parts.append(_("{verdict}: {experts}", verdict=verdict.words, experts=listed(experts)))
    return _("{parts}.", parts=capitalised(strung(_("; "), parts)))


@st.cache_resource(max_entries=1, show_spinner=False)
def _measured() -> dict[str, BackgroundKnockout]:
    """Knock-outs asked for on this server, by run; shared by all tabs."""
    return {}


@or_notice
def _start(database: Database, run: RunRow, checkpoint: int, field: str) -> None:
    known = _measured().get(run.id)
    if known is not None and not known.is_over():
        return  # a double click, or one in another tab
    episodes = int(st.session_state[field] or EPISODES)
    _measured()[run.id] = BackgroundKnockout(database, run, checkpoint, episodes)


def _under_way(run: RunRow) -> None:
    """The knock-out in progress, or why the latest failed; its result is in the database."""
    measured = _measured().get(run.id)
    if measured is None:
        return
    if measured.is_over():
        try:
            measured.result()
        except V3Error as error:
            st.error(plain(error), icon=":material/error:")
        return
    ticks.draw_again_in(1)
    text = _(
        "Playing {episodes} with all experts and without each of {experts} …",
        episodes=counted(measured.episodes, "episode"),
        experts=run.experts,
    )
    st.info(plain(text), icon=":material/hourglass_top:")


def _choice(label: str, options: Mapping[str, str], key: str) -> str:
    """A switch whose value is in the address."""
    first = next(iter(options))
    follow_language(key, options, lambda option: plain(options[option]))
    chosen: str | None = st.segmented_control(
        plain(label),
        list(options),
        format_func=lambda option: plain(options[option]),
        default=first,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or first


def _head(title: str, meaning: str, explained: Sequence[tuple[str, str]] = ()) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(md("**{}**", title), width="content")
        about(title, meaning, explained)
