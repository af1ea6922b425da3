"""What Replay shows of the episodes that were chosen: how far they are made, the player, and their files."""

import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from v3core.archive import file_name
from v3core.charts.replay_timeline import timeline_figure
from v3core.charts.step_view import step_choices
from v3core.errors import V3Error
from v3core.insight.jumps import DISAGREEMENTS, RULES, SWITCHES, VALUE_ERRORS, jumps
from v3core.insight.replays import Replay
from v3core.jobs import replay_making
from v3core.jobs.made_replays import DONE, DRAWING, EXPLAINING, PLAYING, UNFINISHED
from v3core.jobs.replay_files import PICTURES, write_steps
from v3core.jobs.replay_making import Made, Progress, Wanted
from v3core.jobs.replay_making import progress as made_so_far
from v3core.messages import _, spoken
from v3core.store.database import Database
from v3core.ui import replay_frames, replay_steps, shell
from v3core.ui.clicks import or_notice
from v3core.ui.language import PARAMETER
from v3core.ui.replay_choice import Choice
from v3core.ui.replay_player import Jump, View, replay_player
from v3core.ui.text import md, plain

LOOK_SECONDS = 0.5
"""How often a page looks at how far a replay is, while it is being made."""
_BEGUN = "replays-begun"
_STAGES = {
    PLAYING: _("Playing the episode"),
    DRAWING: _("Drawing the frames"),
    EXPLAINING: _("Computing what each layer sees"),
}
_JUMPS = (
    Jump(SWITCHES, _("Next switch"), RULES[SWITCHES], "s"),
    Jump(DISAGREEMENTS, _("Next disagreement"), RULES[DISAGREEMENTS], "d"),
    Jump(VALUE_ERRORS, _("Largest value errors"), RULES[VALUE_ERRORS], "v", ordered=True),
)


def replay(database: Database, chosen: Sequence[Choice]) -> None:
    """Everything below the fields; draws itself again while something is being made."""
    # Once for what was chosen: one that failed or was cancelled is not made again without being asked for.
    wanted = [choice.wanted for choice in chosen]
    with shell.or_stop():
        for one in wanted:
            if one not in st.session_state.get(_BEGUN, ()):
                replay_making.begin(database, one)
    st.session_state[_BEGUN] = wanted
    is_unfinished = any(made_so_far(database, one).stage in UNFINISHED for one in wanted)
    st.fragment(run_every=LOOK_SECONDS if is_unfinished else None)(_shown)(database, chosen, is_unfinished)


def _shown(database: Database, chosen: Sequence[Choice], was_unfinished: bool) -> None:
    """The bars, the player and the files."""
    bars, player = st.container(), st.container()
    found: list[tuple[Choice, Made, Progress]] = []
    is_unfinished = False
    for choice in chosen:
        progress = made_so_far(database, choice.wanted)
        is_unfinished |= progress.stage in UNFINISHED
        with bars, shell.show_errors():
            _bar(database, choice, progress)
        try:
            found.append((choice, replay_making.read_made(database, choice.wanted), progress))
        except V3Error as error:
            if progress.stage not in UNFINISHED and not progress.error:
                bars.error(plain(error), icon=":material/error:")
    if found:
        with player:
            asked = repr([choice.wanted for choice in chosen[:1]])
            views = [_view(*one) for one in found]
            replay_player(views, _JUMPS, key="replay-player", step=_step(), asked=asked)
    if is_unfinished:
        return
    if was_unfinished:
        st.rerun()  # nothing more is coming: no more looking
    if found:
        _files(found)  # not before: a page that is drawn again loses a file that is being written


def _step() -> int:
    asked = st.query_params.get("step", "1")
    return int(asked) if asked.isdecimal() and len(asked) < 10 else 1


