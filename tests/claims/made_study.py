"""A study of two arms with one hypothesis, and results of its runs."""

from collections.abc import Sequence
from typing import Any, Literal

from v3core.claims.results import Result
from v3core.claims.study import Arm, Hypothesis, Study

OUTCOME = "dead_experts"


def study(
    expected: Literal["higher", "lower"] = "lower",
    matters: float = 2.0,
    outcome: str = OUTCOME,
    best_return: float | None = None,
    **others: Any,
) -> Study:
    """Six seeds of the arms `with` and `without`, of which the first is expected to have less."""
    names: dict[str, Any] = {"claim": "collapse", "outcome": outcome, "arm": "with", "than": "without"}
    hypothesis = Hypothesis(**names, expected=expected, matters=matters, **others)
    return Study(
        name="made",
        question="?",
        environment="CartPole-v1",
        steps=1000,
        seeds=6,
        best_return=best_return,
        arms=tuple(Arm(name=name, curriculum="v3") for name in ("with", "without")),
        hypotheses=(hypothesis,),
    )


def results(first: Sequence[float], second: Sequence[float], outcome: str = OUTCOME) -> list[Result]:
    """Of both arms, seed by seed from 1 on."""
    return [
        Result(arm, seed, f"{arm} {seed}", {outcome: float(value)})
        for arm, values in (("with", first), ("without", second))
        for seed, value in enumerate(values, start=1)
    ]
