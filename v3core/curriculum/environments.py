"""Which environment each phase trains on."""

from v3core.curriculum.model import Curriculum
from v3core.environment_setup import EnvArg, EnvironmentSetup


def environment_at(curriculum: Curriculum, index: int) -> tuple[str | None, dict[str, EnvArg]]:
    """Id of the environment that phase `index` trains on, None for the run's, and the arguments that phases set.

    A phase that names an environment begins with no arguments but its own and, where it is the run's, those of the
    run; one that names none changes the arguments it gives.
    """
    env: str | None = None
    args: dict[str, EnvArg] = {}
    for phase in curriculum.phases[: index + 1]:
        if phase.env is not None:
            env, args = phase.env, {}
        args = {**args, **(phase.env_args or {})}
    return env, args


def setup_at(run: EnvironmentSetup, curriculum: Curriculum, index: int) -> EnvironmentSetup:
    """The environment that phase `index` of a run trains on."""
    return run.in_phase(*environment_at(curriculum, index))


def setups_of(run: EnvironmentSetup, curriculum: Curriculum) -> list[EnvironmentSetup]:
    """The environments that a run trains on, in the order of its phases, each once."""
    setups: list[EnvironmentSetup] = []
    for index in range(len(curriculum.phases)):
        setup = setup_at(run, curriculum, index)
        if setup not in setups:
            setups.append(setup)
    return setups