def _bar(database: Database, choice: Choice, progress: Progress) -> None:
    """How far one is, with a way to end it; or why it has ended."""
    key = f"{choice.wanted.run_id}-{choice.wanted.episode}-{choice.wanted.seed}"
    if progress.stage in _STAGES:
        bar, button = st.columns([6, 1], vertical_alignment="center")
        said = {"stage": _STAGES[progress.stage], "done": progress.done, "all": progress.total, "replay": choice.title}
        words = (
            md("{stage}, {done:,} of {all:,}: {replay}", **said) if progress.total else md("{stage}: {replay}", **said)
        )
        share = progress.done / progress.total if progress.total else 0.0
        bar.progress(min(share, 1.0), words)
        if button.button(
            md("Cancel"), key=f"cancel-{key}", on_click=replay_making.cancel, args=(database, choice.wanted)
        ):
            st.rerun()
    elif progress.stage != DONE:
        if progress.error:
            st.error(md("{}: {}", choice.title, progress.error), icon=":material/error:")
        else:
            st.info(md("{}: cancelled.", choice.title), icon=":material/cancel:")
        if st.button(
            md("Make it again"),
            key=f"again-{key}",
            icon=":material/refresh:",
            on_click=or_notice(replay_making.begin),
            args=(database, choice.wanted),
        ):
            st.rerun()


def _view(choice: Choice, made: Made, progress: Progress) -> View:
    wanted, inside = choice.wanted, made.inside
    seed = "" if wanted.seed is None else wanted.seed
    query = urlencode({"run": wanted.run_id, "episode": wanted.episode, "seed": seed, PARAMETER: spoken()})
    is_over = progress.stage not in (PLAYING, DRAWING)
    no_frames = made.no_frames or (_("No frames: {error}", error=progress.error) if progress.error else "")
    if not no_frames and is_over and made.frames <= len(made.replay):
        no_frames = _("This frame was not drawn.")
    return View(
        key=repr(wanted),
        title=_("{title} · return {value:.4g}", title=choice.title, value=made.replay.return_),
        steps=len(made.replay),
        timeline=timeline_figure(choice.title, made.replay),
        frames=f"{replay_frames.address()}?{query}" if made.frames or not is_over else "",
        no_frames=no_frames,
        frame_count=made.frames if is_over else None,
        step=f"{replay_steps.address()}?{query}",
        step_known="inside" if inside is not None else made.no_inside,
        choices=step_choices(inside),
        jumps=_jumps(made.replay),
    )


def _jumps(replay: Replay) -> dict[str, list[int] | None]:
    """Steps of each kind; None if they are not known."""
    known: dict[str, list[int] | None] = {**jumps(replay)}
    return known if replay.expert_outputs is not None else known | {DISAGREEMENTS: None}


def _files(found: Sequence[tuple[Choice, Made, Progress]]) -> None:
    """Downloads of the first one; written when they are asked for, pictures by a process of its own."""
    choice, made, _progress = found[0]
    with st.popover(md("Download"), icon=":material/download:"):
        pictures = (("MP4", "mp4", "video/mp4"), ("GIF", "gif", "image/gif")) if made.frames else ()
        tables = (("CSV", "csv", "text/csv"), ("JSON", "json", "application/json"))
        with st.container(horizontal=True):
            for label, suffix, mime in (*pictures, *tables, ("Parquet", "parquet", "application/vnd.apache.parquet")):
                st.download_button(
                    label,
                    partial(_written, choice.wanted, made.replay, suffix),
                    file_name(choice.run, suffix),
                    mime,
                    key=f"replay-{suffix}",
                    on_click="ignore",
                )
        st.caption(
            md(
                "MP4 and GIF have the frames that were drawn, and take some seconds. The others are tables with a "
                "row for each step: action, reward, value, gates and the outputs of each expert."
            )
        )


def _written(wanted: Wanted, replay: Replay, suffix: str) -> bytes:
    """The content of a file."""
    with tempfile.TemporaryDirectory(prefix="v3-replay-") as folder:
        target = Path(folder) / f"replay.{suffix}"
        if suffix not in PICTURES:
            write_steps(target, replay)
            return target.read_bytes()
        command = [*replay_making.command(wanted), "--to", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            words = done.stderr.strip().splitlines()
            raise V3Error(words[-1].removeprefix("Error: ") if words else _("The file cannot be written."))
        return target.read_bytes()
