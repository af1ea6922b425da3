"""What pages keep of a run between two refreshes."""

import statistics

from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status
from v3core.store.curve import read_series
from v3core.store.opening import open_database
from v3core.store.runs import get_run, set_length
from v3core.ui.run_data import load_phases


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
