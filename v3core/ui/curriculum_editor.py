"""The curricula of a launch: presets, an editable table of phases, and others to compare with; each with its errors."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

import streamlit as st

from v3core.config import Recipe, build_run_config
from v3core.curriculum import (
    KNOBS,
    Curriculum,
    Length,
    Until,
    check_environment_named,
    environments_of,
    presets,
    renamed,
    scaled_to,
)
from v3core.curriculum.knobs import SETTINGS
from v3core.curriculum.table import COMMON, FURTHER, Checked, PhaseRow, end_of, from_rows, further_in_use, to_rows
from v3core.curriculum.typed import HOW_TO_WRITE_AN_END, format_end
from v3core.environment_setup import EnvironmentSetup
from v3core.environments.nethack.ids import how_to_install, is_installed, package_of
from v3core.errors import V3Error
from v3core.messages import _, say, several, spoken, translated
from v3core.phrases import listed
from v3core.ui.environment_choice import run_problem
from v3core.ui.option_labels import follow_language
from v3core.ui.text import md, plain

_STATE = "curriculum-editor"
MIN_FIELD_WIDTH = 130
"""Pixels: the longest title and the longest name of a routing fit."""
HOW_TO_WRITE = _(
    "A value is a number (0.5), a multiple of the recipe's base value (×0.5), or a ramp over the phase (1 → 0.5, or "
    "1 → 0.5 cosine). An empty field keeps the previous value; the first phase starts from the recipe. A phase ends "
    "at an episode (1000), at a step (step 50000) or on a trigger (return ≥ 450 (100))."
)
FROM_A_FILE = _("From a file")
AS_BEFORE = _("As in the run")
UNCHANGED = _("unchanged")
"""What an empty field of a later phase means."""
_CHOICES = {name: setting.allowed for name, setting in SETTINGS.items() if isinstance(setting.allowed, tuple)}
"""Of settings that are chosen from a list."""
_OTHERS: Mapping[str, str] = {
    FROM_A_FILE: _("Your own curriculum, as a YAML file."),
    AS_BEFORE: _("The curriculum of that run, including edits made while it trained."),
}


@dataclass(frozen=True)
class _Table:
    """The rows of one browser tab, before they are edited."""

    key: tuple[str, bool, bool]
    """The source, whether it is scaled, and whether to environment steps."""
    length: Length
    name: str
    """Part of the keys of its fields: other rows get other fields, and the same rows in a copied address the same."""
    rows: list[PhaseRow]
    filled: list[PhaseRow]
    """The rows as they came from the source."""


def curriculum_editor(source: Curriculum, *, source_key: str, length: Length, scale: bool) -> Checked:
    """Show `source` as rows to edit and return what the rows spell now.

    Args:
        source: what the rows are filled from when `source_key`, its name, changes.
        source_key: see above.
        length: of the run.
        scale: whether boundaries follow that length in proportion.
    """
    rows = _rows(source, source_key, length, scale)
    st.caption(md(HOW_TO_WRITE))
    further = further_in_use(rows)
    if st.toggle(md("More settings"), key="more-knobs", bind="query-params", help=md("Show all settings of a phase.")):
        further = FURTHER
    shown = [_show_row(index, row, len(rows), further) for index, row in enumerate(rows)]
    edited = [row for row, _ in shown]
    checked = from_rows(
        edited,
        name=source.name,
        episodes=length.episodes,
        steps=length.steps,
        description=source.description,
        policy=source.policy,
    )
    for index, problem in checked.problems.items():
        shown[index][1].markdown(md(":red[:material/error: {}]", problem))
    st.button(md("Add a phase"), icon=":material/add:", key="add-phase", on_click=_add_phase, args=(edited, length))
    if checked.curriculum is not None and edited != _table().filled:
        return replace(checked, curriculum=renamed(checked.curriculum))
    return checked


def _rows(source: Curriculum, source_key: str, length: Length, scale: bool) -> list[PhaseRow]:
    """The rows to show; filled again when the source, or the length that it is scaled to, has changed."""
    key = (source_key, scale, length.is_by_steps)
    table: _Table | None = st.session_state.get(_STATE)
    if table is None or table.key != key:
        _fill(_fitted(source, length, scale), key, length)
    elif scale and table.length != length:
        current = _current_rows()
        if current == table.filled:
            _fill(_fitted(source, length, scale), key, length)
        else:
            _fill([_moved(row, table.length, length) for row in current], key, length, filled=table.filled)
    return _current_rows()


def _fitted(source: Curriculum, length: Length, scale: bool) -> list[PhaseRow]:
    with suppress(V3Error):  # the run is too short: the rows show what is wrong with each boundary
        return to_rows(scaled_to(source, length) if scale else source)
    return to_rows(source)


def _moved(row: PhaseRow, old: Length, new: Length) -> PhaseRow:
    """The row with an end in the unit of the run's length in proportion; other ends stay."""
    end = end_of(row)
    if end is not None and end.episode is not None and not new.is_by_steps:
        return replace(row, until=str(max(1, round(end.episode * new.episodes / old.episodes))))
    if end is not None and end.step is not None and new.steps and old.steps:
        return replace(row, until=format_end(Until(step=max(1, round(end.step * new.steps / old.steps)))))
    return row


