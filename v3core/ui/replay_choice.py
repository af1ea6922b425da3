"""Choosing what Replay shows: an episode of a run, and perhaps another one beside it. The address names both.

`?run=ID&episode=N&seed=S`, and beside it `&with=ID&with_episode=N`: after how many training episodes the evaluation
was, or the checkpoint is, and what the environment is reset with; it is the same for both.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from v3core.config import MAX_SEED
from v3core.errors import V3Error
from v3core.insight.replays import MEDIAN, ROLE_WORDS, ROLES, Replay
from v3core.jobs.kept_replays import find_replays, recorded_replays
from v3core.jobs.replay_making import Wanted
from v3core.messages import _, say, translated
from v3core.phrases import capitalised, strung
from v3core.store.database import Database
from v3core.store.history import read_checkpoints, read_phase_changes
from v3core.store.run_row import RunRow
from v3core.store.runs import list_runs, resolve
from v3core.ui.run_picker import option_label, put_into_address
from v3core.ui.text import md, plain

_EPISODE, _SEED, _WITH, _WITH_EPISODE = "replay-episode", "replay-seed", "replay-with", "replay-with-episode"
NOTHING = _("Nothing")
FIRST_SEED = 1
"""Of an episode that is played because none was recorded."""


@dataclass(frozen=True)
class Choice:
    """An episode to look at."""

    run: RunRow
    wanted: Wanted
    title: str


def choose(database: Database, run: RunRow) -> list[Choice]:
    """What the address names and the fields show: one or two. Ends the page with a sentence if there is nothing."""
    episodes = _episodes(database, run)
    if not episodes:
        st.info(
            md(
                "This run has neither an evaluation with replays nor a checkpoint yet. Evaluations record their "
                "episodes; Launch has a setting for how often a run is evaluated."
            ),
            icon=":material/hourglass_empty:",
        )
        st.stop()
    first, second, third, fourth = st.columns([2, 3, 3, 2], vertical_alignment="bottom")
    episode = _pick_episode(first, _("After episode"), _EPISODE, "episode", episodes)
    recorded = find_replays(database, run.id, episode)
    seed = _pick_seed(second, recorded)
    chosen = [Choice(run, Wanted(run.id, episode, seed), _title(run, episodes[episode], recorded, seed))]
    other = _pick_other(third, database)
    if other is not None:
        known = _episodes(database, other)
        if not known:
            fourth.caption(md("That run has no replay and no checkpoint."))
            return chosen
        beside = _pick_episode(fourth, _("Its episode"), _WITH_EPISODE, "with_episode", known)
        shown = _title(other, known[beside], find_replays(database, other.id, beside), seed)
        chosen.append(Choice(other, Wanted(other.id, beside, seed), shown))
    return chosen


def _episodes(database: Database, run: RunRow) -> dict[int, str]:
    """After how many training episodes something can be shown, to words for it; newest first."""
    with_replays = recorded_replays(database, run.id)
    checkpoints = [checkpoint.episode for checkpoint in read_checkpoints(database, run.id)]
    changes = read_phase_changes(database, run.id)
    found: dict[int, str] = {}
    for episode in sorted({*with_replays, *checkpoints}, reverse=True):
        # An evaluation at a boundary is of what was trained before it.
        phase = next((change.name for change in reversed(changes) if change.episode < episode), "")
        words = [f"{episode:,}", *([phase] if phase else []), *([] if episode in with_replays else [_("checkpoint")])]
        found[episode] = strung(" · ", words)
    return found


def _title(run: RunRow, episode: str, recorded: Mapping[str, Replay], seed: int) -> str:
    roles = [role for role, replay in recorded.items() if replay.seed == seed]
    which = (
        _("{roles} episode of the evaluation", roles=strung("/", [ROLE_WORDS[role] for role in roles]))
        if roles
        else _("played with seed {seed}", seed=seed)
    )
    return _("{name} · after episode {episode} · {which}", name=run.name, episode=episode, which=which)


def _pick_episode(place: DeltaGenerator, label: str, key: str, parameter: str, episodes: Mapping[int, str]) -> int:
    asked = st.query_params.get(parameter)
    chosen = next(iter(episodes))
    if asked is not None:
        named = int(asked) if asked.isdecimal() and len(asked) < 10 else -1
        if named in episodes:
            chosen = named
        else:
            st.warning(
                md("There is no replay and no checkpoint at episode {}; episode {:,} is shown.", asked[:20], chosen),
                icon=":material/search_off:",
            )
    st.session_state[key] = chosen
    place.selectbox(
        plain(label),
        list(episodes),
        format_func=lambda episode: translated(episodes.get(episode, str(episode))),
        key=key,
        on_change=_follow,
        args=(key, parameter),
        placeholder=say("Choose an option"),
    )
    return chosen


def _pick_seed(place: DeltaGenerator, recorded: Mapping[str, Replay]) -> int:
    by_seed: dict[int, Replay] = {}
    roles: dict[int, list[str]] = {}
    for role in ROLES:
        if role in recorded:
            by_seed.setdefault(recorded[role].seed, recorded[role])
            roles.setdefault(recorded[role].seed, []).append(role)
    chosen = recorded[MEDIAN].seed if MEDIAN in recorded else FIRST_SEED
    asked = st.query_params.get("seed")
    if asked is not None:
        try:
            chosen = _seed(asked)
        except V3Error as error:
            st.warning(plain(error), icon=":material/search_off:")
    words = {
        seed: _(
            "{capitalize}: return {return_:.4g}, {replay:,} steps",
            capitalize=capitalised(strung("/", [ROLE_WORDS[role] for role in roles[seed]])),
            return_=replay.return_,
            replay=len(replay),
        )
        for seed, replay in by_seed.items()
    }
    options = [*by_seed, *([] if chosen in by_seed else [chosen])]
    st.session_state[_SEED] = chosen
    place.selectbox(
        md("Episode, or a seed"),
        options,
        format_func=lambda seed: translated(words.get(seed, _("Seed {seed}", seed=seed))),
        key=_SEED,
        on_change=_follow,
        args=(_SEED, "seed"),
        accept_new_options=True,
        help=md("Recorded episodes of the evaluation. Type any number to play the episode with that seed."),
        placeholder=say("Choose or add an option"),
    )
    return chosen


def _seed(text: str) -> int:
    digits = text.strip().lower().removeprefix("seed").strip()
    if not digits.isdecimal() or len(digits) > 20 or int(digits) > MAX_SEED:
        raise V3Error(
            "'{text}' is no seed: give a whole number from 0 to {max_seed}.", text=text[:20], max_seed=MAX_SEED
        )
    return int(digits)


def _pick_other(place: DeltaGenerator, database: Database) -> RunRow | None:
    runs = {run.id: run for run in list_runs(database)}
    chosen: str | None = None
    if asked := st.query_params.get("with"):
        try:
            chosen = resolve(database, asked)
        except V3Error as error:
            st.warning(plain(error), icon=":material/search_off:")
    st.session_state[_WITH] = chosen
    place.selectbox(
        md("Beside it, the same seed"),
        list(runs),
        index=None,
        format_func=lambda run_id: option_label(runs[run_id]) if run_id in runs else translated(NOTHING),
        key=_WITH,
        on_change=_follow,
        args=(_WITH, "with"),
        placeholder=translated(NOTHING),
    )
    return runs.get(chosen or "")


def _follow(key: str, parameter: str) -> None:
    """What is chosen goes into the address, and what depended on it leaves."""
    value = st.session_state[key]
    gone = {"episode": ("step",), "seed": ("step",), "with": ("with_episode",)}.get(parameter, ())
    if parameter == "seed" and isinstance(value, str):
        with suppress(V3Error):  # said where it is read
            value = _seed(value)
    put_into_address(*gone, **{parameter: "" if value is None else str(value)})
