"""The home page: how full this machine is, active experiments, and the list of runs with their places in the queue."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from v3core.jobs import control, launcher, slots
from v3core.jobs.kinds import COMMANDS, trains_elsewhere
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.launchers.interface import Offer
from v3core.jobs.launchers.room import by_address, free_slots, used_slots
from v3core.jobs.lifecycle import ACTIVE, ENDED, STATUS_WORDS, Status, status_title
from v3core.messages import Message, _, say
from v3core.phrases import listed, ordinal, strung
from v3core.recall import recalled
from v3core.store.alarms import active_rules
from v3core.store.database import Database
from v3core.store.run_filter import FIELDS, FilterError, matches, parse_filter
from v3core.store.run_row import RunRow
from v3core.ui.clicks import ACTOR, asking, confirm, dialog, or_notice
from v3core.ui.notices import notify
from v3core.ui.option_labels import follow_language
from v3core.ui.run_columns import CHOICES, COLUMNS, DEFAULT, Wall, row, sorted_runs
from v3core.ui.run_curves import load_differences, load_means, load_sparklines, load_stretches
from v3core.ui.run_picker import compare_link
from v3core.ui.run_selection import BASELINE, selection_bar, unpin
from v3core.ui.run_table import Sorting, run_table
from v3core.ui.status import counted
from v3core.ui.text import about, md, plain

RUNS_PER_PAGE = 25
_EXPERIMENTS_SHOWN = 3
_NODES_SHOWN = 4
_UNFINISHED = (Status.RUNNING, Status.STARTING, Status.PAUSED, Status.STALLED, Status.STOPPING, Status.QUEUED)


def run_list(database: Database, runs: list[RunRow], columns: list[str], waiting: list[RunRow] | None = None) -> None:
    """The filter, what can be done with the selected runs, and the table.

    `waiting` has all runs where `runs` are those of one experiment: the queue is of all.
    """
    places = queue_places(runs if waiting is None else waiting)
    shown = _filtered(in_order(runs, places))
    baseline = _baseline(runs)
    if shown is None:
        return
    selection_bar(database, shown, lambda run: queue_place(database, run, places[run.id], key="list"))
    if not shown:
        st.caption(md("No runs match; clear the filter to see all runs."))
        return
    sorting = Sorting.of_address()
    wall = Wall(
        places=places,
        baseline=baseline,
        alarms=active_rules(database) if "alarms" in columns else {},
        of_experiment=waiting is not None,
    )
    if baseline is not None and sorting.by.removeprefix("-") == "difference":
        wall = replace(wall, differences=load_differences(database, shown, baseline))
    by_duration = sorting.by.removeprefix("-") == "duration"
    if by_duration:
        wall = replace(wall, stretches=load_stretches(database, shown))
    shown = sorted_runs(shown, sorting.by, wall)
    pages = (len(shown) - 1) // RUNS_PER_PAGE + 1
    place_of_table = st.container()
    # Below the table, but asked first: an address may name the page.
    page = min(st.pagination(pages, key="page", bind="query-params"), pages) if pages > 1 else 1
    on_page = shown[(page - 1) * RUNS_PER_PAGE : page * RUNS_PER_PAGE]
    if "curve" in columns:
        wall = replace(wall, sparklines=load_sparklines(database, on_page))
    if "mean" in columns:
        wall = replace(wall, means=load_means(database, on_page))
    if "duration" in columns and not by_duration:
        wall = replace(wall, stretches=load_stretches(database, on_page))
    if baseline is not None:
        wall = replace(wall, differences=load_differences(database, on_page, baseline))
        place = columns.index("mean") + 1 if "mean" in columns else len(columns)
        columns = [*columns[:place], "difference", *columns[place:]]
    with place_of_table:
        run_table([row(run, columns, wall) for run in on_page], columns, sorting)


def in_order(runs: list[RunRow], places: Mapping[str, int]) -> list[RunRow]:
    """What trains, then what waits as it will start, then what has ended; the newest first in each."""
    return sorted(runs, key=lambda run: (0, 0) if run.status in ACTIVE else (1, places.get(run.id, len(runs))))


def _filtered(runs: list[RunRow]) -> list[RunRow] | None:
    """The runs that match the filter; None if it cannot be read, which is said."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            md("Filter"),
            key="q",
            bind="query-params",
            placeholder=say("status:failed env:CartPole tag:paper -seed:1 promising"),
            label_visibility="collapsed",
            icon=":material/search:",
            width=480,
            live=True,
        )
        about(
            _("the filter"),
            _(
                "Words are searched in names, environments, curricula, experiments, tags and notes; all of them "
                'must be found. A minus sign excludes, quotes hold words together: note:"looks good". Before a '
                "colon:"
            ),
            [(f"{name}:", field.meaning) for name, field in FIELDS.items()],
        )
        found = [status for status in Status if any(run.status == status for run in runs)]

        def label(status: Status) -> str:
            return plain(status_title(status))

        follow_language("status", found, label)
        statuses = st.pills(
            md("Status"),
            found,
            selection_mode="multi",
            format_func=label,
            key="status",
            bind="query-params",
            label_visibility="collapsed",
        )
    try:
        terms = parse_filter(text)
    except FilterError as error:
        st.warning(plain(error), icon=":material/filter_alt_off:")
        return None
    return [run for run in runs if (not statuses or run.status in statuses) and matches(terms, run)]


