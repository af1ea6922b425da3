"""What can be asked of a run: commands for its worker, another curriculum or length, a resume, its deletion.

Every function raises V3Error, and changes nothing, for a run that is unknown, or of which `COMMANDS` refuses it now.
"""

import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

from v3core.curriculum import Curriculum, Length, PhaseStart, Progress, check_edit, lengthened, settings_at
from v3core.errors import V3Error
from v3core.insight.alarms.advice import why_not
from v3core.insight.alarms.remedies import REMEDIES
from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.housekeeping import delete as delete
from v3core.jobs.identity import NOWHERE, is_here
from v3core.jobs.kinds import COMMANDS, check, length_value, named
from v3core.jobs.launch import renewed
from v3core.jobs.launcher import TOGETHER, StartCommand, check_priority, drain, worker_command
from v3core.jobs.launchers.chosen import NAMES, chosen
from v3core.jobs.lifecycle import ACTIVE, ENDED, Status, change_status
from v3core.jobs.needs import Needs
from v3core.jobs.retention import need_whole
from v3core.jobs.slots import save_requested_slots
from v3core.jobs.supervisor import reconcile
from v3core.messages import Message, _
from v3core.paths import COMMAND
from v3core.phrases import all_of, sentences
from v3core.store import commands
from v3core.store.alarms import set_muted
from v3core.store.database import Database
from v3core.store.history import CheckpointRow, add_event, read_checkpoints, read_phase_changes
from v3core.store.run_row import RunRow
from v3core.store.runs import find_run, get_run, runs_of_experiment, set_length, update_run
from v3core.store.schema import Transaction

WAIT_POLL_SECONDS = 0.1
MAX_NOTES = 10_000
MAX_TAGS = 500
MAX_REASON = 200


def ask(database: Database, run_id: str, actor: str = "user", *, kind: str) -> None:
    """Ask a command of `COMMANDS` that a worker answers and with which nothing is given. Asking twice does it once."""
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        waiting = {row.kind for row in commands.read_commands(tx, run.id, only_open=True)}
        check(kind, run, waiting)
        if kind not in waiting and run.status != COMMANDS[kind].done:
            commands.add_command(tx, run.id, kind, actor=actor, now=datetime.now(UTC))


pause = partial(ask, kind=commands.PAUSE)
unpause = partial(ask, kind=commands.CONTINUE)
checkpoint = partial(ask, kind=commands.CHECKPOINT)


def stop(database: Database, run_id: str, actor: str = "user") -> Status:
    """Ask a run to end after its present rollout, with a checkpoint; returns at once. Asking twice does it once.

    A worker that does not stop is signalled, and in the end killed: see `v3core.jobs.supervisor`.

    Returns:
        STOPPED for a run that was still queued, else STOPPING.
    """
    with database.write() as tx:
        return _stop(tx, get_run(tx, run_id, for_update=True), actor, datetime.now(UTC))


def stop_experiment(database: Database, experiment: str, actor: str = "user") -> int:
    """Ask all runs of a group that wait or train here to end; returns how many.

    Those that wait come first, so that none of them takes the slot of one that ends. Hundreds are asked in one commit.
    """
    now = datetime.now(UTC)
    with database.read() as tx:
        runs = need_experiment(tx, experiment)
    here = [run for run in runs if run.status not in ENDED and is_here(run)]
    if not here:
        raise V3Error(
            "No run of experiment '{experiment}' is queued or active here; there is nothing to stop.",
            experiment=experiment,
        )
    here.sort(key=lambda run: run.status != Status.QUEUED)
    for start in range(0, len(here), TOGETHER):
        with database.write() as tx:
            for one in here[start : start + TOGETHER]:
                run = find_run(tx, one.id, for_update=True)
                if run is not None and run.status not in ENDED:
                    _stop(tx, run, actor, now)
    return len(here)


def need_experiment(tx: Transaction, experiment: str) -> list[RunRow]:
    """The runs of a group; V3Error if there is none."""
    runs = runs_of_experiment(tx, experiment)
    if not runs:
        raise V3Error("There is no experiment '{experiment}'; `experiments` lists them.", experiment=experiment)
    return runs


