"""What is chosen on a page stays so when its language changes, and when a link of another language is opened."""

import ast

import pytest

from tests.comparison.made import made_groups
from tests.pages.conftest import ROOT
from tests.pages.test_experts_on_live import evaluated
from tests.pages.test_states import text_of
from v3core.jobs.lifecycle import Status, status_title
from v3core.messages import _, speaking, translated
from v3core.metrics import COMPARED
from v3core.ui.curriculum_editor import FROM_A_FILE, UNCHANGED
from v3core.ui.length_choice import STEPS
from v3core.ui.run_columns import CHOICES, COLUMNS
from v3core.ui.text import plain

CODES = {"en": "en", "zh-CN": "zh_CN"}
SWITCHES = pytest.mark.parametrize(("first", "then"), [("en", "zh-CN"), ("zh-CN", "en")])
METRIC = "length"
UNTRANSLATED = {"_EVALUATION"}
"""Keys of fields whose labels are the same in each language."""


@pytest.fixture
def runs(database):
    """Ids of runs in two groups, as the address of Compare has them."""
    return ",".join(run.id for run in made_groups(database, {"v3": [500.0, 498], "switch": [100.0, 130]}))


def said(message, tag):
    return translated(message, CODES[tag])


def rerun(app, tag):
    """As a browser whose fields have labels of a language."""
    with speaking(CODES[tag]):
        return app.run()


def switch(app, first, then):
    app.query_params["lang"] = then
    return rerun(app, first)


def labels(app):
    return {one.id: one.options for kind in ("radio", "selectbox") for one in app.get(kind)}


def rerun_with(app, old, tag):
    """As a browser that did not take over new labels: it sends those that it was given before."""
    for kind in ("radio", "selectbox"):
        for one in app.get(kind):
            one.options = old.get(one.id, one.options)
    return rerun(app, tag)


@SWITCHES
def test_launch_trains_the_same_after_a_switch(open_page, first, then):
    app = open_page("pages/launch.py", lang=first)
    app.radio(key="length").set_value(STEPS)
    app.selectbox(key="curriculum").set_value(FROM_A_FILE)
    rerun(app, first)
    old = labels(app)
    switch(app, first, then)
    for element, chosen in ((app.radio(key="length"), STEPS), (app.selectbox(key="curriculum"), FROM_A_FILE)):
        assert element.proto.set_value
        assert element.proto.raw_value == said(chosen, then)
        assert app.query_params[element.key] == said(chosen, then)
    rerun_with(app, old, first)
    assert app.radio(key="length").value == STEPS
    assert app.selectbox(key="curriculum").value == FROM_A_FILE
    rerun(app, then)
    assert app.radio(key="length").value == STEPS
    assert not app.radio(key="length").proto.set_value  # what a reader chooses meanwhile is not undone


@SWITCHES
def test_compare_shows_the_same_after_a_switch(open_page, runs, first, then):
    app = open_page("pages/compare.py", runs=runs, lang=first)
    by, metric = app.multiselect(key="by"), app.selectbox(key="metric")
    chosen = list(by.value)
    assert chosen
    metric.set_value(METRIC)
    rerun(app, first)
    old = labels(app)
    switch(app, first, then)
    assert app.selectbox(key="metric").proto.raw_value == said(COMPARED[METRIC].label, then)
    assert list(app.multiselect(key="by").proto.raw_values)
    rerun_with(app, old, first)
    assert app.selectbox(key="metric").value == METRIC
    assert app.multiselect(key="by").value == chosen


@SWITCHES
def test_a_link_to_launch_opens_in_another_language(open_page, first, then):
    app = open_page("pages/launch.py", lang=then, length=said(STEPS, first), curriculum=said(FROM_A_FILE, first))
    assert app.radio(key="length").value == STEPS
    assert app.selectbox(key="curriculum").value == FROM_A_FILE
    assert app.query_params["length"] == said(STEPS, then)


@SWITCHES
def test_a_link_to_compare_opens_in_another_language(open_page, runs, first, then):
    label = COMPARED[METRIC].label
    link = {"metric": said(label, first), "group-axis": said(_("Episode"), first)}
    app = open_page("pages/compare.py", runs=runs, lang=then, **link)
    assert app.selectbox(key="metric").value == METRIC
    assert app.query_params["metric"] == said(label, then)
    assert app.session_state["group-axis"] == "Episode"
    assert app.query_params["group-axis"] == said(_("Episode"), then)


@SWITCHES
def test_columns_of_a_link_to_runs_are_shown_in_another_language(open_page, runs, first, then):
    titles = [plain(said(COLUMNS[name].title, first)) for name in CHOICES[-2:]]
    app = open_page("app.py", lang=then, columns=titles)
    assert app.session_state["columns"] == CHOICES[-2:]


@SWITCHES
def test_the_statuses_of_a_link_to_runs_are_filtered_in_another_language(open_page, runs, first, then):
    app = open_page("app.py", lang=then, status=[plain(said(status_title(Status.COMPLETED), first))])
    assert app.session_state["status"] == [Status.COMPLETED]
    assert app.query_params["status"] == plain(said(status_title(Status.COMPLETED), then))


@SWITCHES
def test_a_setting_that_is_not_set_stays_so_after_a_switch(open_page, first, then):
    app = open_page("pages/launch.py", lang=first)
    app.button(key="add-phase").click()
    rerun(app, first)
    (added,) = [one.key for one in app.selectbox if one.key.startswith("phase-") and not one.value]
    old = labels(app)
    switch(app, first, then)
    assert app.selectbox(key=added).proto.raw_value == said(UNCHANGED, then)
    rerun_with(app, old, first)
    assert not app.exception
    assert [error.value for error in app.error] == []
    assert app.selectbox(key=added).value == ""
    (end,) = [one for one in app.text_input if one.disabled]
    assert end.value == said(_("end of run"), then)


def test_each_field_in_the_address_with_labels_of_its_own_follows_the_language():
    missed = set()
    for path in (*(ROOT / "pages").glob("*.py"), *(ROOT / "v3core" / "ui").glob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        followed = {ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "follow_language"}
        for call in calls:
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            if {"format_func", "bind"} <= given.keys() and given["key"] not in followed:
                missed.add(given["key"] if given["key"] != "key" else f"key:{path.stem}")
    assert missed == UNTRANSLATED


@SWITCHES
def test_the_state_of_the_map_stays_chosen_after_a_switch(open_page, database, first, then):
    run_id = evaluated(database)
    link = said(_("Episode {number}, step {step}", number=2, step=5), first)
    app = open_page("pages/live.py", run=run_id, experts="true", lang=then, state=link)
    assert app.selectbox(key="state").value == "Episode 2, step 5"
    assert app.query_params["state"] == said(_("Episode {number}, step {step}", number=2, step=5), then)
    seen = {"en": "In view: **green goal 2 ahead**", "zh-CN": "视野内：**绿色目标 前方 2 格**"}
    assert seen[then] in text_of(app)
    old = labels(app)
    switch(app, then, first)
    rerun_with(app, old, then)
    assert app.selectbox(key="state").value == "Episode 2, step 5"
