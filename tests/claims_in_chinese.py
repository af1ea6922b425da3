"""The claims with their verdicts, for docs/zh-CN/claims.md; v3core/claims/document.py has the English text."""

from collections.abc import Sequence

from tests.chinese import in_chinese as say
from v3core.claims.document import table
from v3core.claims.findings import Finding, StudyVerdict, number
from v3core.claims.statements import Claim, begun, claims, states
from v3core.claims.study import Hypothesis, Relation
from v3core.claims.study_outcomes import OUTCOMES
from v3core.insight.estimates import Estimate


def verdicts() -> str:
    """Every claim with its verdict, and the comparisons that have results."""
    found = [finding for state in states() for finding in state.findings]
    return "\n\n".join(
        f"## {say(claim.title)}\n\n{claim_text(claim, [one for one in found if one.hypothesis.claim == key])}"
        for key, claim in claims().items()
    )


def claim_text(claim: Claim, findings: Sequence[Finding]) -> str:
    """What stands under a claim's title. The document's own words are in Chinese, and often need no others."""
    parts = [
        f"**{verdict_over(findings)}**",
        *([f"> {claim.words}"] if claim.words else []),
        *([others] if (others := said(claim.english)) else []),
        f"*来源*：{said(claim.sources)}",
    ]
    if claim.measured:
        parts.append(f"*实测*：{said(claim.measured)}")
    if run := begun(findings):
        parts.append(comparisons(run))
    return "\n\n".join(parts)


def said(text: str) -> str:
    """A text of claims.yaml, whose lines may be broken anywhere."""
    return say(" ".join(text.split()))


def verdict_over(findings: Sequence[Finding]) -> str:
    """As in `共 3 项比较：2 项得到支持，1 项尚无定论。另有 4 项比较尚无任何运行。`"""
    run = begun(findings)
    waiting = len(findings) - len(run)
    later = f"{'另有' if run else '有'} {waiting} 项比较尚无任何运行。" if waiting else ""
    if not run:
        return f"未检验。{later}"
    counts = [(verdict, sum(one.verdict == verdict for one in run)) for verdict in StudyVerdict]
    each = "，".join(f"{count} 项{say(verdict)}" for verdict, count in counts if count)
    return f"共 {len(run)} 项比较：{each}。{later}"


def comparisons(findings: Sequence[Finding]) -> str:
    """A table with a row per hypothesis."""
    titles = ("Study", "Outcome", "Expected", "Difference or correlation (95 %)", "Pairs or runs", "p", "Verdict")
    return table([say(title) for title in titles], [_row(finding) for finding in findings])


def _row(finding: Finding) -> tuple[str, ...]:
    n = finding.measured.n
    measured = with_interval(finding.measured)
    return (
        f"`{finding.study}`",
        say(OUTCOMES[finding.hypothesis.outcome].title),
        expectation(finding.hypothesis),
        f"r = {measured}" if isinstance(finding.hypothesis, Relation) else measured,
        str(n) if n == finding.planned else f"{n}/{finding.planned}",
        "–" if finding.p is None else f"{finding.p:.3f}",
        say(finding.verdict),
    )


def expectation(of: Hypothesis | Relation) -> str:
    """What was expected, in words."""
    higher = "高" if of.expected == "higher" else "低"
    if isinstance(of, Relation):
        other, title = (say(OUTCOMES[name].title) for name in (of.foretold_by, of.outcome))
        within = "、".join(say(arm) for arm in of.arms)
        least = f"r ≥ {number(of.matters)}" if of.expected == "higher" else f"r ≤ −{number(of.matters)}"
        return f"“{other}”越高，“{title}”越{higher}（在{within}各自之内）；{least}"
    return f"“{say(of.arm)}”{higher}于“{say(of.than)}”，至少{higher} {number(of.matters)}"


def with_interval(estimate: Estimate) -> str:
    """As in `−3.80（−4.60 至 −3.00）`; without the interval where there is none."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.value)
    return f"{number(estimate.value)}（{number(estimate.low)} 至 {number(estimate.high)}）"