def _stop(tx: Transaction, run: RunRow, actor: str, now: datetime) -> Status:
    if run.status == Status.QUEUED:
        commands.add_command(tx, run.id, commands.STOP, actor=actor, now=now)
        message = _("Stopped while waiting in the queue.")
        change_status(tx, run, Status.STOPPED, message, actor=actor, reason=message, now=now)
        return Status.STOPPED
    check(commands.STOP, run)
    if change_status(tx, run, Status.STOPPING, _("Stop requested."), actor=actor, now=now):
        commands.add_command(tx, run.id, commands.STOP, actor=actor, now=now)
    return Status.STOPPING


def wait_stopped(database: Database, run_id: str, timeout: float) -> Status:
    """Wait up to `timeout` seconds for the end of a run, hurrying it as `reconcile` does; returns its status."""
    deadline = time.monotonic() + timeout
    while True:
        status = Status(get_run(database, run_id).status)
        if status not in ACTIVE or time.monotonic() > deadline:
            return status
        reconcile(database)
        time.sleep(WAIT_POLL_SECONDS)


def set_priority(database: Database, run_id: str, priority: int, actor: str = "user") -> None:
    """Set which of the waiting runs start first: those of the highest priority, among them the oldest.

    A run that trains keeps it for when it waits again.
    """
    check_priority(priority)
    now = datetime.now(UTC)
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        check(commands.PRIORITY, run)
        if run.priority != priority:
            update_run(tx, run_id, {"priority": priority}, only_in={run.status})
            command = commands.add_command(tx, run_id, commands.PRIORITY, actor=actor, now=now, value=str(priority))
            commands.apply_commands(tx, run_id, ids=[command], episode=run.episode, now=now)
            message = _("Priority changed from {before} to {priority}.", before=run.priority, priority=priority)
            add_event(tx, run_id, actor=actor, kind="priority", message=message, now=now)


def annotate(
    database: Database, run_id: str, *, tags: str | None = None, notes: str | None = None, actor: str = "user"
) -> None:
    """Set the tags or the notes of a run in any status; None leaves them unchanged.

    Tags are words, separated by blanks or commas; doubled ones count once.
    """
    values: dict[str, str | None] = {}
    if tags is not None:
        values["tags"] = _tags(_words(tags))
    if notes is not None:
        values["notes"] = notes.strip() or None
        if len(notes) > MAX_NOTES:
            raise V3Error("The notes are longer than {max_notes:,} characters; shorten them.", max_notes=MAX_NOTES)
    with database.write() as tx:
        _annotate(tx, get_run(tx, run_id, for_update=True), values, actor)


def retag(database: Database, run_id: str, *, add: str = "", remove: str = "", actor: str = "user") -> None:
    """Add tags to those of a run in any status, and remove others; both as words, as in `annotate`."""
    removed = set(_words(remove))
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        kept = [tag for tag in (run.tags or "").split() if tag not in removed]
        _annotate(tx, run, {"tags": _tags([*kept, *_words(add)])}, actor)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _tags(words: list[str]) -> str | None:
    """As they are stored: separated by one blank each, doubled ones once; None without any."""
    joined = " ".join(dict.fromkeys(words)) or None
    if len(joined or "") > MAX_TAGS:
        raise V3Error("The tags are longer than {max_tags} characters; use fewer or shorter ones.", max_tags=MAX_TAGS)
    return joined


_ANNOTATIONS = {"tags": _("tags"), "notes": _("notes")}


def _annotate(tx: Transaction, run: RunRow, values: dict[str, str | None], actor: str) -> None:
    changes = {name: value for name, value in values.items() if value != getattr(run, name)}
    if changes:
        update_run(tx, run.id, changes, only_in=tuple(Status))
        message = _("New {changes}.", changes=all_of([_ANNOTATIONS[name] for name in changes]))
        add_event(tx, run.id, actor=actor, kind="note", message=message, now=datetime.now(UTC))


