"""The comparisons of a claim as a picture: every interval on one axis, in multiples of the difference that matters."""

import math
from collections.abc import Sequence

from v3core.charts.figure import Figure
from v3core.charts.forest_plot import LINE_WIDTH, Comparison, forest_figure
from v3core.claims.findings import Finding, StudyVerdict, lowered, number, sentence
from v3core.claims.study import Relation
from v3core.claims.study_outcomes import OUTCOMES
from v3core.insight.estimates import with_interval
from v3core.messages import _, say, translated, translation
from v3core.output import width
from v3core.phrases import listed, sentences


def forest(claim: str, findings: Sequence[Finding]) -> Figure | None:
    """The figure of a claim's comparisons that have an interval; None if there are none.

    Outcomes have different units, and more is expected of some and less of others: each difference is divided by the
    one that matters, and above 0 where it is as expected.
    """
    shown = [finding for finding in findings if _has_interval(finding)]
    if not shown:
        return None
    alt = sentences(say("Differences in multiples of what matters."), *(sentence(finding) for finding in shown))
    verdicts = [verdict.words for verdict in StudyVerdict]
    return forest_figure(f"forest:{claim}", [_comparison(finding) for finding in shown], verdicts, alt=alt)


def _has_interval(finding: Finding) -> bool:
    measured = finding.measured
    ends = (measured.value, measured.low, measured.high)
    return all(end is not None and math.isfinite(end) for end in ends)


def _comparison(finding: Finding) -> Comparison:
    of, measured = finding.hypothesis, finding.measured
    assert measured.low is not None
    assert measured.high is not None
    unit = of.matters if of.expected == "higher" else -of.matters
    low, high = sorted((measured.low / unit, measured.high / unit))
    outcome = translated(OUTCOMES[of.outcome].title)
    title = f"{outcome} · {finding.study}"
    about, numbers = _of_relation(of) if isinstance(of, Relation) else _of_arms(finding)
    said = with_interval(measured, number)
    values = {"measured": said, "count": finding.counted, "least": number(of.matters)}
    template = _("r = {measured}, {count}") if isinstance(of, Relation) else _("difference {measured}, {count}")
    came_to, least = translated(template.filled(**values)), say("{least} or more matters", **values)
    return Comparison(
        measured.value / unit + 0.0,
        low,
        high,
        (title, *about),
        (title, *numbers, came_to, least, translated(finding.verdict_words)),
        finding.verdict.words,
        of.counts,
    )


def _of_arms(finding: Finding) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both arms as a label, and with their means."""
    of = finding.hypothesis
    first, second = (translation(arm) for arm in of.arms)
    means = tuple(
        say("{arm}: {mean}", arm=arm, mean=number(mean))
        for arm, mean in zip((first, second), finding.arms, strict=True)
    )
    both = say("{arm} against {than}", arm=first, than=second)
    return ((both,) if width(both) <= LINE_WIDTH else (first, say("against {arm}", arm=second))), means


def _of_relation(of: Relation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What goes with what, within which arms."""
    lines = (
        say("where {other} is higher", other=lowered(OUTCOMES[of.foretold_by].title)),
        say("within {arms}", arms=listed([translation(arm) for arm in of.arms])),
    )
    return lines, lines
