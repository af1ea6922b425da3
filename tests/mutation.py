"""Mutation testing: `make mutation MODULE=charts` changes the code of a package in small ways, and runs its tests.

A mutant that no test notices is printed as a diff; docs/testing.md has the scores. mutmut makes and runs the mutants.
"""

import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import libcst as cst
from mutmut import __main__ as mutmut
from mutmut import configuration
from mutmut.mutation import file_mutation, mutators
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

SEED = 17
"""Of the sample: the same code has the same mutants."""
_TEXT = {"operator_string", "operator_dict_arguments", "operator_assignment", "operator_lambda", "operator_arg_removal"}
"""Texts are read by the tests of pages, and None where a number belongs by the type checker."""


@dataclass(frozen=True)
class Module:
    """What is changed, and the tests that are to notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    share: float = 1.0
    """Of the mutants: a sample where all of them would take hours."""


MODULES = {
    "training": Module(
        ("v3core/training/*.py",),
        tuple(
            f"tests/training/test_{name}.py"
            for name in (
                *("action_masks", "adam", "advantages", "checkpoint", "collapsed_routing", "expert_report", "knockout"),
                *("inference", "learned_numbers", "losses", "ppo", "rollout", "statistics", "tape", "trainer", "views"),
            )
        ),
        0.2,
    ),
    "curriculum": Module(("v3core/curriculum/*.py",), ("tests/curriculum", "tests/charts/test_series.py"), 0.2),
    "charts": Module(("v3core/charts/*.py",), ("tests/charts", "tests/ui/test_drawn_numbers.py"), 0.1),
    "insight": Module(
        ("v3core/insight/*.py", "v3core/insight/alarms/*.py"),
        (
            *("tests/insight", "tests/ui/test_drawn_numbers.py", "tests/charts/test_step_view.py"),
            *("tests/training/test_explaining.py", "tests/training/test_expert_report.py"),
        ),
        0.15,
    ),
    "rollups": Module(
        ("v3core/rollup.py", "v3core/store/rollups.py"),
        ("tests/test_rollup.py", *(f"tests/store/test_{name}.py" for name in ("rollups", "curve", "phase_sums"))),
        0.3,
    ),
}


def sampled(share: float) -> Any:
    """`create_mutations` of mutmut, with a part of the mutants."""
    make = file_mutation.create_mutations

    def create(filename: str, *arguments: Any) -> Any:
        module, mutations, *ignored = make(filename, *arguments)
        random = Random(f"{SEED} {Path(filename).as_posix()}")
        return module, [one for one in mutations if random.random() < share], *ignored

    return create


def without_argument(call: cst.Call) -> Iterator[cst.Call]:
    """A call without one of its named arguments, so that the default is in force."""
    for place, argument in enumerate(call.args):
        if argument.keyword is not None:
            yield call.with_changes(args=[*call.args[:place], *call.args[place + 1 :]])


def prepare(module: Module) -> None:
    """Configure mutmut, which reads its configuration from pyproject.toml."""
    configuration._config = replace(
        configuration.config(),
        only_mutate=list(module.files),
        pytest_add_cli_args_test_selection=[*module.tests, "-m", "not slow and not browser", "-k", "not postgresql"],
    )
    kept = [(node, operator) for node, operator in mutators.mutation_operators if operator.__name__ not in _TEXT]
    setattr(file_mutation, "mutation_operators", [*kept, (cst.Call, without_argument)])  # noqa: B010
    setattr(file_mutation, "create_mutations", sampled(module.share))  # noqa: B010


def results() -> Iterator[tuple[Path, str, str]]:
    """File, name and fate of each mutant."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        yield from ((path, name, status_by_exit_code[code]) for name, code in data.exit_code_by_key.items())


def report(found: Iterable[tuple[Path, str, str]]) -> None:
    """Print the mutants that no test noticed, and how many were."""
    found = list(found)
    for path, name, fate in found:
        if fate not in ("killed", "timeout"):
            print(f"\n{fate}: {name}\n{get_diff_for_mutant(name, path=path)}")
    killed = sum(fate in ("killed", "timeout") for *_, fate in found)
    print(f"\n{killed} of {len(found)} mutants were noticed, {killed / max(len(found), 1):.0%}.")


def main() -> None:
    """Run the mutants of the module that is named."""
    names = sys.argv[1:]
    if len(names) != 1 or names[0] not in MODULES:
        sys.exit(f"Name one module, as in `make mutation MODULE=charts`; there are {', '.join(MODULES)}.")
    shutil.rmtree("mutants", ignore_errors=True)
    prepare(MODULES[names[0]])
    mutmut._run((), max_children=2)
    report(results())


if __name__ == "__main__":
    main()