def mute_alarm(database: Database, run_id: str, number: int, reason: str, actor: str = "user") -> None:
    """Mute an alarm of a run, and those of its rule that follow, with a reason; in any status of the run."""
    reason = " ".join(reason.split())
    if not reason:
        raise V3Error("Say why the alarm is muted: the reason is shown with it.")
    if len(reason) > MAX_REASON:
        raise V3Error("The reason is longer than {max_reason} characters; shorten it.", max_reason=MAX_REASON)
    _set_muted(database, run_id, number, reason, actor)


def unmute_alarm(database: Database, run_id: str, number: int, actor: str = "user") -> None:
    """Undo `mute_alarm`."""
    _set_muted(database, run_id, number, None, actor)


def _set_muted(database: Database, run_id: str, number: int, reason: str | None, actor: str) -> None:
    with database.write() as tx:
        get_run(tx, run_id, for_update=True)
        set_muted(tx, run_id, number, reason=reason, actor=actor, now=datetime.now(UTC))


# Changing what a run will train: its curriculum and its length.


def current_curriculum(database: Database, run_id: str) -> Curriculum:
    """The newest revision that was applied: what the run trains under, or will continue under."""
    with database.read() as tx:
        get_run(tx, run_id)
        return commands.curriculum_in_force(tx, run_id)


def progress_of(database: Database, run_id: str) -> Progress:
    """How far a run is, with the actual starts of its phases."""
    with database.read() as tx:
        return _progress(tx, get_run(tx, run_id))


def request_edit(database: Database, run_id: str, curriculum: Curriculum, actor: str = "user") -> None:
    """Request another curriculum for a run, given in full, which may only change what has not been trained.

    A run that trains applies it between two updates, or rejects it if training has passed it by then; the command's
    row has the answer. For one that waits in the queue it is in force at once.
    """
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        check(commands.EDIT_CURRICULUM, run)
        check_edit(commands.curriculum_in_force(tx, run_id), curriculum, _progress(tx, run))
        waiting = commands.read_commands(tx, run_id, only_open=True)
        if any(row.revision is not None and row.revision.curriculum == curriculum for row in waiting):
            return
        now, at_once = datetime.now(UTC), run.episode if run.status == Status.QUEUED else None
        revision = commands.add_revision(tx, run_id, curriculum, actor=actor, now=now, applied_episode=at_once)
        asked = commands.add_command(tx, run_id, commands.EDIT_CURRICULUM, actor=actor, now=now, revision_id=revision)
        if at_once is not None:
            commands.apply_commands(tx, run_id, ids=[asked], episode=at_once, now=now)
            _note_edit(tx, run_id, at_once, actor, now)


def apply_remedy(
    database: Database, run_id: str, name: str, actor: str = "user", *, resume_it: bool = False
) -> Curriculum:
    """Request what a remedy of `v3core.insight.alarms.remedies` changes now, or resume an ended run with it.

    Returns the curriculum that was asked for.
    """
    with database.read() as tx:
        run = get_run(tx, run_id)
        in_force, progress = commands.curriculum_in_force(tx, run_id), _progress(tx, run)
    base = run.config.base.values()
    if problem := why_not(name, settings_at(in_force, progress, base), run.config):
        raise V3Error(problem)
    wanted = REMEDIES[name].apply(in_force, progress, base)
    if resume_it:
        resume(database, run_id, actor, curriculum=wanted)
    else:
        request_edit(database, run_id, wanted, actor)
    return wanted


def extend(
    database: Database, run_id: str, episodes: int | None = None, actor: str = "user", *, steps: int | None = None
) -> None:
    """Ask a run that trains or waits to train up to `episodes` or `steps`. A worker applies it between two updates."""
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        length = _longer(run, episodes, steps)
        check(commands.EXTEND, run)
        now, value = datetime.now(UTC), length_value(episodes, steps)
        waiting = commands.read_commands(tx, run_id, only_open=True)
        if any(row.kind == commands.EXTEND and row.value == value for row in waiting):
            return
        asked = commands.add_command(tx, run_id, commands.EXTEND, actor=actor, now=now, value=value)
        if run.status == Status.QUEUED:
            _lengthen(tx, run, length, actor, now)
            commands.apply_commands(tx, run_id, ids=[asked], episode=run.episode, now=now)


