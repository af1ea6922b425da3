"""The filter of lists of runs: what it keeps, and what it says of a word that it cannot read."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages.recorded import add_recorded_run
from v3core.errors import V3Error
from v3core.jobs.lifecycle import Status
from v3core.store.opening import open_database
from v3core.store.run_filter import FIELDS, matches, parse_filter
from v3core.store.runs import get_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filter")
    database = open_database(f"sqlite:///{folder / 'v3.db'}", folder)
    recorded = get_run(database, add_recorded_run(database, Status.COMPLETED, name="Two words: v3"))
    database.close()
    return replace(
        recorded,
        seed=12,
        tags="paper Best",
        notes="Looks promising.\nTwice.",
        experiment="Sweep 1",
        phase="fine-tune",
        id="abcdef12-0000-4000-8000-000000000000",
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("   ", True),
        ("status:completed", True),
        ("status:failed", False),
        ("STATUS:Completed", True),
        ("env:cartpole", True),
        ("env:Acrobot", False),
        ("curriculum:v3", True),
        ("tag:best", True),
        ("tag:bes", False),
        ("tag:paper tag:best", True),
        ("seed:12", True),
        ("seed:012", True),
        ("seed:1", False),
        ('experiment:"sweep 1"', True),
        ('experiment:"sweep 2"', False),
        ('"two words"', True),
        ("two words", True),
        ('"words two"', False),
        ("note:promising", True),
        ("promising twice", True),
        ("paper", True),
        ("sweep", True),
        ("phase:fine", True),
        ("id:abcd", True),
        ("id:bcde", False),
        ("abcdef", True),
        ("abc", False),
        ("-tag:paper", False),
        ("-tag:other -status:failed", True),
        ("-promising", False),
        ('"words: v3"', True),
        ("fine-tune", False),
    ],
)
def test_what_a_filter_keeps(run, text, kept):
    assert matches(parse_filter(text), run) is kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("status:faild x", "“status:faild”: it names no status; did you mean status:failed?"),
        ("a status:zzz", "“status:zzz”: it names no status; choose one of queued,"),
        ("seed:one", "“seed:one”: it needs a whole number, as in seed:1."),
        ("seed:-1", "“seed:-1”: it needs a whole number"),
        ("seed:²", "“seed:²”: it needs a whole number"),
        ("x enf:CartPole", '“enf:CartPole”: there is no field "enf"; did you mean env:?'),
        ("colour:red", '“colour:red”: there is no field "colour"; known are status, env,'),
        ("http://x", '“http://x”: there is no field "http"; known are'),
        ("tag:", "“tag:”: a value is missing after the colon."),
        ('tag:""', '“tag:""”: a value is missing after the colon.'),
        ("-", "“-”: a word is missing."),
        ('name:"a b', '“name:"a”: a quotation mark is not closed.'),
        ('good "', '“"”: a quotation mark is not closed.'),
        ('a"b"c', '“a"b"c”: write quotes around a whole value'),
    ],
)
def test_a_filter_that_cannot_be_read_names_the_word(text, said):
    with pytest.raises(V3Error) as caught:
        parse_filter(text)
    assert str(caught.value).startswith(f"The filter cannot be read at {said}")
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused_in_a_sentence(text):
    refused = ""
    try:
        terms = parse_filter(text)
    except V3Error as error:
        refused = str(error)
    assert "cannot be read at “" in refused or bool(terms) is bool(text.strip())


@given(st.text(st.characters(exclude_characters='"', exclude_categories=("Cs", "Cc", "Z")), min_size=1))
def test_a_value_in_quotes_is_taken_as_it_is(value):
    (term,) = parse_filter(f'name:"{value}"')
    assert (term.field, term.value, term.excluded) == ("name", value.lower(), False)


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_is_found_in_some_run_and_excluded_from_it(run, field):
    values = {"tag": "paper", "note": "promising"}
    value = values.get(field) or str(getattr(run, field))[: 8 if field == "id" else None]
    (term,) = parse_filter(f'{field}:"{value}"')
    (other,) = parse_filter(f'-{field}:"{value}"')
    assert term.matches(run)
    assert not other.matches(run)
