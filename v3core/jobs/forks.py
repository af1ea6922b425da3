"""Forks: runs that begin with a checkpoint of another run, and train on from there with something changed.

A fork has the weights, the optimiser, the normaliser, the environments and the random numbers of the checkpoint, and
shows the records of its parent up to there as its own, without a copy of them (`v3core.store.trunks`).
"""

import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from v3core.config import MAX_NAME, MAX_SEED, PPOConfig, Recipe, RunConfig, check_name, fitting_length
from v3core.curriculum import (
    Curriculum,
    Length,
    PhaseStart,
    Progress,
    Until,
    check_edit,
    check_fits,
    check_router_learns,
    lengthened,
)
from v3core.curriculum.realised import continued
from v3core.errors import V3Error, explained
from v3core.jobs.checkpoints import is_intact, is_present
from v3core.jobs.files import checkpoint_file
from v3core.jobs.kinds import named
from v3core.jobs.launch import renewed
from v3core.jobs.launcher import StartCommand, check_priority, drain, worker_command
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.lifecycle import Status
from v3core.jobs.needs import Needs
from v3core.jobs.retention import need_whole
from v3core.jobs.slots import save_requested_slots
from v3core.messages import _
from v3core.overrides import set_values
from v3core.phrases import counted, listed
from v3core.places import Place, PlaceError
from v3core.store import commands
from v3core.store.alarms import copy_alarms
from v3core.store.database import Database
from v3core.store.history import (
    CheckpointRow,
    PhaseChangeRow,
    add_checkpoint,
    add_event,
    add_phase_change,
    newest_evaluation,
    read_checkpoints,
    read_phase_changes,
)
from v3core.store.run_row import RunRow
from v3core.store.runs import add_run, begin_at, find_run, get_run
from v3core.store.schema import Transaction
from v3core.store.writer import truncate

EVENT = "fork"
"""Kind of the events about forks."""
MAX_FORKS = 200
"""Forks that are started at once."""
_NAMED = 30
"""Checkpoints that an error lists."""


@dataclass(frozen=True)
class Origin:
    """Where forks of a run begin."""

    run: RunRow
    checkpoint: CheckpointRow
    curriculum: Curriculum
    """The one that the run continued with from there."""
    starts: tuple[PhaseStart, ...]
    """Where its phases had begun by then."""
    revisions: tuple[commands.RevisionRow, ...] = ()
    """The curricula that it had had until then, the last of them that one."""

    def progress(self, length: Length) -> Progress:
        """How far a fork of that length is when it begins."""
        return Progress(self.checkpoint.episode, length.episodes, self.checkpoint.step, self.starts, length.steps)

    def is_end_of(self, length: Length) -> bool:
        """Whether a run of that length has nothing left to train after the checkpoint."""
        return length.is_reached(self.checkpoint.episode, self.checkpoint.step)


@dataclass(frozen=True)
class Change:
    """What a fork does otherwise than its parent; by default nothing."""

    curriculum: Curriculum | None = None
    """May only change what comes after the checkpoint, unless it is for `from_here`."""
    seed: int | None = None
    """Of all random numbers from the checkpoint on; the parent's continues with the parent's numbers."""
    assignments: tuple[str, ...] = ()
    """Settings, as in `ppo.epochs=4` and `phases.sharp.load_balance=0.1`."""
    episodes: int | None = None
    """Length of the fork, the episodes of its trunk included."""
    name: str | None = None
    steps: int | None = None
    """Length of the fork in environment steps, those of its trunk included."""
    from_here: bool = False
    """Whether the curriculum is followed from the checkpoint on, whatever was trained before that."""

    def length_of(self, trained: RunConfig, ppo: PPOConfig | None = None, begin: int = 0) -> Length:
        """How long the fork of a run is trained; what is not given is as in that run.

        Its own environments, by default as many, step together from step `begin` on, and take its steps exactly.
        """
        ppo = trained.ppo if ppo is None else ppo
        by_steps = trained.length.is_by_steps and self.episodes is None
        episodes = None if by_steps else self.episodes if self.episodes is not None else trained.episodes
        steps = trained.steps if self.steps is None else self.steps
        length = fitting_length(episodes, steps, ppo)
        if steps is None:
            return length
        whole = begin - (begin - steps) // ppo.environments * ppo.environments
        return Length.of(None if length.is_by_steps else length.episodes, max(whole, 1))