def _fill(
    rows: list[PhaseRow], key: tuple[str, bool, bool], length: Length, filled: list[PhaseRow] | None = None
) -> None:
    source, is_scaled, by_steps = key
    name = f"{source}:{length.steps if by_steps else length.episodes}" if is_scaled else source
    if filled is not None:  # rows that nobody else has: with the same name, fields would keep what was typed before
        name = f"{name}:{uuid4().hex[:6]}"
    st.session_state[_STATE] = _Table(key, length, name, rows, rows if filled is None else filled)


def _table() -> _Table:
    table: _Table = st.session_state[_STATE]
    return table


def _current_rows() -> list[PhaseRow]:
    """The rows as last edited: what the widgets hold, or the filled ones where no widget has been shown yet."""
    rows = []
    for index, row in enumerate(_table().rows):
        keys = {field: _key(index, field) for field in (*COMMON, *FURTHER)}
        held = {field: st.session_state[key] for field, key in keys.items() if key in st.session_state}
        # Otherwise it is the label of one that is not set, perhaps in the language before.
        held |= {name: held[name] if held[name] in _CHOICES[name] else None for name in held.keys() & _CHOICES.keys()}
        rows.append(replace(row, **held))
    return rows


def _key(index: int, field: str) -> str:
    return f"phase-{_table().name}-{index}-{field}"


def _show_row(
    index: int, row: PhaseRow, count: int, further: tuple[str, ...]
) -> tuple[PhaseRow, st.delta_generator.DeltaGenerator]:
    """One of `count` rows; returns it as edited, and the place of its error."""
    last = index == count - 1
    with st.container(border=True, key=f"phase-row-{index + 1}"):
        with st.grid("auto", min_column_width=MIN_FIELD_WIDTH, vertical_alignment="bottom"):
            name = (
                st.text_input(
                    md("Phase {}", index + 1), row.name, key=_key(index, "name"), max_chars=40, bind="query-params"
                )
                or ""
            )
            if last:
                # With the same key Streamlit would keep the text of the language before.
                st.text_input(md("Ends"), say("end of run"), key=_key(index, f"end-{spoken()}"), disabled=True)
                until = ""
            else:
                until = (
                    st.text_input(
                        md("Ends"),
                        row.until,
                        key=_key(index, "until"),
                        bind="query-params",
                        help=md(HOW_TO_WRITE_AN_END),
                    )
                    or ""
                )
            typed: dict[str, Any] = {field: _field(index, row, field) for field in (*COMMON[2:], *further)}
            typed |= {"name": name, "until": until}
            st.button(
                md("Remove phase {}", index + 1),
                icon=":material/close:",
                key=_key(index, "remove"),
                disabled=count == 1,
                type="tertiary",
                wrap=True,
                on_click=_remove_phase,
                args=(index,),
            )
        return replace(row, **typed), st.empty()


