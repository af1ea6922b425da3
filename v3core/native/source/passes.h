// The whole network, forward and backward, chunk by chunk.
//
// The batch is last, and goes through in chunks whose activations stay in the cache. One thread; every sum in a fixed
// order, so that runs repeat to the bit.
#pragma once
#include <algorithm>
#include "heads.h"
#include "layer.h"
#include "tokens.h"

namespace v3 {

// What a chunk's forward pass leaves for its backward pass.
struct ChunkKept {
    std::vector<float*> nodes;  // before the first layer, and after each
    std::vector<LayerKept> layers;
    HeadsKept heads;
    ChunkKept(const Network& net, Arena& arena) : heads(net, arena) {
        for (int layer = 0; layer <= net.layers; layer++) nodes.push_back(arena.take(net.width * net.column()));
        for (int layer = 0; layer < net.layers; layer++) layers.emplace_back(net, arena);
    }
};

// What one chunk needs while it is computed; used again for the next.
struct ChunkRoom {
    LayerRoom layer;
    HeadsRoom heads;
    float *tokens, *d_nodes, *d_below;
    ChunkRoom(const Network& net, int max_degree, int64_t token_room, bool backward, Arena& arena)
        : layer(net, max_degree, backward, arena), heads(net, arena), tokens(arena.take(token_room)) {
        d_nodes = backward ? arena.take(net.width * net.column()) : nullptr;
        d_below = backward ? arena.take(net.width * net.column()) : nullptr;
    }
};

// A network, its weights as the kernels read them, and what the last forward pass left for the backward pass.
struct Native {
    Network net;
    int max_degree = 0;
    int64_t token_room;
    Arena weights, arena;
    std::vector<Projection> projections;
    std::vector<PartTable> tables;
    std::vector<ChunkKept> kept;

    explicit Native(const Network& of) : net(of), token_room((int64_t)of.width * CHUNK) {
        for (int i = 0; i < net.nodes; i++)
            max_degree = std::max(max_degree, (int)(net.first_edge[i + 1] - net.first_edge[i]));
        for (int q = 0; q < net.parts; q++)
            token_room = std::max(token_room, (int64_t)net.part[q].nodes * net.part[q].group * CHUNK);
    }

    // Needed whenever parameters have changed.
    void prepare(const float* p) {
        weights.reset();
        projections.clear(), tables.clear();
        for (int layer = 0; layer < net.layers; layer++) projections.push_back(project(net, net.layer[layer], p, weights));
        for (int q = 0; q < net.parts; q++) tables.push_back(combine(net, net.part[q], p, weights));
    }

    // Memory of the last call is taken back.
    void begin() { arena.reset(), kept.clear(); }
    ChunkRoom room(bool backward) { return ChunkRoom(net, max_degree, token_room, backward, arena); }

    // The node features behind the layers. False where an observation names a category that there is not.
    bool graph_forward(const float* p, const Batch& batch, int64_t first, int count, ChunkRoom& room, ChunkKept& chunk) {
        if (!tokens_forward(net, p, tables.data(), batch, first, count, room.tokens, chunk.nodes[0])) return false;
        for (int layer = 0; layer < net.layers; layer++)
            layer_forward(net, net.layer[layer], p, projections[layer], room.layer, chunk.layers[layer], chunk.nodes[layer],
                          chunk.nodes[layer + 1]);
        return true;
    }

    // False where an observation names a category that there is not. `whole` includes experts and value.
    bool forward(const float* p, const Batch& batch, int64_t first, int count, bool whole, ChunkRoom& room, ChunkKept& chunk,
                 HeadsOutput& out) {
        if (!graph_forward(p, batch, first, count, room, chunk)) return false;
        router_forward(net, p, batch, first, count, chunk.nodes[net.layers], chunk.heads, room.heads, out.logits);
        if (whole) heads_forward(net, p, chunk.nodes[net.layers], chunk.heads, out);
        return true;
    }

    // Adds to the gradients in `g`, `projections` and `tables`.
    void backward(const float* p, const Batch& batch, int64_t first, int count, bool whole, ChunkRoom& room,
                  const ChunkKept& chunk, const HeadsOutput& d, float* g) {
        heads_backward(net, p, batch, first, count, whole, chunk.nodes[net.layers], chunk.heads, d, room.heads, g, room.d_nodes);
        graph_backward(p, batch, first, count, room, chunk, g);
    }

    // Below `room.d_nodes`.
    void graph_backward(const float* p, const Batch& batch, int64_t first, int count, ChunkRoom& room, const ChunkKept& chunk,
                        float* g) {
        for (int layer = net.layers - 1; layer >= 0; layer--) {
            layer_backward(net, net.layer[layer], p, projections[layer], room.layer, chunk.layers[layer],
                           chunk.nodes[layer], chunk.nodes[layer + 1], room.d_nodes, room.d_below, g);
            std::swap(room.d_nodes, room.d_below);
        }
        tokens_backward(net, tables.data(), batch, first, count, room.tokens, room.d_nodes, g);
    }

    // From the sums of all chunks to the parameters themselves.
    void finish_gradient(const float* p, float* g) const {
        for (int layer = 0; layer < net.layers; layer++) project_backward(net, net.layer[layer], p, projections[layer], g);
        for (int q = 0; q < net.parts; q++) combine_backward(net, net.part[q], tables[q], g);
    }
};

}  // namespace v3