IsUsable = Callable[[Database, Path], bool]
"""Whether a fork could begin with a checkpoint's file."""


def origin_of(
    database: Database,
    run_id: str,
    episode: int | None = None,
    tx: Transaction | None = None,
    *,
    is_usable: IsUsable = is_intact,
) -> Origin:
    """The checkpoint after `episode` episodes, by default the newest that leaves something to train, and what belongs.

    Raises:
        V3Error: naming the checkpoints that are there, if there is none of that episode, or its file is damaged.
    """
    if tx is None:
        with database.read() as reading:
            return origin_of(database, run_id, episode, reading, is_usable=is_usable)
    run = get_run(tx, run_id)
    if run.status == Status.UNREADABLE:
        raise V3Error("{named} cannot be forked: its row in the database is invalid.", named=named(run))
    need_whole(run, _("cannot be forked"))
    known = read_checkpoints(tx, run_id)
    wanted = [
        row
        for row in known
        if (not run.length.is_reached(row.episode, row.step) if episode is None else row.episode == episode)
    ]
    whole = next((row for row in reversed(wanted) if is_usable(database, database.data_dir / row.path)), None)
    if whole is None:
        raise V3Error(_no_checkpoint(database, run, known, episode))
    applied = [row for row in commands.read_revisions(tx, run_id) if row.state == commands.APPLIED]
    before = [row for row in applied if (row.applied_episode or 0) <= whole.episode]
    curriculum = before[-1].curriculum if before else commands.curriculum_in_force(tx, run_id)
    changes = [change for change in read_phase_changes(tx, run_id) if change.episode <= whole.episode]
    return Origin(
        run, whole, curriculum, tuple(PhaseStart(change.episode, change.step) for change in changes), tuple(before)
    )


def _no_checkpoint(database: Database, run: RunRow, known: Sequence[CheckpointRow], episode: int | None) -> str:
    if any(row.episode == episode for row in known):
        return _(
            "The checkpoint of {run} at episode {episode} is gone or damaged; {there}.",
            run=named(run),
            episode=episode,
            there=_there(database, known),
        )
    if episode is None:
        return _("{run} has no checkpoint to begin with; {there}.", run=named(run), there=_there(database, known))
    return _(
        "{run} has no checkpoint at episode {episode}; {there}.",
        run=named(run),
        episode=episode,
        there=_there(database, known),
    )


def _there(database: Database, known: Sequence[CheckpointRow]) -> str:
    there = [str(row.episode) for row in known if is_present(database, database.data_dir / row.path)]
    if not there:
        return _("it has none that a fork could begin with")
    newest = listed(there[-_NAMED:])
    if len(there) > _NAMED:
        return _("its checkpoints are at {episodes} and {more} earlier ones", episodes=newest, more=len(there) - _NAMED)
    return _("its checkpoints are at {episodes}", episodes=newest)


_OF_RECIPE = ("base", "ppo", "policy", "evaluation", "episode_facts", "overrides")


