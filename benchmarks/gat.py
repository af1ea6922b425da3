"""Graph attention against PyTorch Geometric, forward and backward, on the graphs of CartPole and of a 7×7 grid."""

import numpy as np
import torch
from _bench import Result, compare, main
from torch_geometric.nn import GATConv, GATv2Conv

from v3core.policy.gat import GraphAttention

BATCH, HEADS = 256, 4
PLACE = np.array([(row, column) for row in range(7) for column in range(7)])
GRAPHS = {
    "4 nodes complete": np.ones((4, 4), dtype=np.bool_),
    "7×7 grid": np.abs(PLACE[:, None] - PLACE[None]).max(2) <= 1,
}


def benchmark() -> list[Result]:
    """Both versions on both graphs at two widths."""
    results = []
    for version, peer_class in (("gatv2", GATv2Conv), ("gatv1", GATConv)):
        for name, adjacency in GRAPHS.items():
            receivers, senders = np.nonzero(adjacency)
            one = torch.from_numpy(np.stack([senders, receivers]))
            edges = torch.cat([one + copy * len(adjacency) for copy in range(BATCH)], dim=1)
            for width in (32, 64):
                ours = GraphAttention(adjacency, width, width, HEADS, version)
                # The peer need not add self-loops: the edges have them.
                peer = peer_class(width, width // HEADS, HEADS, add_self_loops=False)
                nodes = torch.randn(width, len(adjacency), BATCH, requires_grad=True)
                rows = torch.randn(BATCH * len(adjacency), width, requires_grad=True)
                to_ours, to_peer = torch.randn_like(nodes), torch.randn_like(rows)
                results.append(
                    compare(
                        f"{version} {name} width {width}",
                        lambda f=ours, x=nodes, d=to_ours: f(x).backward(d),
                        lambda f=peer, x=rows, e=edges, d=to_peer: f(x, e).backward(d),
                        seconds=4,
                    )
                )
    return results


if __name__ == "__main__":
    main(benchmark, "Graph attention, forward+backward at batch 256: ours, PyTorch Geometric, ratio")