def _unset(index: int, field: str) -> str:
    """What an empty setting means: nothing comes before the first phase."""
    if index:
        return UNCHANGED
    return _("from the recipe") if field in KNOBS and KNOBS[field].from_recipe else _("default")


def _field(index: int, row: PhaseRow, field: str) -> str | None:
    return setting_field(row, field, key=_key(index, field), unset=_unset(index, field), addressed=True)


def setting_field(row: PhaseRow, field: str, *, key: str, unset: str, addressed: bool = False) -> str | None:
    """One setting of one phase, typed or chosen; `unset` is what an empty field means. It may be in the address."""
    bind: Literal["query-params"] | None = "query-params" if addressed else None
    setting = SETTINGS[field]
    title, meaning = plain(setting.title), plain(setting.meaning)
    if isinstance(setting.allowed, tuple):
        options = ["", *setting.allowed]  # not None: for Streamlit that is no choice, which it does not send again

        def label(choice: str) -> str:
            return choice or str(translated(unset))

        follow_language(key, options, label)
        return (
            st.selectbox(
                title,
                options,
                index=options.index(getattr(row, field) or ""),
                format_func=label,
                key=key,
                bind=bind,
                help=meaning,
                placeholder=say("Choose an option"),
            )
            or None
        )
    return (
        st.text_input(title, getattr(row, field), key=key, bind=bind, placeholder=translated(unset), help=meaning) or ""
    )


def _replace_rows(rows: list[PhaseRow]) -> None:
    table = _table()
    _fill(rows, table.key, table.length, filled=table.filled)