def config_of(origin: Origin, change: Change = Change()) -> RunConfig:
    """What a fork is trained with.

    Raises:
        V3Error: if the curriculum changes what is trained already or gives the router no gradient in a phase that it
            changes, or a setting is one of the network.
    """
    trained = origin.run.config
    if change.episodes is not None and change.episodes < 1:
        raise _nothing_left(origin, Length(change.episodes))
    parts = {name: getattr(trained, name) for name in _OF_RECIPE}
    recipe = Recipe(name=trained.recipe, match=("*",), **parts)
    of_ppo = [assignment for assignment in change.assignments if assignment.strip().startswith("ppo.")]
    ppo = set_values(recipe, [], trained.episodes, of_ppo)[0].ppo
    length = change.length_of(trained, ppo, origin.checkpoint.step)
    if origin.is_end_of(length):
        raise _nothing_left(origin, length)
    seed = trained.seed if change.seed is None else change.seed
    if not 0 <= seed <= MAX_SEED:
        raise V3Error(
            "Seed {seed} is out of range; choose a whole number from 0 to {max_seed}.", seed=seed, max_seed=MAX_SEED
        )
    progress = origin.progress(length)
    in_force = origin.curriculum
    if length.episodes > trained.episodes or (length.steps or 0) > (trained.steps or 0):
        in_force = lengthened(in_force, origin.progress(trained.length))
    wanted, kept = _wanted(change, in_force, progress, trained)
    before = wanted.phases[:kept]
    recipe, (wanted,) = set_values(
        recipe,
        [wanted],
        length.episodes,
        change.assignments,
        steps=length.steps,
    )
    if recipe.policy != trained.policy:
        raise V3Error("A fork has the network of its checkpoint; policy settings cannot be changed.")
    if kept and wanted.phases[:kept] != before:
        raise V3Error(
            "The phases up to '{name}' are trained already; only later ones can be changed.", name=before[-1].name
        )
    check_router_learns(wanted, trained.policy.experts, before=in_force)
    if not kept and wanted != in_force:
        check_edit(in_force, wanted, progress)
    parts = {name: getattr(recipe, name) for name in _OF_RECIPE}
    with explained(_("The fork")):
        return RunConfig.model_validate(
            dict(trained)
            | parts
            | {"name": _name(origin, change, seed), "seed": seed, **vars(length), "curriculum": wanted}
        )


def _nothing_left(origin: Origin, length: Length) -> V3Error:
    where, unit = origin.checkpoint, "episode"
    done, planned = where.episode, length.episodes
    if length.steps is not None and where.step >= length.steps:
        unit, done, planned = "step", where.step, length.steps
    return V3Error(
        "{named} has {done} at that checkpoint, and the fork is planned for {planned:,}; give it more with "
        "--{option}, or begin at an earlier checkpoint.",
        named=named(origin.run),
        done=counted(done, unit),
        option=f"{unit}s",
        planned=planned,
    )


def _wanted(change: Change, in_force: Curriculum, progress: Progress, trained: RunConfig) -> tuple[Curriculum, int]:
    """The curriculum of a fork, and how many of its phases are over when it begins, 0 if `check_edit` says so."""
    wanted = in_force if change.curriculum is None else change.curriculum
    here = len(progress.starts) - 1
    if here >= 0 and progress.starts[here].episode < progress.episode:
        over = in_force.phases[here].model_copy(update={"until": Until(episode=progress.episode)})
        if wanted.phases[: here + 1] == (*in_force.phases[:here], over):
            return wanted, here + 1  # of another fork that follows it from here
    if not change.from_here:
        return wanted, 0
    try:
        check_edit(in_force, wanted, progress)
    except V3Error:
        check_fits(wanted, progress.episodes, progress.steps)
        spliced = continued(in_force, wanted, progress, trained.base.values())
        check_fits(spliced, progress.episodes, progress.steps)
        is_new = bool(progress.starts) and progress.starts[-1].episode == progress.episode
        return spliced, len(progress.starts) - is_new
    return wanted, 0


def _name(origin: Origin, change: Change, seed: int) -> str:
    if change.name is not None:
        check_name(_("run"), change.name)
        return change.name.strip()
    parts = [f"from {origin.checkpoint.episode}"]
    if change.curriculum is not None and change.curriculum.name != origin.curriculum.name:
        parts.append(change.curriculum.name)
    parts += [*change.assignments]
    if seed != origin.run.seed:
        parts.append(f"seed {seed}")
    name, end = origin.run.name, " · ".join(parts)
    end = end if len(end) < MAX_NAME - 20 else f"{end[: MAX_NAME - 21]}…"
    kept = MAX_NAME - len(end) - 3
    return f"{name if len(name) <= kept else name[: kept - 1] + '…'} · {end}"


