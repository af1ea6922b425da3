"""The texts of the page Claims, for Streamlit."""

from collections.abc import Sequence

from v3core.claims.document import claim_text, how_verdicts_follow, outcome_table, study_text
from v3core.claims.findings import Finding
from v3core.claims.statements import Claim, StudyState
from v3core.ui.text import Markdown, plain


def of_claim(claim: Claim, findings: Sequence[Finding]) -> Markdown:
    """A claim with its comparisons."""
    return Markdown(claim_text(claim, findings, plain))


def of_study(state: StudyState) -> Markdown:
    """A study with its arms."""
    return Markdown(study_text(state, plain))


def of_outcomes() -> Markdown:
    """What each outcome means."""
    return Markdown(outcome_table())


def of_rule() -> Markdown:
    """How verdicts follow from what was measured."""
    return Markdown(how_verdicts_follow())
