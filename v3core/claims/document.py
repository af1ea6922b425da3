"""The claims with their verdicts as Markdown: the same words on the page and in docs/claims.md.

`escape` is applied to what the files of studies say, which people may write themselves.
"""

import math
from collections.abc import Callable, Sequence
from statistics import mean

from v3core.claims.findings import Finding, expectation, lowered, mean_and_range, number, too_few_seeds
from v3core.claims.statements import Claim, StudyState, begun, standing
from v3core.claims.study import Hypothesis, Relation
from v3core.claims.study_outcomes import OUTCOMES
from v3core.insight.estimates import with_interval
from v3core.insight.removals import interval
from v3core.insight.significance import LEVEL
from v3core.messages import Message, _, say, translated, translation
from v3core.phrases import capitalised, sentences


def claim_text(claim: Claim, findings: Sequence[Finding], escape: Callable[[str], str] = str) -> str:
    """What stands under a claim's title: its words, what is known, and each comparison."""
    run = begun(findings)
    return "\n\n".join([claim_words(claim, findings), *([comparisons(run, escape)] if run else [])])


def claim_words(claim: Claim, findings: Sequence[Finding]) -> str:
    """Its verdict, its words, and what is known."""
    parts = [
        say("**{verdict}.**", verdict=capitalised(standing(claim, findings))),
        *([f"> {claim.words}"] if claim.words else []),
        # A reader of Chinese has the document's own words already.
        *([] if (said := translation(claim.english)) == claim.words else [said]),
        say("*Sources.* {text}", text=translation(claim.sources)),
    ]
    if claim.measured:
        parts.append(say("*Measured.* {text}", text=translation(claim.measured)))
    return "\n\n".join(parts)


def how_verdicts_follow() -> str:
    """The rule, and what of it was not fixed before the first run."""
    return "\n\n".join(
        (
            say(
                "A study is a file in `data/experiments/`: its arms, its outcomes and the smallest difference that "
                "matters. Arms are compared at equal environment steps, seed by seed. The verdict follows from the 95"
                " % interval of the mean difference, by Student's t, once all pairs of seeds have a result; until "
                "then it is *undecided*. First, it is *no room* if the arm that is compared with is so near the best "
                "value there is (a return of 500, no dead expert) that a difference that matters could not have been "
                "seen, and the interval is not wholly on the other side of 0. Otherwise it is *not supported* if all "
                "of the interval is below what matters; *supported* if all of it is on the expected side of 0, p is "
                "below {level} and the difference is at least what matters; and else *undecided*.",
                level=LEVEL,
            ),
            say(
                "p is of the paired permutation test, corrected by Holm's method for the comparisons of the study; of "
                "the many intervals, one in twenty misses its value by chance. A correlation is over seeds, of each "
                "the mean of its runs, because two curricula that begin alike train the same network until they "
                "part; its interval is Fisher's, its p that of Student's t."
            ),
            say(
                "Not all of this was fixed before the first run. When results of collapse-cartpole were known, one of "
                "its outcomes was changed, and so was the rule: Student's t, the corrected p and all pairs of seeds in "
                "place of a bootstrap. *No room*, correlations over seeds, and which comparisons a claim counts came "
                "when more than 300 runs were known (28 November 2026); the rule of what counts is that a comparison "
                "tests the claim's own words. What was changed in a comparison, or added, after results were known "
                "stands beside it; with its first results a study notes what was expected, so that a comparison that "
                "does not say so itself is marked. The file of collapse-cartpole came into the repository together "
                "with its first results, so its order cannot be seen there."
            ),
        )
    )


def comparisons(findings: Sequence[Finding], escape: Callable[[str], str] = str) -> str:
    """A table with a row per hypothesis."""
    titles = (
        _("Study"),
        _("Outcome"),
        _("Expected"),
        _("Difference or correlation (95 %)"),
        _("Seeds"),
        "p",
        _("Verdict"),
    )
    return table(titles, [_row(finding, escape) for finding in findings])


