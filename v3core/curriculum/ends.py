"""The end of a phase as typed by a user: `1000`, `step 50000`, `return ≥ 450 (100) after 200 within 1500`."""

import re

from pydantic import ValidationError

from v3core.curriculum.knobs import METRICS
from v3core.curriculum.until import Until
from v3core.errors import V3Error, explain
from v3core.rollup import LONGEST_WINDOW

HOW_TO_WRITE_AN_END = (
    "Enter a number of completed episodes (1000), of environment steps (step 50000), or a trigger: return ≥ 450 "
    "(100) ends the phase once the mean return of its last 100 episodes reaches 450. Add 'after 200' for a minimum "
    "and 'within 1500' for a maximum number of episodes in the phase."
)

_COUNT = re.compile(r"(?:(episode|step)s?\s+)?(-?\d[\d,_]*)", re.IGNORECASE)
_TRIGGER = re.compile(
    r"(?P<metric>[a-z]+)\s*(?P<sign>≥|>=|≤|<=)\s*(?P<level>\S+?)\s*(?:\((?P<window>\d[\d,]*)\))?"
    r"(?:,?\s+after\s+(?P<least>\d[\d,]*))?(?:,?\s+within\s+(?P<most>\d[\d,]*))?",
    re.IGNORECASE,
)


def format_end(until: Until | None) -> str:
    """The end as `parse_end` reads it; that of the last phase is an empty string."""
    if until is None:
        return ""
    if until.episode is not None:
        return str(until.episode)
    if until.step is not None:
        return f"step {until.step}"
    text = f"{until.metric} {'≥' if until.at_least is not None else '≤'} {until.threshold!r} ({until.window})"
    text = text.replace(".0 (", " (")
    if until.min_episodes:
        text += f" after {until.min_episodes}"
    return text if until.max_episodes is None else f"{text} within {until.max_episodes}"


def parse_end(text: str) -> Until | None:
    """Parse the typed end of a phase; None for an empty text.

    Raises:
        V3Error: if it cannot be read, or ends the phase where none can end.
    """
    text = text.strip()
    if not text:
        return None
    if count := _COUNT.fullmatch(text):
        unit, number = (count[1] or "episode").lower(), int(count[2].replace(",", "").replace("_", ""))
        if number < 1:
            raise V3Error(f"A phase cannot end at {unit} {number}; choose 1 or later.")
        return Until(step=number) if unit == "step" else Until(episode=number)
    found = _TRIGGER.fullmatch(text)
    if found is None:
        raise V3Error(f"End '{text}' cannot be parsed; write 1000, step 50000 or return ≥ 450 (100).")
    metric = found["metric"].lower()
    if metric not in METRICS:
        raise V3Error(f"End '{text}' watches '{metric}'; choose {', '.join(METRICS[:-1])} or {METRICS[-1]}.")
    try:
        content: dict[str, object] = {"metric": metric, "window": _whole(found["window"] or str(LONGEST_WINDOW))}
        content["at_least" if found["sign"] in {"≥", ">="} else "at_most"] = float(found["level"])
        content["min_episodes"] = _whole(found["least"]) or 0
        content["max_episodes"] = _whole(found["most"])
        return Until.model_validate(content)
    except ValidationError as error:
        raise V3Error(explain(error, f"End '{text}'")) from None
    except ValueError:
        raise V3Error(
            f"End '{text}' compares with '{found['level']}', which is not a number; write 450 or 0.9."
        ) from None


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text.replace(",", ""))
