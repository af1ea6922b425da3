"""The texts of the page Claims, for Streamlit."""

from collections.abc import Sequence

from v3core.claims.document import claim_words, comparisons, how_verdicts_follow, outcome_table, study_text
from v3core.claims.findings import Finding
from v3core.claims.statements import Claim, StudyState, begun
from v3core.ui.text import Markdown, plain


def of_claim(claim: Claim, findings: Sequence[Finding]) -> Markdown:
    """A claim and its verdict."""
    return Markdown(claim_words(claim, findings))


def of_comparisons(findings: Sequence[Finding]) -> Markdown:
    """The comparisons that have begun; empty if none has."""
    run = begun(findings)
    return Markdown(comparisons(run, plain) if run else "")


def of_study(state: StudyState) -> Markdown:
    """A study with its arms."""
    return Markdown(study_text(state, plain))


def of_outcomes() -> Markdown:
    """What each outcome means."""
    return Markdown(outcome_table())


def of_rule() -> Markdown:
    """How verdicts follow from what was measured."""
    return Markdown(how_verdicts_follow())
