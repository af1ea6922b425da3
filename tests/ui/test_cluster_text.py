"""How full a cluster is, above the list of runs."""

from types import SimpleNamespace

from v3core.jobs.launchers.interface import Node, Offer
from v3core.ui.run_list import cluster_text


def nodes(number):
    return tuple(Node(f"n{place}", f"10.0.0.{place}", 4, free=4) for place in range(1, number + 1))


def run(node, status="running"):
    return SimpleNamespace(node=node, status=status)


RUNS = [run("n1"), run("n10"), run("n10"), run("of another cluster"), run("n2", "completed"), run(None, "queued")]


def test_few_nodes_are_named_each_with_its_slots():
    text = cluster_text(RUNS, Offer(nodes(2)))
    assert text == "Ray cluster: 10.0.0.1 1 of 4, 10.0.0.2 0 of 4 slots in use · 1 waiting"


def test_many_nodes_are_counted():
    text = cluster_text(RUNS, Offer(nodes(12), busy=2))
    assert text == "Ray cluster: 12 nodes, 3 of 48 slots in use · 2 slots used by others · 1 waiting"


def test_why_a_cluster_cannot_be_used_is_said_in_its_place():
    assert cluster_text(RUNS, Offer(problem="No Ray cluster answers.")) == "No Ray cluster answers."
