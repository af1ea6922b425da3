"""The claims with their verdicts as Markdown: the same words on the page and in docs/claims.md.

`escape` is applied to what the files of studies say, which people may write themselves.
"""

from collections.abc import Callable, Sequence

from v3core.claims.findings import Finding, estimate_of, expectation, too_few_seeds, with_interval
from v3core.claims.statements import Claim, StudyState, begun, verdict_over
from v3core.claims.study import Relation
from v3core.claims.study_outcomes import OUTCOMES


def claim_text(claim: Claim, findings: Sequence[Finding], escape: Callable[[str], str] = str) -> str:
    """What stands under a claim's title: its words, what is known, and each comparison."""
    parts = [
        f"**{verdict_over(findings).capitalize()}.**",
        *([f"> {claim.words}"] if claim.words else []),
        claim.english,
        f"*Sources.* {claim.sources}",
    ]
    if claim.measured:
        parts.append(f"*Measured.* {claim.measured}")
    if run := begun(findings):
        parts.append(comparisons(run, escape))
    return "\n\n".join(" ".join(part.split()) if not part.startswith("|") else part for part in parts)


def comparisons(findings: Sequence[Finding], escape: Callable[[str], str] = str) -> str:
    """A table with a row per hypothesis."""
    titles = ("Study", "Outcome", "Expected", "Difference or correlation (95 %)", "Pairs or runs", "p", "Verdict")
    return table(titles, [_row(finding, escape) for finding in findings])


def _row(finding: Finding, escape: Callable[[str], str]) -> tuple[str, ...]:
    n = finding.measured.n
    measured = with_interval(finding.measured)
    return (
        escape(finding.study),
        OUTCOMES[finding.hypothesis.outcome].title,
        escape(expectation(finding.hypothesis)),
        f"r = {measured}" if isinstance(finding.hypothesis, Relation) else measured,
        str(n) + ("" if n == finding.planned else f" of {finding.planned}"),
        "–" if finding.p is None else f"{finding.p:.3f}",
        str(finding.verdict),
    )


def study_text(state: StudyState, escape: Callable[[str], str] = str) -> str:
    """What stands under a study's name: its question, how far it is, and its arms."""
    study = state.study
    expected = [outcome for one in study.expectations for outcome in one.outcomes]
    shown = list(dict.fromkeys([*expected, *_ALSO]))
    counts = {arm.name: sum(result.arm == arm.name for result in state.results) for arm in study.arms}
    rows = [
        (
            escape(arm.name),
            str(counts[arm.name]),
            *(with_interval(estimate_of(state.results, arm.name, name)) for name in shown),
        )
        for arm in study.arms
    ]
    how_far = f"{len(state.results)} of {state.planned} runs have a result"
    return "\n\n".join(
        (
            escape(study.question),
            f"{escape(study.environment)}, {study.steps:,} environment steps, {study.seeds} seeds of each arm; "
            f"{how_far}. Run by `v3lab claims {study.name} --run`.",
            *([few] if (few := too_few_seeds(study)) else []),
            table(("Arm", "Runs", *(OUTCOMES[name].title for name in shown)), rows),
            *([comparisons(state.findings, escape)] if state.findings else []),
        )
    )


_ALSO = ("dead_experts", "evaluation_return", "knockout_drop")


def outcome_table() -> str:
    """What each outcome means."""
    return table(("Outcome", "Key", "Meaning"), [(one.title, f"`{key}`", one.meaning) for key, one in OUTCOMES.items()])


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
