"""The table of phases on Compare says what numpy makes of the recorded episodes, in every column."""

import math
import re
from itertools import product

import numpy as np
import pytest

from tests.known_run import EXPERTS, PHASES, RUN, add_known_run, known_columns
from tests.pages.test_states import phase_rows

CHINESE = re.compile(r"[\u4e00-\u9fff]")
COUNT, WINDOW = 1500, 100


def entropy(loads: np.ndarray) -> float:
    return -sum(load * math.log(load) for load in loads if load > 0)


def test_every_column_is_of_its_own_metric_and_phase(open_page, database):
    raw = known_columns(COUNT)
    raw["load_1"][-WINDOW:] += raw["load_4"][-WINDOW:]
    raw["load_4"][-WINDOW:] = 0.0  # dead at the end of the second phase
    other = add_known_run(database, known_columns(1000, seed=6), run_id="other", name="other")
    add_known_run(database, raw)
    table = phase_rows(open_page("pages/compare.py", runs=f"{RUN},{other}", **{"phase-columns": "true"}))
    for (phase, place), (_, row) in zip(PHASES.items(), table[table["Run"] == "known"].iterrows(), strict=True):
        part = {name: values[place] for name, values in raw.items()}
        last = {name: values[-WINDOW:] for name, values in part.items()}
        pooled = np.array([last[f"load_{number}"] @ last["length"] for number in range(1, EXPERTS + 1)])
        pooled = pooled / pooled.sum()
        routing = last["routing_entropy"] @ last["length"] / last["length"].sum()
        first = (place.start or 0) + 1
        assert (row["Phase"], row["Episodes"]) == (phase, f"{first:,}–{first + len(part['return']) - 1:,}")
        assert row["Dead"] == (1 if phase == "late" else 0)
        assert dict(row.drop(["Run", "Phase", "Episodes", "Dead"])) == pytest.approx(
            {
                "Steps": part["length"].sum(),
                "Mean return": part["return"].mean(),
                "SD": part["return"].std(ddof=1),
                "Final return": last["return"].mean(),
                "Success": part["success"].mean(),
                "Length": part["length"].mean(),
                "Entropy": part["routing_entropy"].mean(),
                "Effective": math.exp(entropy(pooled)),
                "Specialisation": part["specialisation"].mean(),
                "Pooled": max(0.0, entropy(pooled) - routing),
                "Router shift": part["router_shift_last"].mean(),
            }
        )


def test_the_router_shift_of_runs_that_recorded_no_last_epoch_is_of_all_steps(open_page, database):
    raw = known_columns(COUNT)
    older = raw | {"router_shift_last": np.full(COUNT, np.nan)}
    for name, columns in (("known", raw), ("older", older)):
        add_known_run(database, columns, run_id=f"{name}-run", name=name)
    table = phase_rows(open_page("pages/compare.py", runs="known-run,older-run", **{"phase-columns": "true"}))
    for (name, column), place in product((("known", "router_shift_last"), ("older", "router_shift")), PHASES):
        found = table[(table["Run"] == name) & (table["Phase"] == place)]["Router shift"]
        assert found.item() == pytest.approx(raw[column][PHASES[place]].mean())


def test_its_columns_are_in_the_language_of_its_reader(open_page, database):
    other = add_known_run(database, known_columns(1000, seed=6), run_id="other", name="other")
    add_known_run(database, known_columns(COUNT))
    for everything in ("false", "true"):
        app = open_page("pages/compare.py", runs=f"{RUN},{other}", lang="zh", **{"phase-columns": everything})
        (table,) = [frame.value for frame in app.dataframe if "阶段" in frame.value]
        assert [name for name in table if not CHINESE.search(name)] == []
