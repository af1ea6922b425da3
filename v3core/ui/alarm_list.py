"""The alarms of a run on Live: the verdict on top, and each with its evidence and the buttons that help."""

from collections.abc import Sequence

import streamlit as st

from v3core.charts.alarm_evidence import evidence_figure
from v3core.charts.series import RunSeries
from v3core.curriculum import Curriculum, Progress, Settings, settings_at
from v3core.curriculum.edit import changes
from v3core.errors import V3Error
from v3core.insight.alarms import RULES, Rule
from v3core.insight.alarms.advice import in_order, remedies_of_fork, why_not
from v3core.insight.alarms.remedies import REMEDIES, Remedy
from v3core.insight.alarms.rules import verdict_order
from v3core.jobs import control
from v3core.jobs.checkpoints import is_present
from v3core.jobs.fork_remedies import fork_before, origin_before, remedied
from v3core.jobs.kinds import COMMANDS, trained_elsewhere
from v3core.jobs.lifecycle import RESUMABLE
from v3core.messages import _, with_minus
from v3core.phrases import listed, stored, strung, within
from v3core.store.advising import settings_of
from v3core.store.alarms import ACTIVE, MUTED, AlarmRow
from v3core.store.commands import EDIT_CURRICULUM
from v3core.store.database import Database
from v3core.store.run_row import RunRow
from v3core.store.runs import get_run
from v3core.store.watching import BEHIND, COMPUTED, alarms_of
from v3core.ui.clicks import ACTOR, ask, ask_to_take_over, asking, confirm, dialog, is_asked, or_notice
from v3core.ui.live_chart import live_chart
from v3core.ui.notices import notify
from v3core.ui.run_actions import is_second_click
from v3core.ui.status import counted
from v3core.ui.text import Markdown, md, plain

_SHOWN = 20
"""Alarms that are listed at once; of more, the newest."""
_MANY = 20_000
"""Alarms of a longer run that none were recorded for are computed on a click only."""
_SECONDS_PER_EPISODE = 4e-5


@st.cache_data(max_entries=64, show_spinner=False)
def _computed(_database: Database, url: str, run_id: str, generation: int, episode: int) -> list[AlarmRow]:  # noqa: ARG001
    return alarms_of(_database, run_id)[0]


def load_alarms(database: Database, run: RunRow) -> tuple[list[AlarmRow], bool]:
    """The alarms of a run, the most urgent active ones first, and whether they were computed now."""
    computed = not run.has_alarms_recorded
    if not computed:
        rows = alarms_of(database, run.id)[0]
    elif run.episode <= _MANY or st.session_state.get(_asked(run)):
        with st.spinner(md("Computing alarms …")):
            rows = _computed(database, database.url, run.id, run.generation, run.episode)
    else:
        rows = []
    ranks = {ACTIVE: 0, MUTED: 1}
    return sorted(rows, key=lambda row: (ranks.get(row.state, 2), verdict_order(row.rule), -row.last_episode)), computed


def _asked(run: RunRow) -> str:
    return f"alarms-asked-{run.id}"


def active(alarms: Sequence[AlarmRow]) -> list[AlarmRow]:
    """Those that call for attention."""
    return [alarm for alarm in alarms if alarm.state == ACTIVE]


def verdict(alarms: Sequence[AlarmRow]) -> None:
    """The most urgent alarm in one line, with what helps; nothing without an active alarm."""
    if found := active(alarms):
        more = _("{counted} below.", counted=counted(len(found) - 1, "more alarm")) if len(found) > 1 else ""
        st.warning(md("**{}.** {}", found[0].sentence, more), icon=":material/notification_important:")


