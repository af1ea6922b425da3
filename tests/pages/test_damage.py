"""Pages on a database that is damaged: a sentence in place of what cannot be read, and no traceback."""

import pytest

from tests.pages.recorded import add_recorded_run
from v3core.jobs.lifecycle import Status


@pytest.mark.parametrize("page", ["app.py", "pages/launch.py", "pages/live.py", "pages/compare.py"])
def test_a_page_says_that_the_database_is_damaged(open_page, database, page):
    run_id = add_recorded_run(database, Status.STOPPED, episodes=400, recorded=300)
    file = database.data_dir / "v3.db"
    database.close()  # writes what is in the log into the file
    spoil(file)
    before = file.read_bytes()
    app = open_page(page, run=run_id, runs=run_id)
    told = [str(element.value) for element in app.error]
    assert not app.exception
    assert any("is damaged (" in text and "doctor --set-aside-database" in text for text in told), told
    assert file.read_bytes() == before


def spoil(file):
    """Overwrite all but the first and the last pages."""
    with file.open("r+b") as opened:
        opened.seek(2 * 4096)
        opened.write(b"\xa5" * (file.stat().st_size - 3 * 4096))
