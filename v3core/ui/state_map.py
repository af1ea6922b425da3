"""The map of states on Live, and beside it the state that was clicked or chosen: its features, its gates."""

from collections.abc import Mapping, Sequence
from functools import partial

import streamlit as st

from v3core.charts.expert_figures import map_figure
from v3core.environments.evaluation_seeds import evaluation_seed
from v3core.insight.experts import StateMap
from v3core.insight.seen_words import in_words
from v3core.messages import Message, _, said, say, with_minus
from v3core.phrases import sentences
from v3core.store.run_row import RunRow
from v3core.ui.live_chart import live_chart
from v3core.ui.option_labels import follow_language
from v3core.ui.text import md, plain

PLAYED_AGAIN = _(
    "This episode was not kept: the checkpoint of this evaluation plays it again from its seed, with the most likely "
    "actions."
)
STATE = "state"
"""The parameter of the address that names the state shown, as in `Episode 3, step 17`."""


def state_map(
    run: RunRow,
    points: StateMap,
    experts: int,
    *,
    by_scenario: bool,
    episode: int,
    replays: Mapping[int, int],
    not_again: str,
    tasks: int,
) -> None:
    """The map, and the state that the address names.

    Args:
        run: of the evaluation.
        points: its states.
        experts: how many there are.
        by_scenario: how they are coloured.
        episode: after how many training episodes the evaluation was.
        replays: its episodes that were kept, by their number, to their seeds.
        not_again: why the others cannot be played again from their seeds; empty if they can.
        tasks: how many environments the evaluation was on at once; 0 for a single one.
    """
    names = list(map(_name, points.number, points.step))
    places = {str(name): place for place, name in enumerate(names)}

    def label(name: str) -> str:
        return plain(names[places[name]])

    follow_language(STATE, places, label)
    left, right = st.columns([3, 2])
    with right:
        chosen = st.selectbox(
            md("State"),
            list(places),
            index=None,
            format_func=label,
            placeholder=say("Click a state, or choose one"),
            key=STATE,
            bind="query-params",
        )
        shown = places.get(chosen or "")
        if shown is not None:
            _details(points, shown, experts)
            number, step = points.number[shown], points.step[shown]
            is_kept = number in replays
            if is_kept or not not_again:
                seed = replays[number] if is_kept else evaluation_seed(number, tasks)
                query = {"run": run.id, "episode": episode, "seed": seed, "step": step + 1}
                st.page_link(
                    "pages/replay.py",
                    label=md("Open the replay at this step")
                    if is_kept
                    else md("Play this episode again, at this step"),
                    icon=":material/play_circle:",
                    query_params={name: str(value) for name, value in query.items()},
                )
            if not is_kept:
                st.caption(plain(sentences(_("This episode was not kept."), not_again) if not_again else PLAYED_AGAIN))
    with left:
        figure = map_figure(run.name, points, experts, by_scenario=by_scenario, shown=shown)
        clicked = partial(_choose, frozenset(places))
        live_chart(figure, key=f"map-{run.id}", height=figure.layout.height, on_point=clicked)


def _name(number: int, step: int) -> Message:
    """Of a state: the episode of the evaluation, from 1, and its step, from 0."""
    return _("Episode {number}, step {step}", number=number, step=step)


def _choose(names: frozenset[str], point: Sequence[float]) -> None:
    """Of a click: `point` begins with the episode of the evaluation and its step."""
    match point:
        case [int(number), int(step), *_] if (name := str(_name(number, step))) in names:
            st.session_state[STATE] = name


def _details(points: StateMap, place: int, experts: int) -> None:
    acted, gate = points.expert[place] + 1, points.gate[place]
    st.markdown(md("**Expert {}** has the largest gate, {:.0%}.", acted, gate))
    if points.scenario:
        st.markdown(md("Scenario: {}", points.scenarios[points.scenario[place]] or _("none")))
    if points.gates:
        st.dataframe(
            said(
                {
                    _("Expert"): [number + 1 for number, _share in points.gates[place]],
                    _("Gate"): [share for _number, share in points.gates[place]],
                }
            ),
            hide_index=True,
            height="content",
            column_config=said(
                {
                    _("Expert"): st.column_config.NumberColumn(width="small"),
                    _("Gate"): st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
                }
            ),
            key=f"gates-{STATE}",
        )
        left_out = experts - len(points.gates[place])
        if left_out > 0:
            st.caption(md("Not listed: the smallest {left_out}, or those whose gates are 0.", left_out=left_out))
    if points.values and points.features:
        # A list and not a table: what is in view is longer than a narrow screen.
        pairs = zip(points.features, points.values[place], strict=True)
        lines = [
            md("{}: **{}**", in_words(name), in_words(value) if isinstance(value, str) else with_minus(f"{value:g}"))
            for name, value in pairs
        ]
        st.markdown(md("\n".join(["- {}"] * len(lines)), *lines))
    elif points.values or not points.gates:
        st.caption(md("The features of this state were not recorded."))