def train_up_to(
    database: Database, run_id: str, episodes: int | None = None, actor: str = "user", *, steps: int | None = None
) -> None:
    """Train a run up to `episodes` or `steps`, whatever it does now: `extend` it, or `resume` it if it has ended.

    Who asks may have read its status before it ended, or before it was resumed.
    """
    ended = get_run(database, run_id).status in ENDED
    try:
        _train_up_to(database, run_id, episodes, steps, actor, ended=ended)
    except V3Error:
        if (get_run(database, run_id).status in ENDED) == ended:
            raise
        _train_up_to(database, run_id, episodes, steps, actor, ended=not ended)  # it ended, or was resumed, meanwhile


def _train_up_to(
    database: Database, run_id: str, episodes: int | None, steps: int | None, actor: str, *, ended: bool
) -> None:
    if ended and steps is None:
        resume(database, run_id, actor, episodes=episodes)
    elif ended:
        resume(database, run_id, actor, episodes=episodes, steps=steps)
    else:
        extend(database, run_id, episodes, actor, steps=steps)


def _longer(run: RunRow, episodes: int | None, steps: int | None) -> Length:
    """The length that is asked for; V3Error if a run cannot have it."""
    environments = run.config.ppo.environments
    return run.length.extended(episodes, steps, at=(run.episode, run.step), environments=environments, who=named(run))


def _lengthen(tx: Transaction, run: RunRow, length: Length, actor: str, now: datetime) -> None:
    """Write the new length, and the curriculum that it takes, of a run that no process trains."""
    in_force = commands.curriculum_in_force(tx, run.id)
    longer = lengthened(in_force, _progress(tx, run))
    if longer != in_force:
        commands.add_revision(tx, run.id, longer, actor=actor, now=now, applied_episode=run.episode)
    set_length(tx, run, length)
    message = _("Length changed {changed_to}.", changed_to=run.length.changed_to(length))
    add_event(tx, run.id, actor=actor, kind="length", message=message, now=now)


def _note_edit(tx: Transaction, run_id: str, episode: int, actor: str, now: datetime) -> None:
    add_event(
        tx,
        run_id,
        actor=actor,
        kind="edit",
        message=_("Curriculum edited from episode {episode} on.", episode=episode),
        now=now,
    )


def _progress(tx: Transaction, run: RunRow) -> Progress:
    """How far a run is, with the realised starts of its phases."""
    starts = tuple(PhaseStart(change.episode, change.step) for change in read_phase_changes(tx, run.id))
    return Progress(run.episode, run.episodes, run.step, starts, run.steps)


# Resuming a run that has ended: on which host, from which checkpoint, with which curriculum and length.


