"""Launching a run again: `?from=RUN` opens Launch with the settings of that run."""

from dataclasses import dataclass

import streamlit as st

from v3core.config import Recipe, Scalar
from v3core.curriculum import Architecture, Curriculum
from v3core.errors import V3Error
from v3core.jobs import control
from v3core.overrides import SETTINGS
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run, resolve
from v3core.ui.text import md

PARAMETER = "from"
MAX_TYPED_NAME = 60
"""Characters; leaves space for the parts that are added."""


@dataclass(frozen=True)
class Draft:
    """A run to launch again."""

    run: RunRow
    curriculum: Curriculum
    """The one in force: with what was edited while it trained."""

    @property
    def name(self) -> str:
        """The user's name for it; empty if its name was made of its parts."""
        given = self.run.name.removesuffix(f" · {self.run.config.environment} · seed {self.run.seed}")
        for curriculum in {self.run.curriculum, self.run.config.curriculum.name}:
            given = "" if given == curriculum else given.removesuffix(f" · {curriculum}")
        return given[:MAX_TYPED_NAME]

    def values(self, recipe: Recipe) -> dict[str, Scalar]:
        """Path to value of the settings that differ from those of `recipe`."""
        config, values = self.run.config, {}
        for path, setting in SETTINGS.items():
            if path in config.overrides:
                values[path] = config.overrides[path].value
            elif not _decides(config.curriculum.policy, path):
                values[path] = getattr(getattr(config, setting.section), setting.name)
        return {path: value for path, value in values.items() if value != SETTINGS[path].of(recipe)}


def _decides(policy: Architecture | None, path: str) -> bool:
    """Whether the curriculum, not the recipe, decides this setting of the network."""
    if policy is None:
        return False
    decided = {f"policy.{name}" for name in ("experts", "shared_experts", "graph") if getattr(policy, name) is not None}
    if policy.single_expert:
        decided |= {"policy.experts", "policy.expert_width"}
    if policy.expert_width_times is not None:
        decided.add("policy.expert_width")
    return path in decided


def draft_from_address(database: Database) -> Draft | None:
    """The run in the address, or None; shows an error if there is no such run."""
    wanted = st.query_params.get(PARAMETER)
    if not wanted:
        return None
    try:
        run = get_run(database, resolve(database, wanted))
        curriculum = control.current_curriculum(database, run.id)
        # Its boundaries are meant for the length of this run, whatever its preset was written for.
        meant_for = None if run.length.is_by_steps else run.episodes
        draft = Draft(run, curriculum.model_copy(update={"episodes": meant_for}))
    except V3Error as error:
        st.warning(md("{} The fields below have their default values.", error), icon=":material/search_off:")
        return None
    st.caption(md(":material/replay: These are the settings of **{}**. Change them as you like.", run.name))
    return draft


def launch_again_link(run: RunRow) -> None:
    """A link to Launch with everything of the run in its fields."""
    st.page_link(
        "pages/launch.py",
        label=md("Launch again with changes"),
        icon=":material/replay:",
        query_params={PARAMETER: run.id},
        help=md("Opens Launch with the settings of this run."),
    )