def fork(
    database: Database,
    run_id: str,
    *,
    episode: int | None = None,
    curriculum: Curriculum | None = None,
    seed: int | None = None,
    assignments: Sequence[str] = (),
    episodes: int | None = None,
    steps: int | None = None,
    name: str | None = None,
    from_here: bool = False,
    here: bool = False,
    actor: str = "user",
    command: StartCommand = worker_command,
) -> str:
    """Queue a run that begins with a checkpoint of another one, in any status; returns its id.

    Args:
        database: an open store.
        run_id: full id of the parent.
        episode: complete episodes of the checkpoint; by default the newest.
        curriculum: the fork's, which may only change what comes after the checkpoint; by default the parent's there.
        seed: of all random numbers from the checkpoint on; by default the parent's numbers continue.
        assignments: changed settings, such as `ppo.epochs=4`.
        episodes: length of the fork, the trunk's episodes included; by default the parent's.
        steps: the same in environment steps.
        name: by default made of the parent's and of what is changed.
        from_here: follow the curriculum from the checkpoint on, also if another one was trained up to there.
        here: use the import folders and variables of this process instead of those saved with the parent.
        actor: who requests it, for the histories.
        command: from run id to the command line of its worker.

    Raises:
        V3Error: also if there is no such checkpoint, the parent's import folders are gone, or the change reaches into
            what is trained already.
    """
    change = Change(curriculum, seed, tuple(assignments), episodes, name, steps, from_here)
    return fork_all(database, run_id, [change], episode=episode, here=here, actor=actor, command=command)[0]


def pairs(curriculum: Curriculum, seeds: Sequence[int]) -> list[Change]:
    """For each seed a fork as it was and one with the curriculum, side by side in the queue."""
    return [change for seed in seeds for change in (Change(seed=seed), Change(curriculum, seed))]


def fork_all(
    database: Database,
    run_id: str,
    changes: Sequence[Change],
    *,
    episode: int | None = None,
    experiment: str | None = None,
    priority: int = 0,
    token: str | None = None,
    here: bool = False,
    actor: str = "user",
    command: StartCommand = worker_command,
) -> list[str]:
    """Queue several forks of one checkpoint, all or none, as one experiment; returns their ids.

    Further arguments are those of `fork` and of `v3core.jobs.launcher.enqueue`. Those that another request with the
    same token has queued already are not queued again.
    """
    chosen().check(database)
    database.place.check()
    check_priority(priority)
    if experiment is not None:
        check_name(_("experiment"), experiment)
    if not 0 < len(changes) <= MAX_FORKS:
        raise V3Error(
            "{changes} forks at once are out of range; choose 1 to {max_forks}.",
            changes=len(changes),
            max_forks=MAX_FORKS,
        )
    group = uuid.UUID(token) if token else uuid.uuid4()
    ids = [str(uuid.uuid5(group, f"fork {place}")) for place in range(len(changes))]
    folders: list[Path] = []
    checked = _checked(database, run_id, episode, ids)
    try:
        with database.write() as tx:
            wanted = [place for place, new_id in enumerate(ids) if find_run(tx, new_id) is None]
            if not wanted:
                return ids
            get_run(tx, run_id, for_update=True)  # its worker deletes no checkpoint meanwhile
            # Its file was read before the transaction, which others wait for.
            origin = origin_of(
                database,
                run_id,
                episode,
                tx,
                is_usable=lambda db, file: is_present(db, file) if file == checked else is_intact(db, file),
            )
            trunk = _trunk_of(tx, origin)
            source = database.data_dir / origin.checkpoint.path
            save_requested_slots(tx)
            now = datetime.now(UTC)
            for place in wanted:
                new_id, change = ids[place], changes[place]
                # A microsecond apart, so that the queue keeps their order.
                at = now + timedelta(microseconds=place)
                add_run(
                    tx,
                    new_id,
                    config_of(origin, change),
                    status=Status.QUEUED,
                    now=at,
                    experiment=experiment,
                    priority=priority,
                    launch=renewed(origin.run, here=here, command="fork"),
                    **Needs.of(origin.run).columns(),
                )
                file = _begin(database, tx, origin, trunk, new_id, actor=actor, now=at)
                # All from the first: the parent may replace its file meanwhile.
                _share(database.place, source, file, folders)
                source = file
    except BaseException:
        for folder in folders:  # not those of another call with the same token
            if _is_unknown(database, folder.name):
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(PlaceError):
                    database.place.remove_behind(folder)
        raise
    drain(database, command)
    return ids


