"""Many runs that are started together: their seeds as a person types them, and a name for the group."""

import re
from datetime import datetime

from v3core.config import MAX_SEED
from v3core.errors import V3Error

MOST_SEEDS = 100


def parse_seeds(text: str) -> list[int]:
    """The seeds that `text` names, in its order, each once.

    Raises:
        V3Error: if a part is not a seed, is out of range, or there are none or too many.
    """
    seeds: dict[int, None] = {}
    ranges_closed_up = re.sub(r"(?<=\d)\s*[-–]\s*(?=\d)", "-", text)
    for part in re.findall(r"[^,;\s]+", ranges_closed_up):
        span = re.fullmatch(r"(\d{1,20})-(\d{1,20})", part)
        if span:
            first, last = int(span[1]), int(span[2])
            if last < first or last - first >= MOST_SEEDS:
                raise V3Error(f"'{part}' is not a range of at most {MOST_SEEDS} seeds; write it as 1-5.")
            seeds.update(dict.fromkeys(range(first, last + 1)))
        elif re.fullmatch(r"\d{1,20}", part):
            seeds[int(part)] = None
        else:
            raise V3Error(f"'{part}' is not a seed; write whole numbers, as in 1, 2, 3 or 1-5.")
    if not seeds:
        raise V3Error("There is no seed; write at least one whole number, such as 1.")
    if max(seeds) > MAX_SEED:
        raise V3Error(f"Seed {max(seeds)} is out of range; choose whole numbers from 0 to {MAX_SEED}.")
    if len(seeds) > MOST_SEEDS:
        raise V3Error(f"{len(seeds)} seeds are more than the {MOST_SEEDS} that one launch takes.")
    return list(seeds)


def experiment_name(env: str, now: datetime) -> str:
    """A name for a group of runs that was given none; `now` in the time zone of whoever reads it."""
    return f"{env} · {now:%d %b %H:%M:%S}"