def columns_menu() -> list[str]:
    """Opened, it changes which columns the list has; returns them in their order."""
    with st.popover(md("Columns"), icon=":material/view_column:", type="tertiary", key="choose-columns"):
        follow_language("columns", CHOICES, lambda name: plain(COLUMNS[name].title))
        chosen = st.pills(
            md("Columns"),
            CHOICES,
            selection_mode="multi",
            default=DEFAULT,
            format_func=lambda name: plain(COLUMNS[name].title),
            key="columns",
            bind="query-params",
        )
    return [name for name in CHOICES if name in chosen]


def _baseline(runs: list[RunRow]) -> RunRow | None:
    """The pinned run, if one is; its name and how to unpin it stand above the list."""
    pinned = st.query_params.get(BASELINE)
    if not pinned:
        return None
    found = [run for run in runs if run.id.startswith(pinned)]
    with st.container(horizontal=True, vertical_alignment="center", key="baseline"):
        if len(found) == 1:
            st.caption(md(":material/keep: Baseline: **{}**", found[0].name), width="content")
        else:
            st.caption(md("The pinned baseline does not exist any more."), width="content")
        st.button(md("Unpin"), key="unpin", type="tertiary", on_click=unpin)
    return found[0] if len(found) == 1 else None


def queue_places(runs: list[RunRow]) -> dict[str, int]:
    """Run id to its place in the queue, from 1, for each run that waits."""
    return {run.id: place for place, run in enumerate(launcher.queue_order(runs), start=1)}


def slots_text(runs: list[RunRow], limit: int) -> str:
    """How full this machine is, as in `3 of 4 slots in use, 1 of them paused · 2 waiting`."""
    active = [run for run in runs if run.status in ACTIVE]
    here = [run for run in active if not trains_elsewhere(run)]
    paused = sum(run.status == Status.PAUSED for run in here)
    used = (
        _("{here} of {limit} slots in use, {paused} of them paused", here=len(here), limit=limit, paused=paused)
        if paused
        else _("{here} of {limit} slots in use", here=len(here), limit=limit)
    )
    elsewhere = len(active) - len(here)
    others = [_("{elsewhere} on other hosts", elsewhere=elsewhere)] if elsewhere else []
    return strung(" · ", [used, *others, _waiting(runs)])


def cluster_text(runs: list[RunRow], offer: Offer) -> str:
    """How full a cluster is, as in `Ray cluster: 10.0.0.5 2 of 4, 10.0.0.6 0 of 4 slots in use · 1 waiting`.

    Many nodes are counted; `nodes_menu` lists them.
    """
    if offer.problem:
        return recalled(offer.problem)
    used = used_slots(runs)
    if len(offer.nodes) > _NODES_SHOWN:
        full = _(
            "Ray cluster: {nodes}, {used} of {slots} slots in use",
            nodes=counted(len(offer.nodes), "node"),
            used=sum(used[node.id] for node in offer.nodes),
            slots=sum(node.slots for node in offer.nodes),
        )
    else:
        nodes = [
            _("{address} {used} of {slots}", address=node.address, used=used[node.id], slots=node.slots)
            for node in by_address(offer.nodes)
        ]
        full = _("Ray cluster: {nodes} slots in use", nodes=listed(nodes))
    others = [_("{slots} used by others", slots=counted(offer.busy, "slot"))] if offer.busy else []
    return strung(" · ", [full, *others, _waiting(runs)])


def nodes_menu(runs: list[RunRow], offer: Offer) -> None:
    """Opened, it lists the nodes of a cluster: their slots in use and free, their GPUs and labels."""
    if offer.nodes:
        with st.popover(md("Nodes"), icon=":material/dns:", type="tertiary", key="nodes"):
            st.table(
                [{plain(name): plain(text) for name, text in row.items()} for row in node_rows(runs, offer)],
                border="horizontal",
                hide_index=True,
                alt=say("Nodes of the cluster"),
            )


def node_rows(runs: list[RunRow], offer: Offer) -> list[dict[Message, str]]:
    """A row for each node, by address. GPUs and labels are left out if no node has any."""
    used = used_slots(runs)
    have_gpus, have_labels = any(node.gpus for node in offer.nodes), any(node.labels for node in offer.nodes)
    rows = []
    for node in by_address(offer.nodes):
        row: dict[Message, str] = {
            _("Node"): node.address,
            _("In use"): _("{used} of {slots}", used=used[node.id], slots=node.slots),
            _("Free"): str(free_slots(node, used[node.id])),
        }
        if have_gpus:
            row[_("GPUs")] = f"{node.gpus:g}"
        if have_labels:
            row[_("Labels")] = ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
        rows.append(row)
    return rows


