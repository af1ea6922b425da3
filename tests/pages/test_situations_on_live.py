"""Routing by situation in the section of Live about the experts, and on Compare."""

import re

import pytest
from sqlalchemy import update

from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.schema import episodes
from v3core.ui import situation_tables

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def run_with_situations(database):
    run_id = add_recorded_run(database, Status.RUNNING)
    text = '{"a *newt*":[1,0.1,0.2,0.3,0.4],"none of these":[3,0.4,0.3,0.2,0.1]}'
    with database.write() as tx:
        tx.execute(update(episodes).where(episodes.c.run_id == run_id).values(situations=text, length=4))
    return run_id


def test_the_table_has_a_row_for_each_situation(open_page, run_with_situations):
    app = open_page("pages/live.py", run=run_with_situations, experts="true")
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "Situation" in frame.value]
    assert table["Situation"].tolist() == ["a *newt*", "none of these"]
    assert table["Share of steps"].tolist() == [0.25, 0.75]
    assert table.iloc[0][[f"Expert {number}" for number in (1, 2, 3, 4)]].tolist() == pytest.approx(
        [0.1, 0.2, 0.3, 0.4]
    )
    assert 0 < table["Distance"][0] < 1
    assert table["Distance"][1] == 0
    assert any(one.value == r"a \*newt\*" for one in app.markdown), "a chart of its own, its name as it was written"


def test_the_table_is_in_the_language_of_its_reader(open_page, run_with_situations):
    app = open_page("pages/live.py", run=run_with_situations, experts="true", lang="zh")
    (table,) = [frame.value for frame in app.dataframe if "情境" in frame.value]
    assert [name for name in table if not CHINESE.search(name)] == []


def test_a_run_without_any_has_no_such_part(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING), experts="true")
    assert not app.exception
    assert not [frame for frame in app.dataframe if "Situation" in frame.value]
    assert [one.value for one in app.markdown if "Routing by situation" in one.value] == []


def test_nothing_is_read_until_the_section_is_opened(open_page, run_with_situations, monkeypatch):
    monkeypatch.setattr(situation_tables, "has_situations", None)
    assert not open_page("pages/live.py", run=run_with_situations).exception


def test_compare_has_a_row_for_each_run_and_situation(open_page, database, run_with_situations):
    other = add_recorded_run(database, Status.COMPLETED)
    app = open_page("pages/compare.py", runs=f"{run_with_situations},{other}")
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "Situation" in frame.value]
    assert table["Situation"].tolist() == ["a *newt*", "none of these"]
    assert len(set(table["Run"])) == 1
    assert table["Share of steps"].tolist() == [0.25, 0.75]
    assert table["Expert 4"].tolist() == pytest.approx([0.4, 0.1])
    assert [one.value for one in app.subheader].count("Routing by situation") == 1
    alone = open_page("pages/compare.py", runs=other)
    assert not [frame for frame in alone.dataframe if "Situation" in frame.value]
    assert "Routing by situation" not in {one.value for one in alone.subheader}
