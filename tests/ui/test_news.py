"""One look at the database for all open pages."""

import pytest

from tests.pages.recorded import add_recorded_run
from tests.waiting import wait_for
from v3core.jobs.files import log_file
from v3core.jobs.lifecycle import Status
from v3core.store.changes import Probe
from v3core.store.opening import open_database
from v3core.store.runs import update_run
from v3core.ui import news


@pytest.fixture
def db(tmp_path, monkeypatch):
    """A store that is watched often."""
    monkeypatch.setattr(news, "LOOK_SECONDS", 0.02)
    database = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    yield database
    monkeypatch.setattr(news, "UNASKED_SECONDS", 0.0)
    watcher = news._watchers.get(database)
    wait_for(lambda: watcher is None or watcher._thread is None, "the thread's end")
    database.close()


def looks(database, monkeypatch, count=3):
    """Wait until the thread has looked so often more."""
    seen, look = [], Probe.look
    with monkeypatch.context() as patch:
        patch.setattr(Probe, "look", lambda probe: (seen.append(1), look(probe))[1])
        wait_for(lambda: len(seen) >= count, "looks at the database")


def change(database, run_id, **values):
    with database.write() as tx:
        update_run(tx, run_id, values, only_in=list(Status))


def test_a_run_is_news_only_to_who_watches_it(db, monkeypatch):
    one, other = (add_recorded_run(db, Status.COMPLETED) for _ in range(2))
    topics = [news.of_run(db, one), news.of_run(db, other), news.of_anything(db)]
    [news.value(topic) for topic in topics]
    looks(db, monkeypatch)
    first = [news.value(topic) for topic in topics]
    looks(db, monkeypatch)
    assert [news.value(topic) for topic in topics] == first
    change(db, one, notes="changed")
    wait_for(lambda: news.value(topics[0]) != first[0], "the change of the run")
    assert news.value(topics[1]) == first[1]
    assert news.value(topics[2]) != first[2]


def test_an_experiment_is_news_when_one_of_its_runs_is_and_when_it_gets_or_loses_one(db, monkeypatch):
    mine, later, other = (add_recorded_run(db, Status.COMPLETED) for _ in range(3))
    change(db, mine, experiment="E")
    topics = [news.of_experiment(db, "E"), news.of_experiment(db, "Another")]
    [news.value(topic) for topic in topics]
    looks(db, monkeypatch)
    seen = [news.value(topic) for topic in topics]
    for run_id, values in (
        (mine, {"episode": 3}),
        (later, {"experiment": "E"}),
        (later, {"status": Status.FAILED}),
        (later, {"experiment": None}),
    ):
        change(db, run_id, **values)
        wait_for(lambda: news.value(topics[0]) != seen[0], "the change of the experiment")
        change(db, other, notes=str(values))
        looks(db, monkeypatch)
        seen[0] = news.value(topics[0])
        change(db, other, tags=str(len(values)))
        looks(db, monkeypatch)
        assert [news.value(topic) for topic in topics] == seen


def test_nothing_but_the_version_is_read_while_nothing_is_committed(db, monkeypatch):
    run_id = add_recorded_run(db, Status.COMPLETED)
    reads = []
    monkeypatch.setattr(news, "state_of_run", lambda *_: reads.append(1))
    topic = news.of_run(db, run_id)
    news.value(topic)
    looks(db, monkeypatch)
    before = len(reads)
    looks(db, monkeypatch, 10)
    assert len(reads) == before
    change(db, run_id, notes="changed")
    wait_for(lambda: len(reads) == before + 1, "the read after the change")


def test_many_pages_ask_once(db, monkeypatch):
    run_id = add_recorded_run(db, Status.COMPLETED)
    reads = []
    monkeypatch.setattr(news, "state_of_run", lambda *_: reads.append(1))
    for _ in range(50):
        news.value(news.of_run(db, run_id))  # each page has a topic of its own
    assert len(reads) <= 2


def test_a_log_is_news_without_a_commit(db):
    run_id = add_recorded_run(db, Status.RUNNING)
    topic, file = news.of_log(db, run_id), log_file(run_id, db.data_dir)
    before = news.value(topic)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("a line\n")
    wait_for(lambda: news.value(topic) != before, "the line in the log")


def test_a_database_that_cannot_be_looked_at_is_news_each_time(db, monkeypatch):
    topic = news.of_anything(db)

    def fails(_):
        raise RuntimeError("no database")

    news.value(topic)
    monkeypatch.setattr(Probe, "look", fails)
    seen = {id(news.value(topic))}
    wait_for(lambda: seen.add(id(news.value(topic))) or len(seen) > 2, "news")


def test_who_watches_topics_is_called_when_one_changes(db, monkeypatch):
    one, other = (add_recorded_run(db, Status.COMPLETED) for _ in range(2))
    topics = [news.of_run(db, one), news.of_run(db, other)]
    calls = []
    watch, second = news.Watch(db, calls.append), news.Watch(db, calls.append)
    watch.topics = second.topics = frozenset(topics[:1])
    [news.value(topic) for topic in topics]
    looks(db, monkeypatch)
    calls.clear()
    second.close()
    change(db, other, notes="changed")
    looks(db, monkeypatch)
    assert calls == []
    change(db, one, notes="changed")
    wait_for(lambda: calls == [frozenset(topics[:1])], "the call")
    watch.close()


def test_what_is_watched_is_not_forgotten(db, monkeypatch):
    run_id = add_recorded_run(db, Status.COMPLETED)
    watched, asked = news.of_run(db, run_id), news.of_ends(db)
    calls = []
    before, _ = news.value(watched), news.value(asked)  # or it would be news at first
    watch = news.Watch(db, calls.append)
    watch.topics = frozenset([watched])
    monkeypatch.setattr(news, "UNASKED_SECONDS", 0.0)
    wait_for(lambda: list(news._watchers[db]._known) == [watched], "the other one is forgotten")
    change(db, run_id, notes="changed")
    wait_for(lambda: calls, "the call")
    assert news.value(watched) != before
    watch.close()


def test_a_change_while_a_topic_is_read_for_the_first_time_is_not_lost(db, monkeypatch):
    run_id = add_recorded_run(db, Status.COMPLETED)
    news.value(news.of_ends(db))
    looks(db, monkeypatch)
    reads = []

    def read():
        reads.append(len(reads))
        if len(reads) == 1:
            change(db, run_id, notes="changed")
            looks(db, monkeypatch)  # the thread does not know the topic yet
        return reads[-1]

    topic = news.Topic("of this test", db, read)
    assert news.value(topic) == 1


def test_the_thread_that_ended_while_a_topic_was_read_is_started_again(db):
    watcher = news._watcher(db)
    reads = []

    def read():
        reads.append(1)
        if len(reads) == 1:
            wait_for(lambda: watcher._thread is None, "the thread's end: it knows no topic")
        return len(reads)

    news.value(news.Topic("slow", database=db, read=read))
    assert watcher._thread is not None


def test_what_is_watched_but_was_never_asked_for_is_looked_at(db, monkeypatch):
    """A page that takes long to draw watches its topics after they were forgotten."""
    run_id = add_recorded_run(db, Status.COMPLETED)
    topic, calls = news.of_run(db, run_id), []
    watch = news.Watch(db, calls.append)
    watch.topics = frozenset([topic])
    wait_for(lambda: calls == [{topic}], "the first look, before which it may have changed")
    looks(db, monkeypatch)
    assert calls == [{topic}]
    change(db, run_id, notes="changed")
    wait_for(lambda: calls == [{topic}, {topic}], "the change")
    watch.close()