def _add_phase(rows: list[PhaseRow], length: Length) -> None:
    """After the last: it ends in the middle of what is left, in the unit of the run's length."""
    unit, whole = ("step", length.steps or 0) if length.is_by_steps else ("episode", length.episodes)
    ends = [getattr(end, unit) or 0 for row in rows[:-1] if (end := end_of(row)) is not None]
    start = max(ends, default=0)
    middle = min(start + max((whole - start) // 2, 1), whole)
    ended = replace(rows[-1], until=format_end(Until.model_validate({unit: middle})))
    _replace_rows([*rows[:-1], ended, PhaseRow(_("phase {value}", value=len(rows) + 1))])


def _remove_phase(index: int) -> None:
    rows = _current_rows()
    del rows[index]
    _replace_rows([*rows[:-1], replace(rows[-1], until="")])


def presets_for(env: str) -> list[str]:
    """Names of the presets that can train on `env`."""
    return _presets_for(env, tuple(presets.preset_names()))


@st.cache_data(max_entries=64, show_spinner=False)
def _presets_for(env: str, names: tuple[str, ...]) -> list[str]:  # noqa: ARG001  others once one is saved
    return presets.preset_names_for(env)


def _descriptions() -> dict[str, str]:
    return _described(tuple(presets.preset_names()))


@st.cache_data(max_entries=1, show_spinner=False)
def _described(names: tuple[str, ...]) -> dict[str, str]:
    return {name: _description(name) for name in names}


def _description(name: str) -> str:
    try:
        return _(presets.load_preset(name).description)
    except V3Error as error:
        return error.message


def pick_preset(env: str, *, as_before: bool = False) -> str:
    """The name of a preset for `env`, or `FROM_A_FILE`; or `AS_BEFORE`, offered if a run is launched again."""
    descriptions, fitting = _descriptions(), presets_for(env)
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    offered = [*([AS_BEFORE] if as_before else []), *fitting, FROM_A_FILE]
    follow_language("curriculum", offered, translated)
    preset: str = left.selectbox(
        md("Preset"),
        offered,
        format_func=translated,
        key="curriculum",
        bind="query-params",
        placeholder=say("Choose an option"),
    )
    right.markdown(plain(descriptions.get(preset) or _OTHERS[preset]))
    absent = [name for name in descriptions if name not in fitting]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        if absent:
            st.caption(plain(_absent_presets(absent, env)), width="stretch")
            for name in absent:
                _say_what_is_missing(name)
        with st.popover(md("What each preset does"), icon=":material/menu_book:", type="tertiary"):
            for name in fitting:
                st.markdown(md("**{}**  \n{}", name, descriptions[name]))
    return preset


def _say_what_is_missing(name: str) -> None:
    """The optional package that a preset's environments are of, if it is not installed."""
    packages = {package_of(env) for env in environments_of(presets.load_preset(name))}
    for package in filter(None, packages):
        if not is_installed(package):
            st.caption(
                md(
                    "{name} needs the Python package {package}, which is not installed; {how}.",
                    name=name,
                    package=package,
                    how=how_to_install(),
                ),
                width="stretch",
            )


def _absent_presets(names: list[str], env: str) -> str:
    """How many presets are not offered for `env`, which, and why."""
    return several(
        "{count:,} preset is not available: {names} has its own environments, which do not include {env}.",
        "{count:,} presets are not available: {names} have their own environments, which do not include {env}.",
        count=len(names),
        names=listed(names),
        env=env,
    )


def chosen_curriculum(preset: str, env: str, as_before: Curriculum | None) -> tuple[Curriculum | None, list[str]]:
    """The curriculum to edit, if any, and its errors, which are also shown; `preset` as of `pick_preset`."""
    if preset not in _OTHERS:
        return presets.load_preset(preset), []
    source = as_before if preset == AS_BEFORE else _uploaded()
    if source is None:
        return None, [_("Choose a curriculum file.")]
    try:
        check_environment_named(source, env)
    except V3Error as error:
        st.error(plain(error))
        return source, [error.message]
    return source, []


def _uploaded() -> Curriculum | None:
    """The curriculum of an uploaded file, or None; errors are shown next to the field."""
    upload = st.file_uploader(md("Curriculum file"), type=["yaml", "yml"], key="file")
    if upload is None:
        return None
    try:
        return presets.parse(upload.getvalue().decode("utf-8"), subject=_("Curriculum file {name}", name=upload.name))
    except UnicodeDecodeError:
        st.error(md("Curriculum file {} is not text; it must be YAML in UTF-8.", upload.name))
    except V3Error as error:
        st.error(plain(error))
    return None


def compare_with(
    env: EnvironmentSetup, own: Curriculum | None, length: Length, recipe: Recipe, *, scale: bool
) -> tuple[list[Curriculum], list[str]]:
    """More presets to train besides `own`, scaled to the run's length; and why others do not fit, as is also shown.

    Where steps alone are planned, they are scaled only with `scale`.
    """
    scale = scale or not length.is_by_steps
    chosen = st.multiselect(
        md("Compare with"),
        [name for name in presets_for(env.env_id) if own is None or name != own.name],
        key=f"compare-with:{env.env_id}",
        placeholder=say("No other curriculum"),
        help=md(
            "Each is scaled to the length of the run and trained with the same seeds. All runs form one experiment."
        )
        if scale
        else md("Each keeps its own phase ends and is trained with the same seeds. All runs form one experiment."),
    )
    fitting: list[Curriculum] = []
    problems: list[str] = []
    for name in chosen:
        try:
            curriculum = presets.load_preset(name)
            curriculum = scaled_to(curriculum, length) if scale else curriculum
            build_run_config(name=name, env=env, seed=0, **vars(length), curriculum=curriculum, recipe=recipe)
            if problem := run_problem(env, curriculum):
                raise V3Error(problem)
            fitting.append(curriculum)
        except V3Error as error:
            problems.append(error.message)
            st.error(plain(error))
    return fitting, problems
