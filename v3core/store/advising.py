"""What helps against the alarms of a run, by the settings that were in force when they held."""

from collections.abc import Callable

from v3core.curriculum import PhaseStart, Progress, Settings, settings_at
from v3core.errors import V3Error
from v3core.insight.alarms import RULES
from v3core.insight.alarms.advice import advice
from v3core.store.commands import APPLIED, read_revisions
from v3core.store.database import Database, reading
from v3core.store.history import read_phase_changes
from v3core.store.runs import get_run
from v3core.store.schema import Transaction


def settings_of(source: Database | Transaction, run_id: str) -> Callable[[int], Settings]:
    """The settings that a run had at an episode; those of a ramp over steps as at the end of its phase, or now.

    Raises:
        V3Error: if its configuration or a curriculum cannot be read.
    """
    with reading(source) as tx:
        run = get_run(tx, run_id)
        applied = [row for row in read_revisions(tx, run_id) if row.state == APPLIED]
        changes = read_phase_changes(tx, run_id)
    base, length = run.config.base.values(), run.length

    def at(episode: int) -> Settings:
        before = [row for row in applied if (row.applied_episode or 0) < episode]
        begun = [change for change in changes if change.episode < max(episode, 1)]
        later = changes[len(begun) :]
        progress = Progress(
            episode,
            length.episodes,
            later[0].step if later else run.step,
            tuple(PhaseStart(change.episode, change.step) for change in begun),
            length.steps,
        )
        return settings_at(before[-1].curriculum if before else run.config.curriculum, progress, base)

    return at


def advices(tx: Transaction, run_id: str) -> Callable[[str, int], str]:
    """What helps where a rule held at an episode of a run; nothing for a rule of another version."""
    try:
        config, settings = get_run(tx, run_id).config, settings_of(tx, run_id)
    except V3Error:
        return lambda rule, _episode: RULES[rule].advice if rule in RULES else ""
    return lambda rule, episode: advice(RULES[rule], settings(episode), config) if rule in RULES else ""
