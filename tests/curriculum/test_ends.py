"""A phase's end as a person types it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v3core.curriculum import Until
from v3core.curriculum.typed import format_end, parse_end
from v3core.errors import V3Error

counts = st.integers(1, 10**9)
triggers = st.builds(
    lambda metric, side, level, window, least, extra: Until.model_validate(
        {
            "metric": metric,
            side: level,
            "window": window,
            "min_episodes": least,
            "max_episodes": None if extra is None else max(window, least) + extra,
        }
    ),
    st.sampled_from(["return", "length", "success"]),
    st.sampled_from(["at_least", "at_most"]),
    st.floats(0, 1),
    st.integers(1, 500),
    st.integers(0, 500),
    st.none() | st.integers(0, 500),
)


@given(st.none() | counts.map(lambda n: Until(episode=n)) | counts.map(lambda n: Until(step=n)) | triggers)
def test_what_is_written_is_read_back(until):
    assert parse_end(format_end(until)) == until


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("", None),
        ("1000", Until(episode=1000)),
        ("episode 1,000", Until(episode=1000)),
        ("step 50000", Until(step=50_000)),
        ("Steps 50,000", Until(step=50_000)),
        ("return ≥ 450 (100)", Until(metric="return", at_least=450, window=100)),
        ("return>=450", Until(metric="return", at_least=450, window=100)),
        ("return >= -85 (20)", Until(metric="return", at_least=-85, window=20)),
        ("success >= 0.9 (50)", Until(metric="success", at_least=0.9, window=50)),
        (
            "length <= 30 (10) after 200 within 1500",
            Until(metric="length", at_most=30, window=10, min_episodes=200, max_episodes=1500),
        ),
    ],
)
def test_the_ways_to_write_an_end(text, until):
    assert parse_end(text) == until


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("soon", "End 'soon' cannot be parsed; write 1000, step 50000 or return ≥ 450"),
        ("0", "cannot end at episode 0; choose 1 or later"),
        ("step -5", "cannot end at step −5; choose 1 or later"),
        ("reward >= 4", "watches 'reward'; choose return, length, success or a fact"),
        ("return >= high", "compares with 'high', which is not a number"),
        ("success >= 90", "it is a rate, so choose from 0 to 1"),
        ("return >= 5 (100) within 50", "too few for it to fire: raise it to 100"),
        ("return >= nan", "finite number"),
        ("return >= 5 (0)", "it must be at least 1"),
    ],
)
def test_ends_that_cannot_be_read(text, sentence):
    with pytest.raises(V3Error) as caught:
        parse_end(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