def _waiting(runs: list[RunRow]) -> Message:
    return _("{count} waiting", count=sum(run.status == Status.QUEUED for run in runs))


def slots_menu(database: Database, limit: int) -> None:
    """Opened, it changes how many runs train at once on this machine, which is `limit` now."""
    with st.popover(md("Slots"), icon=":material/tune:", type="tertiary", key="slots"):
        # The limit is part of the key, so that the field follows a change made elsewhere.
        field = f"slots:{limit}"
        st.number_input(
            md("Runs at once on this machine"),
            1,
            slots.MAX_SLOTS,
            limit,
            key=field,
            help=md(
                "Does not affect runs that are already training. Each run uses one core; more runs than cores slow "
                "each other down."
            ),
            on_change=_set_slots,
            args=(database, field),
        )


def queue_place(database: Database, run: RunRow, place: int, *, key: str) -> None:
    """The queue position of a waiting run, in a popover to change its priority."""
    label = md("{} in the queue", ordinal(place))
    if run.priority:
        label = md("{} · priority {}", label, run.priority)
    with st.popover(label, icon=":material/low_priority:", type="tertiary", key=f"queue:{key}:{run.id}"):
        # Its priority is part of the key, so that the field follows a change made elsewhere.
        field = f"priority:{key}:{run.id}:{run.priority}"
        st.number_input(
            md("Priority"),
            -launcher.MAX_PRIORITY,
            launcher.MAX_PRIORITY,
            run.priority,
            key=field,
            help=plain(COMMANDS["priority"].meaning),
            on_change=_set_priority,
            args=(database, run.id, field),
        )
    if problem := chosen().waits_for(run):
        st.caption(md(":material/hourglass_empty: {problem}", problem=plain(recalled(problem))))


@or_notice
def _set_slots(database: Database, field: str) -> None:
    if (number := st.session_state[field]) is not None:
        slots.set_slots(database, number)


@or_notice
def _set_priority(database: Database, run_id: str, field: str) -> None:
    if (priority := st.session_state[field]) is not None:
        control.set_priority(database, run_id, priority, ACTOR)


def active_experiments(database: Database, runs: list[RunRow]) -> None:
    """A line for each experiment that is not over, newest first; of no other experiment."""
    active = list(dict.fromkeys(run.experiment for run in runs if run.experiment and run.status not in ENDED))
    for place, name in enumerate(active[:_EXPERIMENTS_SHOWN]):
        _experiment(database, name, [run for run in runs if run.experiment == name], place)
    if (more := len(active) - _EXPERIMENTS_SHOWN) > 0:
        st.caption(md("{more} active; find their runs with the filter.", more=counted(more, "more experiment")))


def _experiment(database: Database, name: str, group: list[RunRow], place: int) -> None:
    stop = COMMANDS["stop"]
    stoppable = [run for run in group if run.status != stop.done and stop.refusal(run) is None]
    with (
        st.container(border=True, key=f"experiment-{place}"),
        st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"),
    ):
        st.markdown(md("**{}** · {}", name, describe_experiment(group)), width="stretch")
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            st.page_link(
                "pages/experiments.py",
                label=md("Open"),
                icon=":material/lab_research:",
                query_params={"experiment": name},
            )
            if len(group) > 1:
                compare_link(_("Compare"), experiment=name)
            if asking(
                md("Stop {stoppable}", stoppable=counted(len(stoppable), "run")),
                icon=":material/stop_circle:",
                key=f"stop-experiment:{name}",
                disabled=not stoppable,
                help=None if stoppable else md("All runs are already stopping, or train on other hosts."),
            ):
                _confirm_stop(database, name, len(stoppable))


def describe_experiment(group: list[RunRow]) -> Message:
    """How the runs of an experiment stand, as in `6 runs: 2 running, 1 queued, 3 ended`."""
    counts = Counter(run.status for run in group)
    parts = [
        _("{count} {status}", count=counts[status], status=STATUS_WORDS[status])
        for status in _UNFINISHED
        if counts[status]
    ]
    if ended := sum(counts[status] for status in ENDED):
        parts.append(_("{ended} ended", ended=ended))
    return _("{runs}: {parts}", runs=counted(len(group), "run"), parts=listed(parts))


@dialog(_("Stop the experiment?"), icon=":material/stop_circle:")
def _confirm_stop(database: Database, name: str, count: int) -> None:
    st.markdown(
        md(
            "Stop {count} of **{name}**? Training runs write a checkpoint first; all of them can be resumed.",
            count=counted(count, "run"),
            name=plain(name),
        )
    )
    confirm(_("Stop"), ":material/stop_circle:", "stop-experiment", _stop, database, name)


def _stop(database: Database, name: str) -> None:
    asked = control.stop_experiment(database, name, ACTOR)
    notify(md("Stopping {}.", counted(asked, "run")), icon=":material/stop_circle:", seconds=4)
