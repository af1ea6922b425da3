"""Choosing a run: the browser's address names it, so that a link or its copy shows the same."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from v3core.errors import V3Error
from v3core.jobs.lifecycle import ACTIVE
from v3core.messages import _, say
from v3core.store.database import Database
from v3core.store.run_row import RunRow, run_label
from v3core.store.runs import list_runs, resolve
from v3core.ui.language import with_language
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md, plain

_COMPARE = ":material/compare_arrows:"
_KEY = "picked-run"
OF_A_RUN = ("episode", "seed", "step", "with", "with_episode")
"""Parameters of an address that name a part of the run, and mean nothing of another one."""
_KEYS = "picked-runs"
_LONGEST_ID = 40
_SHOWN = "shown-run"
"""Id and name of the run that this tab showed last."""
_COMPARED = "compared-runs"
"""Ids and names of the runs that this tab compared last."""
_OFFERED = 5
"""Experiments that Compare offers while nothing is chosen."""

# Puts a parameter into the address in place, unless the browser has left the page or it is there already.
# `st.query_params` would add an entry to the history, from which "back" leads to a page that adds it again.
_JS = """
export default function ({ data }) {
  const url = new URL(window.location.href);
  const last = url.pathname.split("/").filter(Boolean).pop() ?? "";
  if (last !== data.page || !data.value || url.searchParams.has(data.name)) return;
  url.searchParams.set(data.name, data.value);
  window.history.replaceState(window.history.state, "", url);
}
"""

_address = st.components.v2.component("v3_address", html="<span></span>", js=_JS)


def option_label(run: RunRow) -> str:
    """A run among the options of a picker, which are searched as one types: with its tags."""
    return " · ".join([run_label(run), *([run.tags] if run.tags else [])])


def pick_run(database: Database, place: DeltaGenerator, page: str = "live") -> RunRow:
    """The run that `?run=ID` names (an id may be shortened), else the newest active one, else the newest.

    Ends the page, with a sentence and a way on, if there is none; also if the named run is not there, or the one that
    was shown has been deleted: another run is never shown in its place. The picker is shown in `place`; `page` is the
    last part of the page's address.
    """
    runs = {run.id: run for run in list_runs(database)}
    wanted = st.query_params.get("run")
    missing = _missing(database, wanted, runs)
    if not runs:
        if missing:
            st.warning(plain(missing), icon=":material/search_off:")
        _nothing_to_show(_("No runs yet."), _("Start the demo"))
    chosen = None
    if not missing:
        active = (run.id for run in runs.values() if run.status in ACTIVE)
        chosen = resolve(database, wanted) if wanted else next(active, next(iter(runs)))
    _address(key="address-run", data={"page": page, "name": "run", "value": chosen or ""}, height=1)
    st.session_state[_KEY] = chosen
    place.selectbox(
        md("Run"),
        list(runs),
        index=None if chosen is None else 0,
        format_func=lambda run_id: option_label(runs[run_id]),
        key=_KEY,
        on_change=_follow,
        args=(tuple(runs),),
        placeholder=say("Choose a run"),
        label_visibility="collapsed",
    )
    if chosen is None:
        st.warning(md("{} Choose another run above.", missing), icon=":material/search_off:")
        with st.container(horizontal=True):
            _ways_on(_("All runs"))
        st.stop()
    st.session_state[_SHOWN] = (chosen, runs[chosen].name)
    return runs[chosen]


def _nothing_to_show(sentence: str, home: str) -> NoReturn:
    """End the page with why, and the ways on; `home` is the label of the link to Runs."""
    with st.container(border=True, horizontal_alignment="center", key="empty"):
        st.space("small")
        st.markdown(plain(sentence), text_alignment="center")
        with st.container(horizontal=True, horizontal_alignment="center"):
            _ways_on(home)
        st.space("small")
    st.stop()


def _ways_on(home: str) -> None:
    st.page_link("app.py", label=plain(home), icon=":material/home:")
    st.page_link("pages/launch.py", label=md("Launch a run"), icon=":material/rocket_launch:")


def _missing(database: Database, wanted: str | None, runs: Collection[str]) -> str | None:
    """Why the run that is wanted cannot be shown: it was deleted, or never was there. None if it can."""
    shown, name = st.session_state.get(_SHOWN, (None, ""))
    if shown is not None and shown not in runs and shown.startswith(wanted or ""):
        if not wanted:
            del st.session_state[_SHOWN]  # reported once: opening the page again shows any run
        return _("The run '{name}' was deleted.", name=name)
    if not wanted:
        return None
    if not any(run_id.startswith(wanted) for run_id in runs):
        return _("There is no run '{wanted}'; it may have been deleted.", wanted=wanted[:_LONGEST_ID])
    try:
        resolve(database, wanted)
    except V3Error as error:
        return error.message
    return None


def _follow(offered: Collection[str]) -> None:
    # A browser that still shows a deleted run sends its label, which Streamlit passes on unchanged.
    if st.session_state[_KEY] in offered:
        put_into_address(*OF_A_RUN, run=st.session_state[_KEY])


def pick_runs(database: Database) -> list[RunRow]:
    """The runs that `?runs=ID,ID` names (ids may be shortened), or all of `?experiment=NAME`.

    Ends the page, with a way on, while fewer than two are chosen.
    """
    runs = {run.id: run for run in list_runs(database)}
    if len(runs) < 2:
        found = _("There is only one run") if runs else _("There are no runs yet")
        _nothing_to_show(_("{found}; a comparison needs two.", found=found), _("All runs"))
    gone = _say_deleted(runs)
    chosen = _of_experiment(runs.values())
    for part in filter(None, st.query_params.get("runs", "").split(",")):
        if any(run_id.startswith(part) for run_id in gone):
            continue
        try:
            chosen.append(resolve(database, part))
        except V3Error as error:
            st.warning(plain(error), icon=":material/search_off:")
    st.session_state[_KEYS] = list(dict.fromkeys(chosen))
    st.session_state[_COMPARED] = gone | {run_id: runs[run_id].name for run_id in chosen}
    st.multiselect(
        md("Runs"),
        list(runs),
        format_func=lambda run_id: option_label(runs[run_id]),
        key=_KEYS,
        on_change=_follow_all,
        args=(tuple(runs),),
        placeholder=say("Choose two or more runs"),
    )
    if len(chosen) < 2:
        st.info(md("Choose two or more runs to compare."), icon=":material/compare_arrows:")
        _offer_experiments(list(runs.values()))
        st.stop()
    return [runs[run_id] for run_id in dict.fromkeys(chosen)]


def _say_deleted(runs: Collection[str]) -> dict[str, str]:
    """Ids and names of the runs that this tab compared and that have been deleted since; each is said."""
    compared: dict[str, str] = st.session_state.get(_COMPARED, {})
    gone = {run_id: name for run_id, name in compared.items() if run_id not in runs}
    for name in gone.values():
        st.warning(md("The run '{name}' was deleted.", name=name), icon=":material/delete:")
    return gone


def _follow_all(offered: Collection[str]) -> None:
    put_into_address(runs=",".join(picked for picked in st.session_state[_KEYS] if picked in offered))


def put_into_address(*gone: str, **chosen: str) -> None:
    """What is shown from now on, as one entry in the history.

    Without the zoom into what was shown before, and the entries of its legends that were hidden. Parameters that are
    `gone`, or empty, leave the address.
    """
    left_out = {"experiment", "zoom", "hidden", *gone}
    kept = {name: value for name, value in st.query_params.items() if name not in left_out}
    st.query_params.from_dict(with_language({name: value for name, value in {**kept, **chosen}.items() if value}))


def _of_experiment(runs: Iterable[RunRow]) -> list[str]:
    """All runs of the experiment that the address names, oldest first."""
    name = st.query_params.get("experiment")
    found = [run.id for run in runs if name and run.experiment == name][::-1]
    if name and not found:
        st.warning(
            md("There is no experiment '{name}'; it may have been deleted.", name=plain(name)),
            icon=":material/search_off:",
        )
    return found


def _offer_experiments(runs: Sequence[RunRow]) -> None:
    """Offers the latest experiments, or the two latest runs if there are none."""
    groups: dict[str, int] = Counter(run.experiment for run in runs if run.experiment)
    several = [(name, count) for name, count in groups.items() if count > 1]
    for name, count in several[:_OFFERED]:
        show_here(md("Compare {} ({})", name, counted(count, "run")), _COMPARE, experiment=name)
    if len(several) > _OFFERED:
        st.caption(md("{counted} are listed on Runs.", counted=counted(len(several) - _OFFERED, "older experiment")))
    if not several:
        show_here(md("Compare the two latest runs"), _COMPARE, runs=",".join(run.id for run in runs[:2]))


def compare_link(label: str, **query: str) -> None:
    """A link to the comparison of `runs`, ids with commas between, or of a whole `experiment`."""
    st.page_link("pages/compare.py", label=md("{}", label), icon=_COMPARE, query_params=query)


def show_here(label: Markdown, icon: str, **query: str) -> None:
    """A button that looks like a link to another address of the page that is open.

    Streamlit follows a real link to the same page without changing the address, so that a reload or "back" would lead
    to something else than what is shown.
    """
    if st.button(
        label,
        icon=icon,
        type="tertiary",
        key=f"show-{query}",
        on_click=lambda: st.query_params.from_dict(with_language(query)),
    ):
        st.rerun()