def _row(finding: Finding, escape: Callable[[str], str]) -> tuple[str, ...]:
    n = finding.measured.n
    measured = with_interval(finding.measured, number)
    return (
        escape(finding.study),
        OUTCOMES[finding.hypothesis.outcome].title,
        escape(_expected(finding)),
        _("r = {measured}", measured=measured) if isinstance(finding.hypothesis, Relation) else measured,
        str(n) if n == finding.planned else _("{measured} of {planned}", measured=n, planned=finding.planned),
        "–" if finding.p is None else f"{finding.p:.3f}",
        finding.verdict_words,
    )


def _expected(finding: Finding) -> str:
    """With its note, and what was changed in it."""
    of = finding.hypothesis
    beside = [translation(text) for text in of.beside]
    expected = expectation(of)
    return str(translated(sentences(_("{expectation}.", expectation=expected), *beside) if beside else expected))


def study_text(state: StudyState, escape: Callable[[str], str] = str) -> str:
    """What stands under a study's name: its question, how far it is, and its arms."""
    study = state.study
    expected = [outcome for one in study.expectations for outcome in one.outcomes]
    shown = list(dict.fromkeys([*expected, *_ALSO]))
    counts = {arm.name: sum(result.arm == arm.name for result in state.results) for arm in study.arms}
    rows = [
        (
            escape(translation(arm.name)),
            str(counts[arm.name]),
            *(with_interval(mean_and_range(state.results, arm.name, name), number) for name in shown),
        )
        for arm in study.arms
    ]
    how_it_runs: Message = _(
        "{environment}, {steps:,} environment steps, {seeds} seeds of each arm; {results} of {planned} runs have a "
        "result. Run by `v3lab claims {study} --run`.",
        environment=escape(study.environment),
        steps=study.steps,
        seeds=study.seeds,
        results=len(state.results),
        planned=state.planned,
        study=study.name,
    )
    seconds = [taken for result in state.results if math.isfinite(taken := result.value("seconds"))]
    if seconds:
        took = _("A run took {minutes:.1f} minutes of training on average.", minutes=mean(seconds) / 60)
        how_it_runs = sentences(how_it_runs, took)
    return "\n\n".join(
        (
            escape(translation(study.question)),
            translated(how_it_runs),
            *([translated(few)] if (few := too_few_seeds(study)) else []),
            say("Of each arm the mean over its seeds, in brackets the lowest and the highest of them."),
            table((_("Arm"), _("Runs"), *(OUTCOMES[name].title for name in shown)), rows),
            *_successes(state, escape),
            *([comparisons(state.findings, escape)] if state.findings else []),
            *(escape(str(translated(gone_words(one)))) for one in state.gone),
            *(escape(translation(remark)) for remark in study.remarks if state.results),
        )
    )


def gone_words(one: Hypothesis | Relation) -> Message:
    """That it was expected when the first results were written, and is not compared any more."""
    outcome = OUTCOMES[one.outcome].title if one.outcome in OUTCOMES else one.outcome
    return _(
        "Expected with the first results, and no longer so: {outcome}, {expectation}.",
        outcome=lowered(outcome),
        expectation=expectation(one),
    )


def _successes(state: StudyState, escape: Callable[[str], str]) -> list[str]:
    """Of a study on several environments, a table of the success rate in each; none as long as no run has it."""
    tasks = sorted({task for result in state.results for task in result.successes()})
    if not tasks:
        return []
    rows = []
    for arm in state.study.arms:
        found = [result.successes() for result in state.results if result.arm == arm.name]
        means = [interval([one[task] for one in found if task in one]).mean for task in tasks]
        rows.append((escape(translation(arm.name)), *map(number, means)))
    return [
        say("Success rate of the evaluation after training in each environment, mean over seeds:"),
        table((_("Arm"), *map(escape, tasks)), rows),
    ]


_ALSO = ("dead_experts", "evaluation_return", "knockout_drop", "needed_experts")


def outcome_table() -> str:
    """What each outcome means."""
    return table(
        (_("Outcome"), _("Key"), _("Meaning")), [(one.title, f"`{key}`", one.meaning) for key, one in OUTCOMES.items()]
    )


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, in the reader's language."""
    lines = [[str(translated(cell)) for cell in line] for line in (titles, ["---"] * len(titles), *rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
