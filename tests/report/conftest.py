"""The store of the tests of comparisons."""

from tests.comparison.conftest import db as db
