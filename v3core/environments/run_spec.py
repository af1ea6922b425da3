"""The environments of a run: its own, and those that phases name."""

from v3core.curriculum import Curriculum
from v3core.environments.registry import check_environment
from v3core.environments.types import EnvironmentSpec
from v3core.errors import V3Error


def environments_of(env: str, curriculum: Curriculum) -> set[str]:
    """The environments of a run: its own, and those that its phases name."""
    return {env, *(phase.env for phase in curriculum.phases if phase.env)}


def check_run(env: str, curriculum: Curriculum, *, allow_import: bool) -> EnvironmentSpec:
    """The state graph and actions that one policy needs for every environment of a run.

    Raises:
        V3Error: if one of them cannot be trained on, or a phase's differs in its observations or actions.
    """
    spec = check_environment(env, allow_import=allow_import)
    for phase in curriculum.phases:
        if phase.env is None or phase.env == env:
            continue
        other = check_environment(phase.env, allow_import=allow_import)
        what = "observations" if other.graph != spec.graph else "actions" if other.actions != spec.actions else None
        if what is not None:
            raise V3Error(
                f"Phase '{phase.name}' trains on {phase.env}, whose {what} are not like those of {env}; "
                "one policy needs the same in every phase."
            )
    return spec