def resume(
    database: Database,
    run_id: str,
    actor: str = "user",
    *,
    curriculum: Curriculum | None = None,
    take_over: bool = False,
    here: bool = False,
    episodes: int | None = None,
    steps: int | None = None,
    command: StartCommand = worker_command,
) -> None:
    """Put a run that has ended back into the queue, to continue from its newest whole checkpoint.

    Nothing is deleted here: once its worker has read the checkpoint, it takes the records back to it, so that each
    episode is recorded once.

    Args:
        database: an open store.
        run_id: full id.
        actor: who requests it, for the run's history.
        curriculum: continue with this one, which may only change what comes after the checkpoint.
        take_over: continue here a run that trained on another host.
        here: from now on use the import folders and variables of this process instead of the saved ones.
        episodes: train it longer, up to this many; for one that is complete this or `steps` is needed.
        steps: the same in environment steps, for a run that is planned in them.
        command: from run id to the command line of its worker.

    Raises:
        V3Error: also if it trained on another host, its checkpoints or import folders are gone, or V3_MAX_WORKERS,
            length or curriculum are invalid.
    """
    chosen().check(database)
    now = datetime.now(UTC)
    # Files are read before the transaction, which others wait for: a file system may be slow.
    whole = newest_whole(database, run_id)
    with database.write() as tx:
        run = get_run(tx, run_id, for_update=True)
        if run.status != Status.COMPLETED or (episodes is None and steps is None):
            check("resume", run)
        need_whole(run, _("cannot be resumed"))
        if not is_here(run) and not take_over:
            raise V3Error(
                "{named} was trained on host '{host}'; if its files are here and it no longer trains there, resume "
                "it with: {command} resume {id} --take-over.",
                named=named(run),
                host=run.host,
                command=COMMAND,
                id=run.id[:8],
            )
        if run.status != Status.COMPLETED:  # what it has already is no other length
            episodes = None if episodes == run.episodes else episodes
            steps = None if steps == run.steps else steps
        longer = None if episodes is None and steps is None else _longer(run, episodes, steps)
        start, where = _start(database, tx, run, whole)
        if longer is not None:
            if curriculum is not None:
                curriculum = lengthened(curriculum, _progress(tx, run))
            _lengthen(tx, run, longer, actor, now)
            if run.status == Status.COMPLETED:
                where = _("from before its end")
            run = get_run(tx, run_id)
        if curriculum is not None:
            _edit_before_resume(tx, run, curriculum, start, actor, now)
        values: dict[str, Any] = {
            "generation": run.generation + 1,
            "queued_at": now,
            "ended_at": None,
            "traceback": None,
            **NOWHERE,
            "rollout_at": None,
            "launch": renewed(run, here=here),
            **(needs := Needs.of(run)).columns(),
            "restarts": 0,
        }
        save_requested_slots(tx)
        message: Message = _("Resuming {where}.", where=where)
        if (run.needs_label, run.needs_gpus or None) != (needs.label, needs.gpus or None):
            lost = _("It no longer needs a certain node or GPU, because this machine is no cluster.")
            message = sentences(message, lost)
        if run.launcher not in {None, *NAMES, needs.launcher}:
            lost = _(
                "It no longer needs the cluster at {launcher}, because it was resumed elsewhere.", launcher=run.launcher
            )
            message = sentences(message, lost)
        change_status(tx, run, Status.QUEUED, message, actor=actor, now=now, values=values)
    drain(database, command)


def _start(
    database: Database, tx: Transaction, run: RunRow, whole: CheckpointRow | None
) -> tuple[CheckpointRow | None, str]:
    """Where a resume continues, and that in words; V3Error if episodes were trained and no checkpoint is whole.

    `whole` is the newest whole checkpoint, as found a moment ago.
    """
    known = read_checkpoints(tx, run.id)
    start = whole if whole in known else newest_whole(database, run.id, tx)
    if start is None and run.episode:
        names = f"'{database.place.name_of(database.data_dir / known[-1].path)}'" if known else _("it has none")
        raise V3Error(
            "{named} cannot be resumed: its checkpoints are gone or damaged ({names}); restore one, or start a new "
            "run.",
            named=named(run),
            names=names,
        )
    if start is None:
        return None, _("from the beginning")
    if start == known[-1]:
        return start, _("from the checkpoint at episode {episode}", episode=start.episode)
    return start, _(
        "from the checkpoint at episode {episode}; the newest, at episode {newest}, is gone or damaged",
        episode=start.episode,
        newest=known[-1].episode,
    )


def _edit_before_resume(
    tx: Transaction, run: RunRow, curriculum: Curriculum, start: CheckpointRow | None, actor: str, now: datetime
) -> None:
    """Let a resumed run continue under another curriculum from its checkpoint on."""
    episode, step = (start.episode, start.step) if start else (0, 0)
    before = [began for began in _progress(tx, run).starts if start is not None and began.episode <= episode]
    in_force = commands.curriculum_in_force(tx, run.id)
    if curriculum != in_force:
        check_edit(in_force, curriculum, Progress(episode, run.episodes, step, tuple(before), run.steps))
        commands.add_revision(tx, run.id, curriculum, actor=actor, now=now, applied_episode=episode)
        _note_edit(tx, run.id, episode, actor, now)
