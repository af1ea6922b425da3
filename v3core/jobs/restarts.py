"""Runs that were lost and say that they are to be queued again then, as often as they say."""

from datetime import UTC, datetime
from functools import partial

from v3core.jobs.checkpoints import newest_whole
from v3core.jobs.identity import NOWHERE, is_here
from v3core.jobs.launchers.chosen import chosen
from v3core.jobs.lifecycle import Status, change_status
from v3core.messages import _
from v3core.places import PlaceError
from v3core.store.database import Database
from v3core.store.history import add_event, read_checkpoints
from v3core.store.runs import get_run, restartable, update_run


def restart_lost(database: Database) -> list[str]:
    """Queue the lost runs again that may be, from their newest whole checkpoint; returns their ids.

    Safe in many processes at once. One whose checkpoints are gone is left as it is, and its history says so.
    """
    with database.read() as tx:
        ours = {None, *chosen().names}  # the checkpoints of others are elsewhere
        candidates = [run for run in map(partial(get_run, tx), restartable(tx)) if run.launcher in ours]
    lost = [run.id for run in candidates if database.place.is_remote or is_here(run)]
    restarted = []
    for run_id in lost:
        now = datetime.now(UTC)
        try:
            whole = newest_whole(database, run_id)  # read before the transaction, which others wait for
        except PlaceError:
            continue  # it is not known to be gone: the next look tries again
        with database.write() as tx:
            run = get_run(tx, run_id, for_update=True)
            if run.status != Status.LOST or run_id not in restartable(tx):
                continue
            if whole is not None and whole not in read_checkpoints(tx, run_id):
                continue  # it trained and was lost meanwhile
            if whole is None and run.episode:
                message = _("Its checkpoints are gone or damaged, so it is not queued again.")
                update_run(tx, run_id, {"max_restarts": None}, only_in={Status.LOST})
                add_event(tx, run_id, actor="supervisor", kind="remark", message=message, now=now)
                continue
            where = (
                _("from the beginning")
                if whole is None
                else _("from the checkpoint at episode {episode}", episode=whole.episode)
            )
            values = {
                "generation": run.generation + 1,
                "restarts": run.restarts + 1,
                "queued_at": now,
                "ended_at": None,
                "traceback": None,
                "rollout_at": None,
                **NOWHERE,
            }
            message = _(
                "Queued again {where}: restart {value} of {max_restarts}.",
                where=where,
                value=run.restarts + 1,
                max_restarts=run.max_restarts,
            )
            if change_status(tx, run, Status.QUEUED, message, actor="supervisor", now=now, values=values):
                restarted.append(run_id)
    return restarted
