"""The environments of a run: its own, and those that phases name."""

from collections.abc import Collection

from v3core.curriculum import Curriculum, setup_at, setups_of
from v3core.environment_setup import EnvironmentSetup, setup_of
from v3core.environments.registry import check_environment
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error


def imports_of(run: EnvironmentSetup, curricula: Collection[Curriculum]) -> set[str]:
    """What a run and its phases name that imports code, under any of its curricula."""
    named = {name for curriculum in curricula for setup in setups_of(run, curriculum) for name in setup.imports}
    return {*run.imports, *named}


def check_all(run: EnvironmentSetup, curricula: Collection[Curriculum], *, allow_import: bool) -> None:
    """Refuse a run that cannot be trained on under one of several curricula.

    Raises:
        V3Error: as `check_run`.
    """
    check_environment(run, allow_import=allow_import)
    for curriculum in curricula:
        if setups_of(run, curriculum) != [run]:
            check_run(run, curriculum, allow_import=allow_import)


def check_run(run: EnvironmentSetup | str, curriculum: Curriculum, *, allow_import: bool) -> EnvironmentSpec:
    """The state graph and actions that one policy needs for every environment of a run.

    Raises:
        V3Error: if one of them cannot be trained on, or a phase's differs in its observations or actions.
    """
    run = setup_of(run)
    spec = check_environment(run, allow_import=allow_import)
    seen = [run]
    for index, phase in enumerate(curriculum.phases):
        setup = setup_at(run, curriculum, index)
        if setup in seen:
            continue
        seen.append(setup)
        other = check_environment(setup, allow_import=allow_import)
        what = "observations" if other.graph != spec.graph else "actions" if other.actions != spec.actions else None
        if what is not None:
            raise V3Error(
                f"Phase '{phase.name}' trains on {setup}, whose {what} are not like those of {run}; "
                "one policy needs the same in every phase."
            )
    return spec
