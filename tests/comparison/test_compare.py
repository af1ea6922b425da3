import json
import math

from tests.comparison.made import made_groups, made_run
from v3core.comparison.comparing import compare
from v3core.store.database import Database

LOW, HIGH = [100.0, 110, 120, 105, 115], [400.0, 410, 420, 405, 415]


def test_two_groups_with_five_seeds_each_have_a_verdict(db: Database) -> None:
    found = compare(db, made_groups(db, {"direct": LOW, "v3": HIGH}))
    assert [group.final.value for group in found.groups] == [110, 410]
    pair = found.pairs[0]
    assert (pair.first, pair.second, pair.seeds_match) == ("v3", "direct", True)
    assert pair.improvement.value == 1
    assert json.loads(json.dumps(found.to_dict()))["groups"][0]["final"]["confidence"] == "interval"


def test_failed_and_unfinished_runs_are_counted_and_said(db: Database) -> None:
    runs = made_groups(db, {"direct": LOW, "v3": HIGH})
    runs += [made_run(db, seed=6, status="failed", returns=[1.0] * 3)]
    runs += [made_run(db, seed=7, status="running", returns=[1.0] * 4)]
    found = compare(db, runs)
    v3 = next(group for group in found.groups if group.name == "v3")
    assert (v3.final.n, v3.failed, v3.unfinished, len(v3.runs)) == (5, 1, 1, 7)
    assert any("2 of 7 runs of v3 are not counted" in note for note in found.notes)
    assert math.isnan(v3.runs[5].final)
    assert found.common[0].step == 30
