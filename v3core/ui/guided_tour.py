"""The guided tour: what of a policy is architecture and what is curriculum, as the founding document explains it.

A run stands beside the text: what is said of policies in general can be seen on it.
"""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from v3core import metrics
from v3core.charts.look import AS_TRAINED
from v3core.claims.findings import Finding
from v3core.claims.statements import Claim, standing
from v3core.config import RunConfig
from v3core.curriculum import Curriculum
from v3core.curriculum.knobs import KNOBS
from v3core.curriculum.typed import describe_architecture, format_end, format_value
from v3core.messages import Message, _, translated, translation
from v3core.metrics import Chart
from v3core.phrases import capitalised, counted, sentences
from v3core.store.run_row import RunRow
from v3core.ui.chart_sources import Source
from v3core.ui.live_chart import live_chart
from v3core.ui.run_charts import chart_head
from v3core.ui.text import Markdown, md, plain

_POLICY: tuple[tuple[str, str], ...] = (
    (_("What there is, and what is near what."), "nodes, edges = graph(observation)"),
    (_("A graph attention network."), "scene = attention(nodes, edges)"),
    (_("The share of each expert."), "gates = routing(router(scene) / T)"),
    (_("All answer, the gates mix the answers."), "action = sample(gates @ experts(scene))"),
)
"""Each line of a policy in short, after what it does."""

_KNOBS = {knob: KNOBS[knob].title for knob in ("temperature", "lr", "load_balance")}


def bicycle(run: RunRow | None) -> None:
    """One policy, learned as a whole."""
    st.subheader(md("The bicycle: a policy that is learned as a whole"), anchor="policy")
    text, beside = _beside(run)
    with text:
        st.markdown(
            md(
                "A policy turns a state into an action in one pass. Nobody writes a rule for which expert plays "
                "when: the router is a part of the network, and gradient descent trains it together with everything "
                "before and after it. That is what **end to end** means, and it is said of the policy, not of the "
                "script that trains it."
            )
        )
        st.code(
            "".join(f"# {translated(what)}\n{line}\n" for what, line in _POLICY), language="python", wrap_lines=True
        )
        st.markdown(
            md(
                "One thing is left to gradient descent that it cannot do alone. An expert whose gate is exactly 0 "
                "gets no gradient from that step: sparse routings such as sparsemax learn nothing about the experts "
                "that they leave out."
            )
        )
    if run is not None:
        with beside:
            _chart(run, metrics.GRADIENTS)
            st.caption(md("The network of **{}**: {}.", run.name, _network(run.config)))


def training_wheels(run: RunRow | None, curriculum: Curriculum | None) -> None:
    """The curriculum, and why there is one."""
    st.subheader(md("The training wheels: a curriculum of the routing"), anchor="curriculum")
    text, beside = _beside(run)
    with text:
        st.markdown(
            md(
                "Left alone, a router often settles on a few experts: one that is not chosen is not trained, stays "
                "weak, and so is not chosen later either. The founding document's answer is to begin with routing in "
                "which every expert takes part, and to make it sparse step by step. As with training wheels, the "
                "bicycle stays the same. A curriculum only sets numbers, as a schedule of the learning rate does. One "
                "of them is the load balance; which of them keeps experts alive is measured below."
            )
        )
    if run is not None:
        with beside:
            _chart(run, metrics.LOADS)
    if run is not None and curriculum is not None:
        st.markdown(md("What the curriculum of **{}** sets, phase by phase:", run.name))
        # A knob that a phase leaves alone keeps its value.
        st.table(
            [
                {
                    md("Phase"): plain(phase.name),
                    md("Ends"): plain(format_end(phase.until) or _("end of the run")),
                    md("Routing"): plain(phase.routing or "–"),
                    **{plain(_KNOBS[knob]): plain(format_value(getattr(phase, knob)) or "–") for knob in _KNOBS},
                }
                for phase in curriculum.phases
            ]
        )


def misunderstandings(claims: dict[str, Claim]) -> None:
    """Three that the founding document names."""
    st.subheader(md("Three misunderstandings"), anchor="misunderstandings")
    first, second, third = st.columns(3)
    _card(
        first,
        _("“Phases in the training script: so it is not end to end.”"),
        _(
            "End to end is said of the policy: from observation to action every part is learned through the others. "
            "The script sets temperature, learning rate and coefficients, as every training script does."
        ),
    )
    _card(
        second,
        _("“End to end: so nothing may be designed by hand.”"),
        _(
            "What is learned are features and decisions. How many experts there are, which optimiser trains them and "
            "when routing becomes sparse are chosen by people, and the policy is end to end all the same. Whether such "
            "a choice helps is a question for experiments."
        ),
    )
    _card(
        third,
        _("“A curriculum makes the policy heavier.”"),
        sentences(
            _("The network is the same after training, whatever the curriculum was."),
            Message(claims["inference"].measured, {}),
        ),
    )


def _card(column: DeltaGenerator, heard: str, answer: str) -> None:
    with column.container(border=True, height="stretch"):
        st.markdown(md("**{}**", heard))
        st.markdown(_of_ours(answer))


def _of_ours(text: str) -> Markdown:
    """A text of the project's own, with Markdown in it."""
    return Markdown(translated(text))


def verdicts(claims: dict[str, Claim], findings: Sequence[Finding]) -> None:
    """What experiments say of each claim."""
    st.subheader(md("Does it help? What was measured"), anchor="verdicts")
    st.markdown(
        md(
            "That a curriculum does no harm to the architecture does not say that it does any good. The founding "
            "document says that it does, and cites papers in which it was not found, as far as they were read. Here is "
            "what V3 Lab measured, or found in the papers:"
        )
    )
    rows = [
        {
            md("Claim"): plain(translation(claim.title)),
            md("Verdict"): plain(
                capitalised(standing(claim, [one for one in findings if one.hypothesis.claim == key]))
            ),
        }
        for key, claim in claims.items()
    ]
    st.table(rows)
    with st.container(horizontal=True):
        st.page_link("pages/claims.py", label=md("The studies behind this"), icon=":material/balance:")
        st.page_link("pages/launch.py", label=md("Try a curriculum of your own"), icon=":material/rocket_launch:")


def _beside(run: RunRow | None) -> list[DeltaGenerator]:
    """Two places side by side, for the text and for the run; without a run the text has the page."""
    return st.columns([2, 3], gap="large") if run is not None else [st.container(), st.container()]


def _chart(run: RunRow, chart: Chart) -> None:
    with st.container(border=True):
        chart_head(chart)
        live_chart(Source(chart.name, (run.id,), look=AS_TRAINED), key=f"tour-{chart.name}-{run.id}", height=300)


def _network(config: RunConfig) -> str:
    wanted = config.curriculum.policy
    experts = counted(config.policy.experts, "expert")
    if wanted is None:
        return experts
    return _("{experts} ({architecture})", experts=experts, architecture=describe_architecture(wanted))
