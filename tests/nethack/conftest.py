"""NetHack itself: everything here is skipped where it is not installed."""

import pytest

from v3core.environments.nethack import ids

MISSING = [package for package in ids.PACKAGES if not ids.is_installed(package)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say in a sentence why these tests are skipped."""
    if MISSING:
        reason = f"{' and '.join(MISSING)} not installed: {ids.how_to_install()}"
        for item in items:
            if "/nethack/" in str(item.path):
                item.add_marker(pytest.mark.skip(reason=reason))
