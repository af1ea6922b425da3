"""What each expert did on the states of a run's evaluations, and episodes played without each expert."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import delete, func, insert, select

from v3core.insight.actions import is_name
from v3core.insight.experts import ExpertProfile, ExpertReport, StateMap
from v3core.insight.removals import ALL_EXPERTS
from v3core.messages import _
from v3core.store.bulk import floats
from v3core.store.database import Database, reading
from v3core.store.history import EvaluationResult
from v3core.store.schema import Transaction, evaluation_experts, evaluations, knockouts, state_maps
from v3core.store.trunks import of_run


def add_expert_report(tx: Transaction, run_id: str, episode: int, report: ExpertReport) -> None:
    """Record what the experts did in the evaluation after `episode` episodes; one of the same episode is replaced.

    Only the newest evaluation's map is kept.
    """
    c = evaluation_experts.c
    tx.execute(delete(evaluation_experts).where(c.run_id == run_id, c.episode == episode))
    of_all = {"run_id": run_id, "episode": episode, "states": report.states, "compared": report.compared}
    rows = [
        of_all
        | {"expert": expert, "load": profile.load, "hard_load": profile.hard_load}
        | {"actions": _json(profile.actions), "distances": _json(profile.distances)}
        | {"used_actions": None if profile.used_actions is None else _json(profile.used_actions)}
        for expert, profile in enumerate(report.experts)
    ]
    tx.execute(insert(evaluation_experts), rows)
    tx.execute(delete(state_maps).where(state_maps.c.run_id == run_id))
    points = {"run_id": run_id, "episode": episode, "states": report.states, "points": report.map.to_json()}
    tx.execute(insert(state_maps), [points])


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True)
class EvaluatedExperts:
    """What the experts did in one evaluation."""

    episode: int
    """Complete training episodes at the time."""
    states: int
    compared: int
    """States that the distances are measured on."""
    experts: tuple[ExpertProfile, ...]


def read_expert_reports(source: Database | Transaction, run_id: str, after: int = -1) -> list[EvaluatedExperts]:
    """What the experts did in a run's evaluations later than episode `after`, oldest first.

    Rows that are not what V3 Lab writes are skipped with their evaluation.
    """
    c = evaluation_experts.c
    columns = (c.episode, c.states, c.compared, c.load, c.hard_load, c.actions, c.used_actions, c.distances)
    with reading(source) as tx:
        mine = of_run(tx, evaluation_experts, run_id)
        rows = tx.execute(select(*columns).where(mine, c.episode > after).order_by(c.episode, c.expert)).all()
    found = []
    for episode, group in groupby(rows, key=lambda row: row.episode):
        of_episode = list(group)
        try:
            profiles = tuple(_profile(row, len(of_episode)) for row in of_episode)
            if len({_form(each) for one in profiles for each in (one.actions, one.used_actions) if each}) != 1:
                raise ValueError(_("distributions of different forms"))
            found.append(
                EvaluatedExperts(int(episode), int(of_episode[0].states), int(of_episode[0].compared), profiles)
            )
        except (TypeError, ValueError):
            continue
    return found


def count_expert_reports(source: Database | Transaction, run_id: str) -> tuple[int, int, int]:
    """What changes with what the experts did in evaluations; 0 without.

    The episode of the newest evaluation that recorded it, the number of rows, and the step of the newest evaluation:
    the one at the end of a run replaces one of the same episode.
    """
    c = evaluation_experts.c
    query = select(func.coalesce(func.max(c.episode), 0), func.count())
    with reading(source) as tx:
        newest, rows = tx.execute(query.where(of_run(tx, evaluation_experts, run_id))).one()
        step = select(func.max(evaluations.c.step)).where(
            of_run(tx, evaluations, run_id), evaluations.c.episode == newest
        )
        return int(newest), int(rows), int(tx.execute(step).scalar_one() or 0)


def _profile(row: Any, experts: int) -> ExpertProfile:
    load, hard_load = (None if math.isnan(value) else value for value in floats([row.load, row.hard_load]).tolist())
    used = None if row.used_actions is None else _actions(row.used_actions)
    distances = tuple(None if value is None else float(value) for value in json.loads(row.distances))
    if len(distances) != experts:
        raise ValueError(row.distances)
    return ExpertProfile(load, hard_load, _actions(row.actions), used, distances)


def _actions(text: str) -> Mapping[str, Any]:
    """An action distribution, of the forms of `v3core.insight.experts.Actions`."""
    found = json.loads(text)
    if not isinstance(found, dict) or not set(found) <= {"probabilities", "first", "names", "on", "mean", "deviation"}:
        raise ValueError(text)
    if "probabilities" in found:
        names = found.get("names", [])
        if not isinstance(names, list) or not all(map(is_name, names)):
            raise ValueError(text)
        return {
            "probabilities": [[float(value) for value in part] for part in found["probabilities"]],
            "first": [int(value) for value in found.get("first", [])],
            **({"names": names} if names else {}),
        }
    numbers = {name: [float(value) for value in values] for name, values in found.items()}
    if set(numbers) not in ({"on"}, {"mean", "deviation"}) or len(set(map(len, numbers.values()))) != 1:
        raise ValueError(text)
    return numbers


def _form(actions: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is alike in the distributions of all experts of an evaluation."""
    parts = actions["probabilities"] if "probabilities" in actions else actions.values()
    return (*actions, *map(len, parts))


