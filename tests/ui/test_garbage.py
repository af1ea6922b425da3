"""What the collection of garbage at the end of each script costs."""

import gc

from v3core.ui import shell


def test_modules_are_not_looked_through_after_each_script():
    gc.unfreeze()
    shell._warm_up.clear()
    thread = shell._warm_up()
    thread.join()
    try:
        assert gc.get_freeze_count() > 100_000
        assert len(gc.get_objects()) < gc.get_freeze_count() / 10
    finally:
        gc.unfreeze()
        shell._warm_up.clear()
