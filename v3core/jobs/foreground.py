"""Training in this process, recorded like any run: what `train` on the command line does."""

from collections.abc import Callable
from datetime import UTC, datetime

from v3core.config import RunConfig
from v3core.jobs.files import log_file
from v3core.jobs.launcher import claim, create
from v3core.jobs.lifecycle import Status
from v3core.jobs.logs import logging_to
from v3core.jobs.notice import call_webhooks
from v3core.jobs.recorder import ForegroundProgress
from v3core.jobs.signals import stop_on_signals
from v3core.jobs.supervisor import reconcile
from v3core.jobs.worker import adopt, train_run
from v3core.store.database import Database
from v3core.store.runs import get_run

__all__ = ["ForegroundProgress", "train_here"]


def train_here(
    database: Database, config: RunConfig, on_progress: Callable[[ForegroundProgress], None]
) -> tuple[str, Status]:
    """Create a run and train it in this process, without waiting for a slot.

    Ctrl-C stops it gracefully, with a checkpoint; a second one does no harm. The log goes to the run's folder.

    `on_progress` is called after each update that completed an episode. Returns the run's id, and its final status;
    its reason is in the run's row.
    """
    now = datetime.now(UTC)
    with stop_on_signals() as stop:
        with database.write() as tx:
            run_id = create(tx, config, now=now)
            claim(tx, get_run(tx, run_id), now=now, actor="worker")  # before any queue can take it
        with logging_to(log_file(run_id, database.data_dir)):
            status = train_run(database, adopt(database, run_id), stop, on_progress)
    if not stop.asked():
        reconcile(database)
    call_webhooks(database)
    return run_id, status