def read_state_map(source: Database | Transaction, run_id: str) -> tuple[int, StateMap] | None:
    """The states of the newest evaluation that has a map, with the episode it was taken at; None without one."""
    c = state_maps.c
    with reading(source) as tx:
        row = tx.execute(
            select(c.episode, c.points).where(of_run(tx, state_maps, run_id)).order_by(c.episode.desc()).limit(1)
        ).one_or_none()
    try:
        return None if row is None else (int(row.episode), StateMap.from_json(row.points))
    except (TypeError, ValueError):
        return None


def add_knockouts(
    tx: Transaction,
    run_id: str,
    *,
    episode: int,
    results: Mapping[int, Sequence[EvaluationResult]],
    now: datetime,
) -> None:
    """Record episodes without each expert, by expert from 0 (`ALL_EXPERTS` for none); replaces those of `episode`."""
    tx.execute(delete(knockouts).where(knockouts.c.run_id == run_id, knockouts.c.episode == episode))
    shared = {"run_id": run_id, "episode": episode, "at": now}
    rows = [
        shared | {"expert": expert, "number": number, "return_": return_, "length": length, "success": success}
        for expert, played in results.items()
        for number, (return_, length, success) in enumerate(played, start=1)
    ]
    tx.execute(insert(knockouts), rows)


@dataclass(frozen=True)
class KnockoutRow:
    """Returns of the same episodes with all experts, and without each of them."""

    episode: int
    """Complete training episodes of the policy."""
    complete: tuple[float, ...]
    without: Mapping[int, tuple[float, ...]]
    """Expert, from 0, to the returns of the same episodes without it."""


def read_knockouts(source: Database | Transaction, run_id: str) -> list[KnockoutRow]:
    """All of a run that are complete, oldest first."""
    c = knockouts.c
    query = select(c.episode, c.expert, c.return_).order_by(c.episode, c.expert, c.number)
    with reading(source) as tx:
        rows = tx.execute(query.where(of_run(tx, knockouts, run_id))).all()
    found = []
    for episode, of_episode in groupby(rows, key=lambda row: row.episode):
        returns = {
            expert: tuple(floats([row.return_ for row in group]).tolist())
            for expert, group in groupby(of_episode, key=lambda row: row.expert)
        }
        complete = returns.pop(ALL_EXPERTS, ())
        if complete and all(len(played) == len(complete) for played in returns.values()):
            found.append(KnockoutRow(int(episode), complete, returns))
    return found


def newest_knockout(source: Database | Transaction, run_id: str) -> int | None:
    """The episode of the newest knock-out; None without one."""
    with reading(source) as tx:
        found: int | None = tx.execute(
            select(func.max(knockouts.c.episode)).where(of_run(tx, knockouts, run_id))
        ).scalar_one()
    return found
