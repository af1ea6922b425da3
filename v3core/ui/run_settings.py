"""The settings of a run: a summary line (effective routing, network, environment, device) and a table of all."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import streamlit as st
from pydantic.fields import FieldInfo

from v3core.config import PolicyConfig, RunConfig
from v3core.curriculum import Curriculum, Progress, settings_at, setup_at, setups_of
from v3core.environments.describe import stored_seen
from v3core.messages import _, said, say, translation
from v3core.phrases import listed, strung
from v3core.store.database import Database
from v3core.store.history import read_episode
from v3core.store.run_row import RunRow
from v3core.ui.status import counted
from v3core.ui.text import md, plain

_EFFECTIVE = ("routing", "top_k", "top_k_weights", "alpha", "env")
_GRAPHS = {"gatv1": _("graph attention GATv1"), "gatv2": _("graph attention GATv2"), "mlp": _("no message passing")}
_BACKENDS = {"native": _("computed by the native library"), "eager": _("computed by torch")}
_ASKED_FOR = {"auto": _("the CPU, or CUDA if available and faster"), "cpu": _("the CPU"), "cuda": "CUDA"}


def run_settings(database: Database, run: RunRow, curriculum: Curriculum) -> None:
    """One line under the header; what the newest episode was really routed by, else what is planned for the first."""
    values: Mapping[str, Any] | None = read_episode(database, run.id, run.episode)
    if values is None:
        planned = settings_at(curriculum, Progress(0, run.episodes, steps=run.steps), run.config.base.values())
        values = {name: getattr(planned, name) for name in _EFFECTIVE}
        values["env"] = str(run.config.environment.in_phase(planned.env, planned.env_args))
    st.caption(
        md(
            ":material/alt_route: {} · :material/hub: {} · :material/videogame_asset: {} · :material/memory: {}",
            describe_routing(values, run.experts),
            describe_network(run.config.policy),
            " in ".join([str(values["env"] or run.env), *run.config.wrappers]),
            describe_device(run),
        )
    )
    if run.sees:
        st.caption(md(":material/visibility: {}", stored_seen(run.sees)))
    if environments := describe_environments(run.config, curriculum):
        st.caption(plain(environments))


def describe_routing(values: Mapping[str, Any], experts: int) -> str:
    """The routing with what it uses, if known, as in `Routing top 2 of 4 experts, weights renormalised`."""
    routing, alpha, top_k = values["routing"], values.get("alpha"), values.get("top_k")
    if routing == "topk":
        chosen = _("top {top_k:.0f} of {experts} experts", top_k=top_k, experts=experts) if _known(top_k) else "topk"
        weights = values.get("top_k_weights")
        return (
            _("Routing {chosen}, weights {weights}", chosen=chosen, weights=weights)
            if weights
            else _("Routing {chosen}", chosen=chosen)
        )
    return (
        _("Routing entmax, α {alpha:.3g}", alpha=alpha)
        if routing == "entmax" and _known(alpha)
        else _("Routing {routing}", routing=routing)
    )


def describe_device(run: RunRow) -> str:
    """Where the network really computes; before it trains, what was asked for."""
    if run.device is None:
        return _("requests {asked_for}", asked_for=_ASKED_FOR[run.config.device])
    kind, _colon, name = run.device.partition(": ")
    backend = run.config.backend
    computed: list[str] = [_BACKENDS[backend]] if backend else []
    if backend == "native" and run.config.policy.memory != "none":
        computed = [_("the graph computed by the native library, memory and heads by torch")]
    device = f"{'GPU' if kind == 'cuda' else kind.upper()}{f' {name}' if name else ''}"
    return listed([_("on the {device}", device=device), *computed])


def describe_network(policy: PolicyConfig) -> str:
    """Experts, shared ones, graph layers and memory, as in `4 experts, 1 shared, graph attention GATv1, GRU memory`."""
    shared = [_("{shared_experts} shared", shared_experts=policy.shared_experts)] if policy.shared_experts else []
    memory = [_("{upper} memory", upper=policy.memory.upper())] if policy.memory != "none" else []
    return listed([counted(policy.experts, "expert"), *shared, _GRAPHS[policy.graph], *memory])


def describe_environments(config: RunConfig, curriculum: Curriculum) -> str:
    """Which phase trains on which environment; empty if that does not change."""
    if setups_of(config.environment, curriculum) == [config.environment]:
        return ""
    parts = [
        _("{name} on {setup_at}", name=phase.name, setup_at=setup_at(config.environment, curriculum, index))
        for index, phase in enumerate(curriculum.phases)
    ]
    return _("Environments: {parts}.", parts=strung(_(", then "), parts))


def _known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


_LEFT_OUT = {"curriculum", "overrides", "name"}
"""Parts of the configuration that are shown elsewhere on the page."""
NO_VERSION = _("The version of V3 Lab was not recorded.")


def run_parameters(run: RunRow) -> None:
    """All settings of the run as a table; closed at first."""
    expander = st.expander(
        md("Settings"), icon=":material/tune:", key="settings", on_change="rerun", bind="query-params"
    )
    if not expander.open:
        return
    with expander:
        # A table breaks long lines, where a data frame would cut them; two columns fit on a phone.
        rows = [
            {
                _("Setting"): md("**{}**: {}", row["Setting"], row["Meaning"])
                if row["Meaning"]
                else md("**{}**", row["Setting"]),
                _("Value"): md("{} (recipe: {})", row["Value"], row["Recipe"])
                if row["Recipe"]
                else plain(row["Value"]),
            }
            for row in _parameters(run.config)
        ]
        st.table(said(rows), border="horizontal", hide_index=True, height=420, alt=say("All settings of the run"))
        st.caption(
            md(
                "{} Settings from the recipe {}, whose own value is shown if the run differs. Use "
                "these paths with `--set`. Settings of phases are in the curriculum.",
                _("Trained by V3 Lab {version}.", version=run.version) if run.version else NO_VERSION,
                run.config.recipe,
            )
        )


def _parameters(config: RunConfig) -> Iterator[dict[str, str]]:
    """Each setting: its path such as `ppo.epochs`, its value, the recipe's if that differs, and what it means."""
    left_out = _LEFT_OUT | ({"episodes"} if config.length.is_by_steps else set())
    for path, value, meaning in _leaves(config, ""):
        if path.partition(".")[0] not in left_out:
            override = config.overrides.get(path)
            shown, recipe = _shown(value), _shown(override.recipe) if override else ""
            yield {_("Setting"): path, _("Value"): shown, _("Recipe"): recipe, _("Meaning"): meaning}


def _shown(value: Any) -> str:
    return "–" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _leaves(model: Any, prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        path = f"{prefix}{name}"
        if hasattr(type(value), "model_fields"):
            yield from _leaves(value, f"{path}.")
        elif isinstance(value, Mapping):
            yield from ((f"{path}.{key}", entry, _meaning(field)) for key, entry in value.items())
        else:
            shown = ", ".join(map(str, value)) or None if isinstance(value, tuple) else value
            yield path, shown, _meaning(field)


def _meaning(field: FieldInfo) -> str:
    """In the reader's language, without Markdown, which a table does not show."""
    return translation(" ".join((field.description or "").split())).replace("`", "")
