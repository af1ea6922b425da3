"""How full a cluster is, above the list of runs."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from v3core.jobs.launchers.interface import Node, Offer
from v3core.ui.run_list import cluster_text


def nodes(number):
    return tuple(Node(f"n{place}", f"10.0.0.{place}", 4, free=4) for place in range(1, number + 1))


def run(node, status="running"):
    return SimpleNamespace(node=node, status=status)


RUNS = [run("n1"), run("n10"), run("n10"), run("of another cluster"), run("n2", "completed"), run(None, "queued")]


def test_few_nodes_are_named_in_the_order_of_their_addresses_each_with_its_slots():
    _, second, *_, tenth = nodes(10)
    text = cluster_text(RUNS, Offer((tenth, second)))
    assert text == "Ray cluster: 10.0.0.2 0 of 4, 10.0.0.10 2 of 4 slots in use · 1 waiting"


def test_many_nodes_are_counted():
    text = cluster_text(RUNS, Offer(nodes(12), busy=2))
    assert text == "Ray cluster: 12 nodes, 3 of 48 slots in use · 2 slots used by others · 1 waiting"


@pytest.mark.parametrize(("number", "shown"), [(4, 0), (5, 5)])
def test_many_nodes_are_listed_when_asked(number, shown):
    def page():
        import streamlit as st

        from tests.ui.test_cluster_text import RUNS, nodes
        from v3core.jobs.launchers.interface import Offer
        from v3core.ui.run_list import nodes_menu

        nodes_menu(RUNS, Offer(nodes(st.session_state["number"])[::-1]))

    app = AppTest.from_function(page, default_timeout=30)
    app.session_state["number"] = number
    app.run()
    assert not app.exception
    listed = [f"10.0.0.{place} {1 if place == 1 else 0} of 4" for place in range(1, shown + 1)]
    assert [caption.value for caption in app.caption] == listed


def test_why_a_cluster_cannot_be_used_is_said_in_its_place():
    assert cluster_text(RUNS, Offer(problem="No Ray cluster answers.")) == "No Ray cluster answers."
