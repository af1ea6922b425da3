"""Facts of episodes on Live and Compare."""

import json
from datetime import UTC, datetime

from sqlalchemy import update

from tests.charts.patched import applied
from tests.comparison.made import with_words
from tests.markdown import shown
from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.runs import get_run
from v3core.store.schema import episodes, runs
from v3core.ui import fact_tables


def with_facts(database, name="with"):
    """A recorded run whose episodes have a number and a word, as if its recipe had asked for them."""
    run_id = add_recorded_run(database, Status.RUNNING, name=name)
    with database.write() as tx:
        config = json.loads(tx.execute(runs.select().where(runs.c.id == run_id)).one().config)
        config["episode_facts"] = {"score": "game.score", "cause": "game.cause"}
        tx.execute(update(runs).where(runs.c.id == run_id).values(config=json.dumps(config)))
    causes = ["a *newt*" if episode % 5 else "time limit" for episode in range(1, 26)]
    facts = [{"score": episode, "cause": cause} for episode, cause in enumerate(causes, 1)]
    with_words(database, get_run(database, run_id), facts)
    return run_id


def test_live_shows_numbers_and_words(open_page, database):
    app = open_page("pages/live.py", run=with_facts(database), facts="true")
    assert not app.exception
    (numbers,) = [frame.value for frame in app.dataframe if "Fact" in frame.value]
    assert numbers.iloc[0].tolist() == ["score", 18.0, 11.0, 25.0, 15], "of the phase in force, not of the one before"
    (words,) = [frame.value for frame in app.dataframe if "Value" in frame.value]
    assert words.to_numpy().tolist() == [["a *newt*", 12, "80%"], ["time limit", 3, "20%"]]
    captions = [shown(caption.value) for caption in app.caption]
    assert "Tables are of the newest 15 episodes of phase 'transition', charts of the whole run." in captions


def test_live_draws_the_means_of_each_number(open_page, database):
    app = open_page("pages/live.py", run=with_facts(database), facts="true")
    sent = [json.loads(one.proto.json) for one in app.get("bidi_component") if one.proto.json]
    drawn = [applied(None, json.loads(one["figure"])) for one in sent if "figure" in one]
    (figure,) = [one for one in drawn if "score of with" in one["layout"]["meta"]["alt"]]
    (line,) = figure["data"]
    # Of 25 episodes whose scores are 1 to 25, two at a time.
    assert list(zip(line["x"], line["y"], strict=True)) == [*((2 * n, 2 * n - 0.5) for n in range(1, 13)), (25, 25.0)]
    assert not [one for one in drawn if "cause of with" in one["layout"]["meta"]["alt"]], "words have no chart"


def test_a_thinned_run_says_of_which_episodes_it_shows_facts_and_that_exports_leave_some_out(open_page, database):
    run_id = with_facts(database)
    with database.write() as tx:
        thinned = datetime(2030, 1, 2, tzinfo=UTC)
        tx.execute(update(runs).where(runs.c.id == run_id).values(thinned_at=thinned))
    said = " ".join(caption.value for caption in open_page("pages/live.py", run=run_id, facts="true").caption)
    assert "this is of the episodes that are left, most of them from the ends of phases." in said
    assert "Tables and JSON have the episodes that are left; a thinned run cannot be archived." in said
    assert "nothing left out" not in said


def test_a_fact_that_is_a_number_at_times_and_a_word_at_others_is_in_both_tables(open_page, database):
    run_id = with_facts(database)
    with database.write() as tx:
        mine = (episodes.c.run_id == run_id) & (episodes.c.episode == 25)
        tx.execute(update(episodes).where(mine).values(facts='{"score": "none", "cause": "time limit"}'))
    app = open_page("pages/live.py", run=run_id, facts="true")
    (numbers,) = [frame.value for frame in app.dataframe if "Fact" in frame.value]
    assert numbers.iloc[0].tolist() == ["score", 17.5, 11.0, 24.0, 14]
    score, _ = [frame.value for frame in app.dataframe if "Value" in frame.value]
    assert score.to_numpy().tolist() == [["none", 1, "7%"]]


def test_nothing_is_read_until_it_is_opened(open_page, database, monkeypatch):
    monkeypatch.setattr(fact_tables, "read_facts", None)
    app = open_page("pages/live.py", run=with_facts(database))
    assert not app.exception
    assert "Episode facts" in {expander.label for expander in app.expander}


def test_a_run_that_records_none_has_no_such_section(open_page, database):
    app = open_page("pages/live.py", run=add_recorded_run(database, Status.RUNNING))
    assert "Episode facts" not in {expander.label for expander in app.expander}


def test_compare_has_a_row_for_each_run_with_facts(open_page, database):
    found = [with_facts(database, "one"), with_facts(database, "two"), add_recorded_run(database, Status.COMPLETED)]
    app = open_page("pages/compare.py", runs=",".join(found))
    assert not app.exception
    (table,) = [frame.value for frame in app.dataframe if "cause" in frame.value]
    assert table["Run"].tolist() == ["one", "two"]
    assert table.iloc[0].tolist() == ["one", "18", "a *newt* (80%)"]
