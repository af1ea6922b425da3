"""Claims: what the project says of routing curricula, put to the test."""

from collections.abc import Sequence

import streamlit as st

from v3core.claims.findings import Finding
from v3core.claims.forest import forest
from v3core.claims.statements import StudyState, claims, readable_states
from v3core.jobs.sweep import experiments_of
from v3core.messages import translation
from v3core.store.runs import list_runs
from v3core.ui import shell
from v3core.ui.claims_text import of_claim, of_comparisons, of_outcomes, of_rule, of_study
from v3core.ui.live_chart import live_chart
from v3core.ui.text import md, plain

database = shell.page("Claims")


@shell.show_errors()
def everything() -> None:
    """Every claim with its comparisons, then the studies that they come from."""
    found, problems = readable_states()
    for problem in problems:
        st.warning(plain(problem))
    findings = [finding for state in found for finding in state.findings]
    for key, claim in claims().items():
        st.subheader(plain(translation(claim.title)), anchor=key)
        mine = [one for one in findings if one.hypothesis.claim == key]
        st.markdown(of_claim(claim, mine))
        picture(key, mine)
        if table := of_comparisons(mine):
            st.markdown(table)
    st.subheader(md("The studies"), anchor="studies")
    run = experiments_of(list_runs(database))
    for state in found:
        one(state, is_here=state.study.experiment in run)
    with st.expander(md("What the outcomes mean")):
        st.markdown(of_outcomes())


def picture(key: str, findings: Sequence[Finding]) -> None:
    """The intervals of a claim's comparisons; nothing as long as none has enough runs."""
    if (figure := forest(key, findings)) is None:
        return
    live_chart(figure, key=f"forest-{key}", height=int(figure.layout.height))
    st.caption(
        md(
            "Each mean difference, or correlation, with its 95 % interval, divided by the smallest one that matters: "
            "to the right of 0 it is as expected. Comparisons with too few runs for an interval are in the table alone."
        )
    )


def one(state: StudyState, *, is_here: bool) -> None:
    """A study, and a way to its runs where they are in this database."""
    with st.expander(plain(f"{state.study.name}: {translation(state.study.question)}")):
        st.markdown(of_study(state))
        if state.outdated:
            st.caption(md("{} results are of earlier settings and do not count.", state.outdated))
        if is_here:
            st.page_link(
                "pages/experiments.py", label=md("Its runs"), query_params={"experiment": state.study.experiment}
            )


st.title(md("Claims"), anchor=False)
st.caption(
    md(
        "A verdict follows from the 95 % interval of the mean difference, seed by seed, at equal environment steps. "
        "What was changed after results were known is said beside it."
    )
)
with st.expander(md("How verdicts follow")):
    st.markdown(of_rule())
everything()
