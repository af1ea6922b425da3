"""How fast a run went: when some of its episodes ended."""

from datetime import datetime

from sqlalchemy import select

from v3core.store.database import Database
from v3core.store.schema import episodes

POINTS = 64


def read_pace(database: Database, run_id: str, episode: int) -> list[tuple[int, int, datetime]]:
    """Number, step and time of the end of at most 64 episodes, evenly chosen up to `episode`, oldest first."""
    count = min(POINTS, episode)
    wanted = sorted({1 + round(place * (episode - 1) / max(1, count - 1)) for place in range(count)})
    c = episodes.c
    query = select(c.episode, c.step, c.at).where(c.run_id == run_id, c.episode.in_(wanted)).order_by(c.episode)
    with database.read() as tx:
        return [(row.episode, row.step, row.at) for row in tx.execute(query)]
