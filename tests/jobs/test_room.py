"""What is claimed for a cluster finds a slot, whatever node the cluster chooses for each run."""

from dataclasses import replace
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from v3core.jobs.launchers.interface import Node, Offer
from v3core.jobs.launchers.room import GPU_SHARE, gpus_of, has_label, held, startable

HEAD, OTHER = Node("h", "head", 2, free=2), Node("o", "other", 3, labels={"zone": "b"}, free=3)
OFFER = Offer((HEAD, OTHER))


def run(label=None, gpus=None, node=None, config_json="", launcher="ray"):
    return SimpleNamespace(needs_label=label, needs_gpus=gpus, node=node, config_json=config_json, launcher=launcher)


def test_all_slots_are_taken_by_runs_that_train_anywhere():
    assert len(startable(OFFER, [], [run()] * 9)) == 5


def test_no_more_runs_with_a_label_are_claimed_than_its_nodes_have_slots():
    labelled = [run("zone=b") for _ in range(9)]
    assert startable(OFFER, [], labelled) == labelled[:3]
    # Claimed and not on a node yet: they take the slots too.
    assert startable(OFFER, labelled[:2], labelled[2:]) == labelled[2:3]
    assert startable(OFFER, [run(node="o"), run("zone=b", node="o")], labelled) == labelled[:1]
    assert startable(OFFER, [], [run("zone=x")]) == []
    assert len(startable(OFFER, [run("zone=x")] * 9, [run()] * 9)) == 5  # of another cluster


def test_others_wait_until_a_run_with_a_label_has_its_node():
    """The cluster could place them there first."""
    assert len(startable(OFFER, [], [run("zone=b"), *[run()] * 9])) == 3
    assert len(startable(OFFER, [run("zone=b", node="o")], [run()] * 9)) == 4


def test_what_others_take_is_not_free():
    taken = Offer((HEAD, replace(OTHER, free=1)))
    assert len(startable(taken, [], [run("zone=b")] * 9)) == 1
    unknown = Offer((replace(HEAD, free=None), replace(OTHER, free=None)), busy=2)
    assert len(startable(unknown, [], [run()] * 9)) == 3


def test_gpus_are_of_one_node():
    nodes = Offer((replace(HEAD, gpus=1.0), replace(OTHER, gpus=1.0)))
    assert startable(nodes, [], [run(gpus=2)]) == []
    assert len(startable(nodes, [run(gpus=0.75, node="h"), run(gpus=0.75, node="o")], [run(gpus=0.5)])) == 0
    assert len(startable(nodes, [run(gpus=0.75, node="h")], [run(gpus=0.5)])) == 1
    assert gpus_of(run(config_json='{"device":"cuda"}')) == GPU_SHARE


def test_a_run_on_a_node_of_the_cluster_counts_whatever_name_the_cluster_has_for_who_started_it():
    """Its GPUs are taken: a run that is claimed for them would be given back, and claimed again."""
    by_address = run(gpus=1, node="h", launcher="ray://head:10001")
    elsewhere, local = run(gpus=1, node="x", launcher="ray://other:10001"), run(gpus=1, launcher="local")
    active = held(OFFER, ("ray",), [by_address, elsewhere, local, claimed := run(gpus=1)])
    assert active == [by_address, claimed]
    with_gpu = Offer((replace(HEAD, gpus=1.0), OTHER))
    assert startable(with_gpu, held(with_gpu, ("ray",), [by_address]), [run(gpus=1)]) == []


LABELS = st.sampled_from([None, "zone=a", "zone=b"])
RUNS = st.builds(run, LABELS, st.sampled_from([None, None, 0.25, 0.5, 1]))
NODES = st.lists(
    st.builds(
        lambda slots, gpus, zone, others: Node("", "", slots, gpus, {"zone": zone}, max(0, slots - others)),
        st.integers(0, 4),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.sampled_from("abc"),
        st.integers(0, 2),
    ),
    max_size=4,
).map(lambda nodes: [replace(node, id=str(number)) for number, node in enumerate(nodes)])


@given(NODES, st.lists(RUNS, max_size=12), st.data())
def test_every_claimed_run_finds_a_slot_in_any_order_and_on_any_node_that_is_chosen(nodes, queued, data):
    claimed = startable(Offer(tuple(nodes)), [], queued)
    free, gpus = {node.id: node.free for node in nodes}, {node.id: node.gpus for node in nodes}
    for one in data.draw(st.permutations(claimed)):
        there = [
            node.id for node in nodes if has_label(node, one) and free[node.id] > 0 and gpus[node.id] >= gpus_of(one)
        ]
        assert there, "it would wait, and be given back"
        node = data.draw(st.sampled_from(there))
        free[node] -= 1
        gpus[node] -= gpus_of(one)


@given(NODES, st.lists(RUNS, max_size=12))
def test_a_run_that_fits_on_an_empty_cluster_is_claimed_when_nothing_else_waits(nodes, runs):
    for one in runs:
        fits = any(has_label(node, one) and node.free > 0 and node.gpus >= gpus_of(one) for node in nodes)
        assert bool(startable(Offer(tuple(nodes)), [], [one])) == fits