def _checked(database: Database, run_id: str, episode: int | None, ids: Sequence[str]) -> Path | None:
    """The file of the checkpoint that forks begin with, which is whole; None if they are there already."""
    if not any(_is_unknown(database, new_id) for new_id in ids):
        return None
    return database.data_dir / origin_of(database, run_id, episode).checkpoint.path


def _is_unknown(database: Database, run_id: str) -> bool:
    with database.read() as tx:
        return find_run(tx, run_id) is None


@dataclass(frozen=True)
class _Trunk:
    """What all forks of one checkpoint begin with."""

    evaluated: int
    """Episodes at the newest evaluation up to the checkpoint; whether it came before that its worker sees."""
    phases: tuple[PhaseChangeRow, ...]


def _trunk_of(tx: Transaction, origin: Origin) -> _Trunk:
    evaluated = newest_evaluation(tx, origin.run.id, until=origin.checkpoint.episode)
    return _Trunk(evaluated or 0, tuple(read_phase_changes(tx, origin.run.id)[: len(origin.starts)]))


def _begin(
    database: Database, tx: Transaction, origin: Origin, trunk: _Trunk, new_id: str, *, actor: str, now: datetime
) -> Path:
    """Give a fork, whose row is there, all rows that it has of its own when it begins.

    Returns where its checkpoint belongs.
    """
    parent, checkpoint = origin.run, origin.checkpoint
    config = get_run(tx, new_id).config
    begin_at(tx, new_id, parent, checkpoint.episode, trunk.evaluated)
    for change in trunk.phases:  # at a boundary the phase that begins may be another
        add_phase_change(tx, new_id, replace(change, name=config.curriculum.phases[change.phase].name))
    copy_alarms(tx, parent.id, new_id, checkpoint.episode)
    for row in origin.revisions:
        began = row.applied_episode or 0
        commands.add_revision(tx, new_id, row.curriculum, actor=row.actor, now=now, applied_episode=began)
    if not origin.revisions or config.curriculum != origin.revisions[-1].curriculum:
        at = checkpoint.episode if origin.revisions else 0
        commands.add_revision(tx, new_id, config.curriculum, actor=actor, now=now, applied_episode=at)
    file = checkpoint_file(database, new_id, checkpoint.episode)
    path = str(file.relative_to(database.data_dir))
    add_checkpoint(tx, new_id, CheckpointRow(checkpoint.episode, checkpoint.step, path, now, checkpoint.bytes))
    truncate(
        tx,
        new_id,
        episode=checkpoint.episode,
        step=checkpoint.step,
        now=now,
        phases=len(origin.starts),
        evaluated=trunk.evaluated,
    )
    where = _("at episode {episode:,}", episode=checkpoint.episode)
    message = _(
        "Forked from {named} {where}, with curriculum {name} and seed {seed}.",
        named=named(parent),
        where=where,
        name=config.curriculum.name,
        seed=config.seed,
    )
    add_event(tx, new_id, actor=actor, kind=EVENT, message=message, now=now)
    message = _("Run {new_id} '{name}' was forked from it {where}.", new_id=new_id[:8], name=config.name, where=where)
    add_event(tx, parent.id, actor=actor, kind=EVENT, message=message, now=now)
    return file


def _share(place: Place, source: Path, target: Path, folders: list[Path]) -> None:
    """A second name for a checkpoint file, or a copy.

    The run's folder, which must not be there yet, is added to `folders`.
    """
    folder = target.parent.parent
    try:
        folder.mkdir(parents=True)
        folders.append(folder)
        target.parent.mkdir()
        place.share(source, target)
    except OSError as error:
        raise V3Error(
            "The checkpoint cannot be copied to {target}: {value}.", target=target, value=error.strerror or error
        ) from None
