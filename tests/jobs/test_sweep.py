"""Seeds as a person types them, and names of experiments."""

import pytest

from v3core.config import check_name
from v3core.errors import V3Error
from v3core.jobs.sweep import experiment_name, parse_seeds


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
    ("curricula", "seeds", "name"),
    [
        (["v3", "switch"], [1, 2, 3], "v3 or switch · CartPole-v1 · seeds 1–3"),
        (["v3"], [4, 9], "v3 · CartPole-v1 · 2 seeds"),
        (["v3", "switch"], [7], "v3 or switch · CartPole-v1 · seed 7"),
        (["a", "b", "c", "d"], [1, 2], "4 curricula · CartPole-v1 · seeds 1–2"),
    ],
)
def test_an_experiment_is_named_by_what_it_compares(curricula, seeds, name):
    assert experiment_name("CartPole-v1", curricula, seeds, set()) == name
    assert experiment_name("CartPole-v1", curricula, seeds, {name, f"{name} (2)"}) == f"{name} (3)"


def test_the_name_of_an_experiment_is_never_too_long():
    name = experiment_name("E" * 300, ["v3"], [1], set())
    assert name.endswith("…")
    check_name("experiment", experiment_name("E" * 300, ["v3"], [1], {name}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "No seed given"),
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
