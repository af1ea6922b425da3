"""What pages keep of a run between two refreshes."""

import statistics
from datetime import UTC, datetime

from tests.pages.recorded import add_recorded_run
from tests.pages.test_experts_on_live import report
from v3core.jobs.lifecycle import Status
from v3core.store.curve import read_series
from v3core.store.expert_records import add_expert_report, add_knockouts, count_expert_reports
from v3core.store.history import add_evaluation
from v3core.store.opening import open_database
from v3core.store.runs import get_run, set_length
from v3core.ui.run_data import load_phases, load_series


def test_the_final_return_of_a_phase_follows_the_length_of_the_run(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    run_id = add_recorded_run(database, Status.RUNNING, episodes=100, recorded=95)
    returns = read_series(database, run_id).summary("return").last.tolist()
    for length, window in ((100, 10), (250, 25)):
        with database.write() as tx:
            set_length(tx, get_run(tx, run_id), length)
        run = get_run(database, run_id)
        newest = load_phases(database, run)[-1]
        assert (run.mean_window, newest.last_episode) == (window, 95)
        spanned = returns[-min(window, newest.episodes) :]
        assert round(newest.closing_return, 9) == round(statistics.fmean(spanned), 9)
    database.close()


def test_an_evaluation_that_is_replaced_at_its_episode_is_read_again(tmp_path):
    """As the last one of a run by steps is, if its last rollout completed no episode."""
    database = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    run_id = add_recorded_run(database, Status.RUNNING, evaluated=(10, 25))
    now = datetime.now(UTC)

    def evaluate(episode, step, returned):
        with database.write() as tx:
            results = [(returned, 20, None)]
            add_evaluation(tx, run_id, episode=episode, step=step, env="CartPole-v1", results=results, now=now)
            add_knockouts(tx, run_id, episode=episode, results={-1: [results[0]], 0: [(1.0, 20, None)]}, now=now)

    def points():
        return [(row.episode, row.mean) for row in load_series(database, get_run(database, run_id)).evaluations]

    assert points() == points() == [(10, 40.0), (25, 40.0)]
    evaluate(25, 25 * 20 + 64, 90.0)
    assert points() == points() == [(10, 40.0), (25, 90.0)]
    assert load_series(database, get_run(database, run_id)).evaluations[-1].knockout == 89.0
    evaluate(27, 700, 95.0)
    assert points() == [(10, 40.0), (25, 90.0), (27, 95.0)]
    database.close()


def test_what_experts_did_is_read_again_if_an_evaluation_is_replaced(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'v3.db'}", tmp_path)
    run_id = add_recorded_run(database, Status.RUNNING, evaluated=(10, 25))
    with database.write() as tx:
        add_expert_report(tx, run_id, 25, report(2))
    before = count_expert_reports(database, run_id)
    with database.write() as tx:
        results = [(1.0, 20, None)]
        add_evaluation(tx, run_id, episode=25, step=999, env="a", results=results, now=datetime.now(UTC))
        add_expert_report(tx, run_id, 25, report(2))
    after = count_expert_reports(database, run_id)
    assert before[:2] == after[:2] == (25, 2)
    assert before != after
    database.close()
