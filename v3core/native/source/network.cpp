// The whole network, forward and backward, behind a plain C interface: one call each for a batch of any size.
//
// The batch is last, and goes through in chunks whose activations stay in the cache. One thread; every sum in a fixed
// order, so that runs repeat to the bit.
#include <algorithm>
#include "heads.h"
#include "layer.h"
#include "tokens.h"

using namespace v3;

namespace {

struct ChunkKept {
    std::vector<float*> nodes;  // before the first layer, and after each
    HeadsKept heads;
    ChunkKept(const Network& net, Arena& arena) : heads(net, arena) {
        for (int layer = 0; layer <= net.layers; layer++) nodes.push_back(arena.take(net.width * net.column()));
    }
};

// A network, and what the last forward pass left for the backward pass.
struct Native {
    Network net;
    int max_degree = 0;
    int64_t token_room;
    Arena arena;
    std::vector<Projection> projections;
    std::vector<PartTable> tables;
    std::vector<ChunkKept> kept;

    explicit Native(const Network& of) : net(of), token_room((int64_t)of.width * CHUNK) {
        for (int i = 0; i < net.nodes; i++)
            max_degree = std::max(max_degree, (int)(net.first_edge[i + 1] - net.first_edge[i]));
        for (int q = 0; q < net.parts; q++)
            token_room = std::max(token_room, (int64_t)net.part[q].nodes * net.part[q].group * CHUNK);
    }

    void prepare(const float* p) {
        arena.reset();
        projections.clear(), tables.clear(), kept.clear();
        for (int layer = 0; layer < net.layers; layer++) projections.push_back(project(net, net.layer[layer], p, arena));
        for (int q = 0; q < net.parts; q++) tables.push_back(combine(net, net.part[q], p, arena));
    }
};

// Between [entries, CHUNK] of a chunk and rows of the batch; what is beyond the batch is 0 in the chunk.
void to_rows(const float* chunk, int entries, int count, float* rows) {
    for (int b = 0; b < count; b++)
        for (int i = 0; i < entries; i++) rows[(int64_t)b * entries + i] = chunk[i * CHUNK + b];
}
void to_chunk(const float* rows, int entries, int count, float* chunk) {
    memset(chunk, 0, entries * CHUNK * sizeof(float));
    for (int b = 0; rows && b < count; b++)
        for (int i = 0; i < entries; i++) chunk[i * CHUNK + b] = rows[(int64_t)b * entries + i];
}

}  // namespace

extern "C" {

void* v3_create(const Network* net) { return new Native(*net); }
void v3_destroy(void* native) { delete (Native*)native; }

// Writes logits [size, experts], experts [experts, size, outputs], shared [size, outputs] and values [size]. With `keep`
// a backward pass may follow. Returns 0, or 1 where an observation names a category that there is not.
int v3_forward(void* native, const float* p, const Batch* batch, int keep, float* logits, float* experts, float* shared,
                float* values) {
    Native& self = *(Native*)native;
    const Network& net = self.net;
    self.prepare(p);
    LayerRoom layer_room(net, self.max_degree, false, self.arena);
    HeadsRoom heads_room(net, self.arena);
    HeadsOutput out(net, self.arena);
    float* token_room = self.arena.take(self.token_room);
    for (int64_t first = 0; first < batch->size; first += CHUNK) {
        const int count = (int)std::min<int64_t>(CHUNK, batch->size - first);
        if (keep || self.kept.empty()) self.kept.emplace_back(net, self.arena);
        ChunkKept& chunk = self.kept.back();
        if (!tokens_forward(net, p, self.tables.data(), *batch, first, count, token_room, chunk.nodes[0])) return 1;
        for (int layer = 0; layer < net.layers; layer++)
            layer_forward(net, net.layer[layer], p, self.projections[layer], layer_room, chunk.nodes[layer],
                          chunk.nodes[layer + 1]);
        heads_forward(net, p, *batch, first, count, chunk.nodes[net.layers], chunk.heads, heads_room, out);
        to_rows(out.logits, net.routed.experts, count, logits + first * net.routed.experts);
        for (int e = 0; e < net.routed.experts; e++)
            to_rows(out.experts + (int64_t)e * net.outputs * CHUNK, net.outputs, count,
                    experts + (e * batch->size + first) * net.outputs);
        to_rows(out.shared, net.outputs, count, shared + first * net.outputs);
        to_rows(out.value, 1, count, values + first);
    }
    return 0;
}

// Adds to `g` the gradient of every parameter, given those of what the last `v3_forward` with `keep` wrote. Null is 0.
void v3_backward(void* native, const float* p, const Batch* batch, const float* d_logits, const float* d_experts,
                 const float* d_shared, const float* d_values, float* g) {
    Native& self = *(Native*)native;
    const Network& net = self.net;
    LayerRoom layer_room(net, self.max_degree, true, self.arena);
    HeadsRoom heads_room(net, self.arena);
    HeadsOutput d(net, self.arena);
    float* token_room = self.arena.take(self.token_room);
    float *d_nodes = self.arena.take(net.width * net.column()), *d_below = self.arena.take(net.width * net.column());
    for (int64_t first = 0; first < batch->size; first += CHUNK) {
        const int count = (int)std::min<int64_t>(CHUNK, batch->size - first);
        const ChunkKept& chunk = self.kept[first / CHUNK];
        to_chunk(d_logits ? d_logits + first * net.routed.experts : nullptr, net.routed.experts, count, d.logits);
        for (int e = 0; e < net.routed.experts; e++)
            to_chunk(d_experts ? d_experts + (e * batch->size + first) * net.outputs : nullptr, net.outputs, count,
                     d.experts + (int64_t)e * net.outputs * CHUNK);
        to_chunk(d_shared ? d_shared + first * net.outputs : nullptr, net.outputs, count, d.shared);
        to_chunk(d_values ? d_values + first : nullptr, 1, count, d.value);
        heads_backward(net, p, *batch, first, count, chunk.nodes[net.layers], chunk.heads, d, heads_room, g, d_nodes);
        for (int layer = net.layers - 1; layer >= 0; layer--) {
            layer_backward(net, net.layer[layer], p, self.projections[layer], layer_room, chunk.nodes[layer],
                           chunk.nodes[layer + 1], d_nodes, d_below, g);
            std::swap(d_nodes, d_below);
        }
        tokens_backward(net, self.tables.data(), *batch, first, count, token_room, d_nodes, g);
    }
    for (int layer = 0; layer < net.layers; layer++)
        project_backward(net, net.layer[layer], p, self.projections[layer], g);
    for (int q = 0; q < net.parts; q++) combine_backward(net, net.part[q], self.tables[q], g);
}

}  // extern "C"
