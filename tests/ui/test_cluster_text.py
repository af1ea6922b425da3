"""How full a cluster is, above the list of runs."""

from dataclasses import replace
from types import SimpleNamespace

from streamlit.testing.v1 import AppTest

from v3core.jobs.launchers.interface import Node, Offer
from v3core.ui.run_list import cluster_text, node_rows


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


def test_nodes_are_listed_with_their_slots_in_use_and_free():
    second, tenth = (node for node in nodes(10) if node.id in {"n2", "n10"})
    rows = node_rows(RUNS, Offer((replace(tenth, free=1), second)))
    assert rows == [
        {"Node": "10.0.0.2", "In use": "0 of 4", "Free": "4"},
        {"Node": "10.0.0.10", "In use": "2 of 4", "Free": "1"},  # others have the fourth
    ]


def test_gpus_and_labels_of_nodes_are_listed_if_there_are_any():
    """Where the cluster does not say what is free on a node, it is what the runs leave."""
    first, second = nodes(2)
    offer = Offer((replace(first, free=None), replace(second, gpus=0.5, labels={"zone": "b", "disk": "ssd"})))
    assert node_rows(RUNS, offer) == [
        {"Node": "10.0.0.1", "In use": "1 of 4", "Free": "3", "GPUs": "0", "Labels": ""},
        {"Node": "10.0.0.2", "In use": "0 of 4", "Free": "4", "GPUs": "0.5", "Labels": "disk=ssd, zone=b"},
    ]


def test_the_nodes_are_a_menu_unless_none_is_known():
    def page():
        import streamlit as st

        from tests.ui.test_cluster_text import RUNS, nodes
        from v3core.jobs.launchers.interface import Offer
        from v3core.ui.run_list import nodes_menu

        nodes_menu(RUNS, Offer(nodes(st.session_state["number"])))

    app = AppTest.from_function(page, default_timeout=30)
    for number, tables in ((2, 1), (0, 0)):
        app.session_state["number"] = number
        app.run()
        assert not app.exception
        assert [list(table.value["Node"]) for table in app.table] == [["10.0.0.1", "10.0.0.2"]] * tables


def test_why_a_cluster_cannot_be_used_is_said_in_its_place():
    assert cluster_text(RUNS, Offer(problem="No Ray cluster answers.")) == "No Ray cluster answers."
