"""Why a run is slow, in one sentence, and several samples as one."""

import pytest

from tests.store.recorded import process_sample
from v3core.insight.slowness import OTHER, PARTS, whole, why_slow
from v3core.messages import translated

NOTHING = dict.fromkeys(PARTS, 0.0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "No single part takes most of the time."),
        ({"waited": 9.0, "environments": 10.0}, "For 60% of the time no processor was free for this run: other"),
        ({"waited": 5.0, "environments": 14.0}, "The environments take 93% of the time; a faster simulator"),
        ({"waited": 5.0}, "For 33% of the time no processor was free"),
        ({"waited": 5.0, "recording": 8.0}, "Recording takes 53% of the time"),
        ({"waited": None}, "No single part takes most of the time."),
        ({**NOTHING, "environments": 12.0}, "The environments take 80% of the time; a faster simulator"),
        ({**NOTHING, "acting": 9.0}, "Choosing actions takes 60% of the time; a smaller network"),
        ({**NOTHING, "learning": 15.0}, "Updates take 100% of the time; fewer epochs"),
        (
            {"recording": 3.0, "environments": 10.0},
            "Recording takes 20% of the time, checkpoints included",
        ),
        (NOTHING, "Evaluations and pauses take 100% of the time."),
        ({**NOTHING, "seconds": 1.0, "waited": None}, "Evaluations and pauses take 100% of the time."),
    ],
)
def test_what_takes_the_time_is_named_with_what_may_help(values, sentence):
    said = why_slow(process_sample(**values))
    assert said.startswith(sentence)
    assert translated(said, "zh_CN") != said


def test_shares_are_of_the_whole_time_and_never_more():
    sample = process_sample(seconds=15.0, acting=3.0, environments=6.0, learning=3.0, recording=0.0)
    assert [round(sample.share(part), 3) for part in (*PARTS, OTHER)] == [0.2, 0.4, 0.2, 0.0, 0.2]
    assert process_sample(seconds=1.0, acting=1.5).share("acting") == 1.0
    assert process_sample(updates=0).seconds_per_update is None


def test_several_samples_are_one_stretch():
    one = process_sample(seconds=10.0, steps=100, waited=None, machine=0.2, memory=1)
    other = process_sample(seconds=30.0, steps=500, waited=3.0, machine=1.0, memory=2)
    both = whole([one, other])
    assert (both.seconds, both.steps, both.waited, both.memory) == (40.0, 600, 3.0, 2)
    assert both.machine == pytest.approx(0.8)
    assert both.steps_per_second == 15
    assert whole([one]) == one