def alarm_list(
    database: Database,
    run: RunRow,
    alarms: Sequence[AlarmRow],
    computed: bool,
    series: RunSeries,
    curriculum: Curriculum,
) -> None:
    """Each alarm of the run, those that are over on request; nothing if there is none."""
    if computed and run.episode > _MANY and not st.session_state.get(_asked(run)):
        seconds = max(1, round(run.episode * _SECONDS_PER_EPISODE))
        st.button(
            md("Compute alarms"),
            icon=":material/notifications:",
            key=f"compute-alarms-{run.id}",
            help=md(
                "They were not recorded while this run trained. Takes about {seconds}.",
                seconds=counted(seconds, "second"),
            ),
            on_click=lambda: st.session_state.__setitem__(_asked(run), True),
        )
    if not alarms:
        return
    over = [alarm for alarm in alarms if alarm.state not in (ACTIVE, MUTED)]
    count, muted = len(active(alarms)), len(alarms) - len(over) - len(active(alarms))
    counts = [
        _("{count} active", count=count),
        _("{muted} muted", muted=muted) if muted else "",
        _("{over} cleared", over=len(over)) if over else "",
    ]
    with st.container(border=True, key="alarms"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(md("**Alarms: {}**", listed([*filter(None, counts)])), width="content")
            # A routing on the edge raises one after the other, and the charts are below them.
            if over and not st.toggle(md("Show cleared"), key="cleared", bind="query-params"):
                alarms = [alarm for alarm in alarms if alarm not in over or _is_looked_at(alarm)]
        if computed:
            st.caption(plain(COMPUTED), text_alignment="left")
        elif run.alarms_follow:
            st.caption(plain(BEHIND), text_alignment="left")
        for alarm in list(alarms)[:_SHOWN]:
            _alarm(database, run, alarm, series, curriculum)
        if len(alarms) > _SHOWN:
            st.caption(md("{} of {} alarms; `alarms {}` lists all.", _SHOWN, len(alarms), run.id[:8]))


def _evidence_key(alarm: AlarmRow) -> str:
    return f"evidence-{alarm.rule}-{alarm.first_episode}"


def _is_looked_at(alarm: AlarmRow) -> bool:
    """Whether its evidence is open: it does not go because the alarm is over now, nor is a link to it empty."""
    return st.query_params.get(_evidence_key(alarm)) == "true"


_ICONS = {ACTIVE: ":red[:material/notification_important:]", MUTED: ":gray[:material/notifications_off:]"}


def _alarm(database: Database, run: RunRow, alarm: AlarmRow, series: RunSeries, curriculum: Curriculum) -> None:
    rule = RULES.get(alarm.rule)
    icon = _ICONS.get(alarm.state, ":gray[:material/check:]")
    if alarm.first_episode == alarm.last_episode:
        span = _("episode {episode:,}, phase {phase}", episode=alarm.first_episode, phase=alarm.phase)
    else:
        span = _(
            "episodes {first:,} to {last:,}, phase {phase}",
            first=alarm.first_episode,
            last=alarm.last_episode,
            phase=alarm.phase,
        )
    st.markdown(md("{} **{}**: {}. :gray[{}]", Markdown(icon), alarm.title, stored(alarm.detail), span))
    if alarm.reason:
        st.caption(md("Muted: {}", alarm.reason))
    key = f"{alarm.rule}-{alarm.first_episode}-{run.id}"
    with st.container(horizontal=True, vertical_alignment="center", key=f"remedies-{key}"):
        if rule is not None and alarm.state == ACTIVE:
            _remedies(database, run, rule, curriculum, alarm, key)
        if alarm.number:
            _mute_buttons(database, run, alarm, key)
    if rule is not None and rule.draws and len(series):
        evidence = st.expander(
            md("Evidence"),
            icon=":material/query_stats:",
            key=_evidence_key(alarm),
            on_change="rerun",
            bind="query-params",
        )
        if evidence.open:
            with evidence:
                figure = evidence_figure(series, rule, alarm.first_episode, alarm.last_episode)
                live_chart(figure, key=f"evidence-chart-{key}")
                st.caption(
                    md(
                        "{} Threshold: {:g}; value: {}.",
                        rule.meaning,
                        rule.threshold,
                        with_minus(f"{alarm.value or 0:.4g}"),
                    )
                )


def _remedies(database: Database, run: RunRow, rule: Rule, curriculum: Curriculum, alarm: AlarmRow, key: str) -> None:
    """A button for each change of the curriculum that helps; its tooltip says what exactly it changes."""
    resumes = run.status in RESUMABLE
    refused = None if resumes else COMMANDS[EDIT_CURRICULUM].refusal(run)
    progress = control.progress_of(database, run.id)
    now = settings_at(curriculum, progress, run.config.base.values())
    for name in in_order(rule, now, run.config):
        remedy = REMEDIES[name]
        wanted, problem = _wanted(run, remedy, curriculum, progress, now)
        problem = refused or problem
        what = strung(_("; "), changes(curriculum, wanted)) if wanted is not None else ""
        title = _("Resume with this: {remedy}", remedy=within(remedy.title)) if resumes else remedy.title
        elsewhere = trained_elsewhere(run) is not None
        button = f"remedy-{name}-{key}"
        st.button(
            plain(title),
            icon=f":material/{remedy.icon}:",
            key=button,
            disabled=problem is not None,
            help=plain(problem or f"{remedy.meaning} {what}."),
            on_click=ask if elsewhere else _carry_out,
            args=(button,) if elsewhere else (database, run.id, run.status, name),
        )
        if elsewhere and wanted is not None and is_asked(button):
            ask_to_take_over(database, run, wanted)
    if rule.remedies:
        _fork_button(database, run, rule, alarm, key)


def _fork_button(database: Database, run: RunRow, rule: Rule, alarm: AlarmRow, key: str) -> None:
    """The remedy from before the alarm began: this run continues as it is."""
    problem, meaning, first_episode = None, "", alarm.first_episode
    remedies: tuple[str, ...] = ()
    try:
        remedies = remedies_of_fork(rule, settings_of(database, run.id)(alarm.last_episode), run.config)
        # Its checksums are computed at the click: they take a while, and this is drawn every few seconds.
        origin = origin_before(database, run.id, first_episode, is_usable=is_present)
        remedy, changed = remedied(origin, remedies)
        what = strung(_("; "), [*remedy.assignments, *changes(origin.curriculum, changed)])
        meaning = _(
            "A new run from the checkpoint at episode {episode:,}. {meaning} {what}.",
            episode=origin.checkpoint.episode,
            meaning=remedy.meaning,
            what=what,
        )
    except V3Error as error:
        problem = error.message
    st.button(
        md("Fork from before it began"),
        icon=":material/fork_right:",
        key=f"fork-{key}",
        disabled=problem is not None,
        help=plain(problem or meaning),
        on_click=_fork,
        args=(database, run.id, first_episode, remedies, f"fork-clicked-{key}"),
    )


@or_notice
def _fork(database: Database, run_id: str, first_episode: int, remedies: Sequence[str], place: str) -> None:
    if is_second_click(place):
        return
    child = get_run(database, fork_before(database, run_id, first_episode, remedies, actor=ACTOR))
    notify(md("Forked as {}; it is listed under Forks.", child.name), icon=":material/fork_right:")


def _wanted(
    run: RunRow, remedy: Remedy, curriculum: Curriculum, progress: Progress, now: Settings
) -> tuple[Curriculum | None, str | None]:
    """The curriculum that a remedy asks for, or why it cannot help under the settings of now."""
    if problem := why_not(remedy.name, now, run.config):
        return None, problem
    try:
        wanted = remedy.apply(curriculum, progress, run.config.base.values())
    except V3Error as error:
        return None, error.message
    return (wanted, None) if wanted != curriculum else (None, _("This changes nothing more."))


@or_notice
def _carry_out(database: Database, run_id: str, status: str, name: str) -> None:
    """As of now, not as of when the button was drawn: the run goes ahead meanwhile."""
    control.apply_remedy(database, run_id, name, ACTOR, resume_it=status in RESUMABLE)


def _mute_buttons(database: Database, run: RunRow, alarm: AlarmRow, key: str) -> None:
    if alarm.state == MUTED:
        st.button(
            md("Unmute"),
            icon=":material/notifications:",
            key=f"unmute-{key}",
            type="tertiary",
            on_click=or_notice(control.unmute_alarm),
            args=(database, run.id, alarm.number, ACTOR),
        )
    elif alarm.state == ACTIVE and asking(
        md("Mute"), icon=":material/notifications_off:", key=f"mute-{key}", type="tertiary"
    ):
        _ask_for_reason(database, run, alarm)


@dialog(_("Mute this alarm?"), icon=":material/notifications_off:")
def _ask_for_reason(database: Database, run: RunRow, alarm: AlarmRow) -> None:
    st.markdown(md("**{}**: {}.", alarm.title, alarm.detail))
    st.text_input(
        md("Reason"),
        key="mute-reason",
        max_chars=control.MAX_REASON,
        help=md("Shown with the alarm. Later alarms of this rule in this run are muted with it."),
    )
    confirm(_("Mute"), ":material/notifications_off:", "mute", _mute, database, run.id, alarm.number)


def _mute(database: Database, run_id: str, number: int) -> None:
    control.mute_alarm(database, run_id, number, str(st.session_state.get("mute-reason") or ""), ACTOR)
