"""Seeds as a person types them."""

import pytest

from v3core.errors import V3Error
from v3core.jobs.sweep import parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("1", [1]),
        ("1, 2, 3", [1, 2, 3]),
        ("3 1 2", [3, 1, 2]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("1 - 3, 7", [1, 2, 3, 7]),
        ("4, 4, 4", [4]),
        ("0", [0]),
    ],
)
def test_seeds_are_read(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There is no seed"),
        ("one", "'one' is not a seed"),
        ("1.5", "'1.5' is not a seed"),
        ("-1", "'-1' is not a seed"),
        ("5-1", "'5-1' is not a range"),
        ("1-500", "'1-500' is not a range of at most 100 seeds"),
        ("9" * 5000, "is not a seed"),
        ("1-" + "9" * 5000, "is not a seed"),
        ("99999999999", "Seed 99999999999 is out of range"),
    ],
)
def test_bad_seeds_get_a_sentence(text, sentence):
    with pytest.raises(V3Error, match=sentence):
        parse_seeds(text)
