"""The curriculum that a run really trained under, live edits included, and saving it as a preset."""

from pathlib import Path

from v3core.curriculum import Curriculum
from v3core.curriculum.presets import save_preset
from v3core.curriculum.realised import Edition, realised
from v3core.errors import V3Error
from v3core.jobs.control import progress_of
from v3core.jobs.kinds import named
from v3core.jobs.lifecycle import ENDED
from v3core.messages import _, several
from v3core.store.commands import APPLIED, edits_of, read_revisions
from v3core.store.database import Database
from v3core.store.history import read_episode
from v3core.store.runs import get_run


def what_happened(database: Database, run_id: str) -> Curriculum:
    """Every phase as long as it really was, with what edits changed from where they did; see `realised`.

    Raises:
        V3Error: for an unknown run, or one whose curricula cannot be read.
    """
    run, progress = get_run(database, run_id), progress_of(database, run_id)
    editions = []
    for row in read_revisions(database, run_id):
        if row.state == APPLIED:
            episode = row.applied_episode or 0
            newest = read_episode(database, run_id, episode) if episode else None
            editions.append(Edition(row.curriculum, episode, int((newest or {}).get("step") or 0)))
    if not editions:
        raise V3Error("The curriculum of {named} was not recorded.", named=named(run))
    # Several edits between two updates: the last one counts.
    last = {edition.episode: edition for edition in editions}
    made = realised([last[episode] for episode in sorted(last)], progress, run.config.base.values())
    edits = edits_of(database, [run_id]).get(run_id, 0)
    parts = [_("What run {id} trained under", id=run.id[:8])]
    if edits:
        parts.append(
            several("with {count} edit made while it trained", "with {count} edits made while it trained", count=edits)
        )
    if run.status not in ENDED:
        parts.append(_("up to episode {episode}", episode=run.episode))
    return made.model_copy(update={"description": f"{', '.join(parts)}."})


def save_curriculum(database: Database, run_id: str, name: str) -> Path:
    """Save it as a new preset; returns its file.

    Raises:
        V3Error: also for a name that cannot be a preset's, or is one already.
    """
    return save_preset(what_happened(database, run_id), name)
