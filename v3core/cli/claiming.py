"""The studies that test the claims: what they say so far, and running what is missing."""

from typing import TYPE_CHECKING, Any

import click

from v3core.cli.common import commands, json_option, opened
from v3core.errors import V3Error
from v3core.jobs.sweep import parse_seeds
from v3core.messages import _
from v3core.output import echo, echo_json
from v3core.phrases import stored, strung

if TYPE_CHECKING:
    from v3core.claims.findings import Finding
    from v3core.claims.statements import StudyState


@commands.command()
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--run", "is_run", is_flag=True, help="Run what has no result yet, and wait until it is complete.")
@click.option("--seeds", metavar="S", help="Run these seeds only, as in 1-3; default: those of each study.")
@json_option
def claims(studies: tuple[str, ...], is_run: bool, seeds: str | None, as_json: bool) -> int:
    """The studies that put the claims to the test: the verdict on each hypothesis, and with --run, their runs.

    Without a STUDY all of them. A run that has a result is not run again: interrupt it at any time, and call it again.
    """
    from v3core.claims.running import run_study
    from v3core.claims.statements import states
    from v3core.claims.study import load_study, runs_of, study_files

    if seeds is not None and not is_run:
        raise V3Error("--seeds chooses what is run; give --run with it.")
    missing = 0
    names = list(dict.fromkeys(studies)) or sorted(study_files())
    loaded = [load_study(name) for name in names]
    if is_run:
        chosen = None if seeds is None else parse_seeds(seeds)
        for study in loaded:
            runs_of(study, chosen)
        with opened() as database:
            missing = sum(
                run_study(database, study, seeds=chosen, say=lambda line: echo(line, err=True)) for study in loaded
            )
    found = states(names)
    if as_json:
        echo_json([_plain(state) for state in found])
    for state in found if not as_json else ():
        _print(state)
    return int(missing > 0)  # so that `make claims` stops: which runs, and why, has been said


def _print(state: "StudyState") -> None:
    from v3core.claims.document import gone_words
    from v3core.claims.findings import sentence, too_few_seeds

    study = state.study
    echo(_("{name}: {question}", name=study.name, question=stored(study.question)))
    echo(
        _(
            "  {results} of {planned} runs have a result ({environment}, {steps:,} steps).",
            results=len(state.results),
            planned=state.planned,
            environment=study.environment,
            steps=study.steps,
        )
    )
    if state.outdated:
        echo(
            _(
                "  {results} results are of earlier settings and do not count; --run replaces them.",
                results=state.outdated,
            )
        )
    if few := too_few_seeds(study):
        echo(strung("", ["  ", few]))
    for finding in state.findings:
        said = strung(" ", [sentence(finding), *map(stored, finding.hypothesis.beside)])
        echo(_("  {verdict}: {sentence}", verdict=finding.verdict_words, sentence=said))
    for one in state.gone:
        echo(strung("", ["  ", gone_words(one)]))
    for remark in study.remarks if state.results else ():
        echo(strung("", ["  ", stored(remark)]))


def _plain(state: "StudyState") -> dict[str, Any]:
    return {
        "study": state.study.name,
        "question": state.study.question,
        "environment": state.study.environment,
        "steps": state.study.steps,
        "runs": state.planned,
        "results": len(state.results),
        "outdated": state.outdated,
        "gone": [one.model_dump() for one in state.gone],
        "remarks": list(state.study.remarks),
        "findings": [_plain_finding(one) for one in state.findings],
    }


def _plain_finding(finding: "Finding") -> dict[str, Any]:
    """A difference has `arm`, `than` and `pairs`; a correlation `foretold_by`, `arms` and `seeds`."""
    measured = finding.measured
    of = finding.hypothesis.model_dump()
    value, count = ("difference", "pairs") if "than" in of else ("correlation", "seeds")
    of |= {value: measured.value, "low": measured.low, "high": measured.high, count: measured.n}
    return of | {"p": finding.p, "verdict": str(finding.verdict)}
