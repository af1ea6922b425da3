"""The claims of the founding document, with what their sources say: data/claims.yaml."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from v3core.claims.findings import Finding, StudyVerdict, findings_of
from v3core.claims.results import Result, current, expected_at_first, outdated, read_results
from v3core.claims.study import Fixed, Hypothesis, Relation, Study, keys_of, load_study, study_files
from v3core.errors import V3Error, explained
from v3core.messages import Message, _, several
from v3core.paths import shipped
from v3core.phrases import listed


class Claim(BaseModel):
    """What the document says, and what is known of it from elsewhere; messages of the catalogues, each on one line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Annotated[str, Field(min_length=1)]
    words: str = ""
    """The document's own; none of a claim that it does not make."""
    english: str
    sources: str
    """What the papers that it cites really say."""
    measured: str = ""
    """What a benchmark or a test, and not a study, says of it."""
    standing: str = ""
    """What is known of it in a few words, as long as no study says it: `measured by a benchmark`."""

    @field_validator("title", "words", "english", "sources", "measured", "standing")
    @classmethod
    def _on_one_line(cls, text: str) -> str:
        return " ".join(text.split())


@dataclass(frozen=True)
class StudyState:
    """A study with the results that it has so far."""

    study: Study
    results: tuple[Result, ...]
    planned: int
    outdated: int
    """Results of runs with other settings than the study has now; they do not count."""
    findings: tuple[Finding, ...]
    gone: tuple[Hypothesis | Relation, ...] = ()
    """What was expected when its first results were written, and is not compared any more."""


@cache
def claims() -> dict[str, Claim]:
    """All claims by their key, in the order of the file."""
    content = yaml.safe_load(shipped("data", "claims.yaml").read_text(encoding="utf-8"))
    with explained("data/claims.yaml"):
        return {key: Claim.model_validate(entry) for key, entry in content.items()}


def state_of(study: Study) -> StudyState:
    """What is known of a study so far."""
    keys, all_results = keys_of(study), read_results(study)
    results, old = current(all_results, keys), len(outdated(all_results, keys))
    fixed = expected_at_first(study)
    marked = study.marked(fixed)
    gone = tuple(map(_noted, study.missing(fixed or ())))
    return StudyState(marked, tuple(results), len(keys), old, tuple(findings_of(marked, results)), gone)


def _noted(fixed: Fixed) -> Hypothesis | Relation:
    return (Relation if "foretold_by" in fixed else Hypothesis).model_validate(fixed)


def states(names: Sequence[str] = ()) -> list[StudyState]:
    """Of these studies, or of all."""
    return [state_of(load_study(name)) for name in names or sorted(study_files())]


def readable_states() -> tuple[list[StudyState], list[str]]:
    """Of all studies that can be read, and a sentence for each that cannot."""
    found: list[StudyState] = []
    problems: list[str] = []
    for name in sorted(study_files()):
        try:
            found += states([name])
        except V3Error as error:
            problems.append(error.message)
    return found, problems


def standing(claim: Claim, findings: Sequence[Finding]) -> Message:
    """The verdict of the claim's comparisons, or, as long as none has begun, what is known of it otherwise."""
    if claim.standing and not begun(findings):
        return Message(claim.standing, {})
    return verdict_over(findings)


def verdict_over(findings: Sequence[Finding]) -> Message:
    """As in `supported in 2 of 3 comparisons, undecided in 1; 4 have no runs yet`; of one, its verdict alone.

    Comparisons that ask something beside the claim do not count.
    """
    counted = [finding for finding in findings if finding.hypothesis.counts]
    run = begun(counted)
    waiting = len(counted) - len(run)
    counts = [(verdict, sum(one.verdict == verdict for one in run)) for verdict in StudyVerdict]
    seen = [(verdict.words, count) for verdict, count in counts if count]
    said = _of_begun(seen, len(run))
    if not waiting:
        return said
    return several(
        "{verdict}; {count} has no runs yet", "{verdict}; {count} have no runs yet", count=waiting, verdict=said
    )


def _of_begun(seen: Sequence[tuple[Message, int]], runs: int) -> Message:
    if not seen:
        return _("not tested")
    if runs == 1:
        return seen[0][0]
    if len(seen) == 1:
        return _("{verdict} in all {count} comparisons", verdict=seen[0][0], count=runs)
    (first, count), *others = seen
    rest = listed([_("{verdict} in {count}", verdict=verdict, count=own) for verdict, own in others])
    return _("{verdict} in {count} of {all} comparisons, {others}", verdict=first, count=count, all=runs, others=rest)


def begun(findings: Sequence[Finding]) -> list[Finding]:
    """Those with a result of each arm."""
    return [finding for finding in findings if finding.measured.n]
