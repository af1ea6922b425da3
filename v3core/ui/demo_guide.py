"""Texts about the demo on the pages: what it shows, what to look for, and links to the comparison."""

from collections.abc import Sequence

import streamlit as st

from v3core.curriculum import load_preset
from v3core.insight.loads import dead_experts
from v3core.jobs.demo import ENV, METRIC, WITH, WITHOUT, demo_of, is_demo
from v3core.jobs.lifecycle import ENDED, Status
from v3core.messages import _, translated
from v3core.metrics import DEAD_LOAD
from v3core.phrases import all_of
from v3core.rollup import MEAN_WINDOW, NEWEST_WINDOW
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs
from v3core.ui.run_data import load_phases
from v3core.ui.run_picker import compare_link, show_here
from v3core.ui.text import Markdown, md

_LOOK_FOR = {
    WITH: _(
        "This run has a **curriculum**: a warmup in which load balancing keeps all 16 experts in use, then routing "
        "gradually becomes sparse. Look at **Expert loads**: every expert should keep a share of the load until the "
        "end, so **Effective experts** should stay near 16, although **Support** shows that each step then uses "
        "only a few. Try dragging a future phase boundary in the first chart to see what changes."
    ),
    WITHOUT: _(
        "This run has **no curriculum**: routing is sparse from the first episode, and nothing balances the load. Look "
        "at **Expert loads**: two or three experts take over all of the load within the first episodes. The others are "
        "**dead**: without load they get no gradient (see **Gradient of each expert**) and rarely recover."
    ),
}


def invitation() -> None:
    """Before the demo starts: what it trains, what to look for, how long it takes."""
    st.markdown(
        md(
            "The demo trains the same policy with 16 experts on **{env}** twice, with the same seed: once **with** "
            "a routing curriculum, which also balances the load, and once **without**.",
            env=ENV,
        ),
        text_alignment="center",
    )
    st.markdown(
        md(
            "Watch the chart **Expert loads**: without the curriculum a few experts take over all of the load and "
            "the others die; with it all experts stay in use. At the end, compare the two runs."
        ),
        text_alignment="center",
    )
    st.caption(
        md("Takes about two minutes on two cores. The runs train in the background, so you can look around meanwhile."),
        text_alignment="center",
    )


def what_to_look_for(database: Database, run: RunRow) -> None:
    """On a run of the demo: what its charts show, its counterpart, and the comparison once both have ended."""
    if not is_demo(run):
        return
    runs = demo_of(list_runs(database), run)
    _next_step(database, runs)
    with st.expander(md("Demo: what to look for"), icon=":material/visibility:", expanded=True):
        st.markdown(md(_LOOK_FOR[run.curriculum]))
        with st.container(horizontal=True):
            for other in runs:
                if other.id != run.id:
                    label = (
                        md("Look at the run with the curriculum")
                        if other.curriculum == WITH
                        else md("Look at the run without the curriculum")
                    )
                    show_here(label, ":material/monitoring:", run=other.id)
            if len(runs) > 1 and _at_work(runs):
                _comparison(_("Compare them as they train"), runs)


def after_the_demo(database: Database, runs: Sequence[RunRow]) -> None:
    """On Home, while nothing was started after the demo: the comparison. `runs` are all of them, newest first."""
    if is_demo(runs[0]):
        _next_step(database, demo_of(runs, runs[0]))


def how_to_read(database: Database, runs: Sequence[RunRow]) -> None:
    """On Compare, if it compares runs of the demo: what the chart and the table show."""
    if not {WITH, WITHOUT} <= {run.curriculum for run in runs if is_demo(run)}:
        return
    with st.expander(md("Demo: how to read this page"), icon=":material/visibility:", expanded=True):
        st.markdown(_dead_so_far(database, [run for run in runs if is_demo(run)]))
        st.markdown(
            md(
                "An expert is **dead** over some episodes if it gets less than {dead_load:.0%} of the load over all "
                "of their steps. For the metric **Dead experts** these episodes are {newest_window}. The table of "
                "phases counts in its column **Dead** over the last episodes of each phase: {mean_window}. The "
                "metrics **Effective experts** and **Routing entropy / ln N** show the same difference in other "
                "units. The final **Return** may be the same, because two experts can balance a pole. The two runs "
                "differ in the warmup and in load balancing; in studies it is load balancing that keeps experts alive "
                "(see **Claims**). One seed proves nothing: repeat the demo on Launch with more seeds, using the "
                "presets `{with_}` and `{without}`.",
                dead_load=DEAD_LOAD,
                newest_window=NEWEST_WINDOW,
                mean_window=MEAN_WINDOW,
                with_=WITH,
                without=WITHOUT,
            )
        )


def _next_step(database: Database, demo: Sequence[RunRow]) -> None:
    """What came of the demo, and the way to the comparison, once it has ended."""
    if len(demo) < 2 or _at_work(demo):
        return
    with st.container(border=True, key="demo-ended"):
        whole = all(map(_is_whole, demo))
        st.markdown(
            md(":material/check_circle: **The demo is complete.**") if whole else md("**The demo ended early.**")
        )
        st.markdown(_dead_so_far(database, demo))
        _comparison(_("Compare the two runs"), demo)


def _is_whole(run: RunRow) -> bool:
    """Whether it was trained as long as the demo trains it; it may have been trained longer since, and stopped."""
    return run.status == Status.COMPLETED or run.episode >= (load_preset(run.curriculum).episodes or run.episodes)


def _dead_so_far(database: Database, demo: Sequence[RunRow]) -> Markdown:
    """How many experts are dead at the end of each run so far, as recorded; empty if that is not known of both."""
    parts = []
    for run in demo:
        phases = load_phases(database, run)
        loads = phases[-1].closing_loads if phases else ()
        if (dead := dead_experts(loads)) is None:
            return Markdown()
        parts.append(
            md("**{dead} of {loads}** experts are dead with the curriculum", dead=dead, loads=len(loads))
            if run.curriculum == WITH
            else md("**{dead} of {loads}** experts are dead without the curriculum", dead=dead, loads=len(loads))
        )
    return md(
        "Over the newest episodes of the phase that each run is in or ended in, at most {mean_window}, {parts}.",
        mean_window=demo[0].mean_window,
        parts=Markdown(translated(all_of(parts))),
    )


def _at_work(runs: Sequence[RunRow]) -> bool:
    return any(run.status not in ENDED for run in runs)


def _comparison(label: str, runs: Sequence[RunRow]) -> None:
    compare_link(label, experiment=str(runs[0].experiment), metric=METRIC)
