// The library's interface: plain C. Pointers are to float32 of torch's own tensors, laid out as the eager module has them.
#include "step.h"

using namespace v3;

namespace {

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

// Needed before `v3_act` whenever parameters or normalisation have changed.
void v3_prepare(void* native, const float* p) { ((Native*)native)->prepare(p); }

// Outputs [size, outputs], values [size] and gates [size, experts] of the prepared weights. Returns 0, or 1 where an
// observation names a category that there is not.
int v3_act(void* native, const float* p, const Batch* batch, const Gating* gating, float* outputs, float* values, float* gates) {
    Native& self = *(Native*)native;
    const Network& net = self.net;
    self.begin();
    ChunkRoom room = self.room(false);
    ChunkKept chunk(net, self.arena);
    HeadsOutput out(net, self.arena);
    Routed routed(net, *gating, self.arena);
    float *mixed = self.arena.take(net.outputs * CHUNK), *routing_room = self.arena.take(2 * net.routed.experts * CHUNK);
    routed.logits = out.logits;
    for (int64_t first = 0; first < batch->size; first += CHUNK) {
        const int count = (int)std::min<int64_t>(CHUNK, batch->size - first);
        if (!self.forward(p, *batch, first, count, true, room, chunk, out)) return 1;
        route(net, *gating, *batch, first, count, routing_room, routed);
        mix(net, routed.gates, out, mixed);
        to_rows(mixed, net.outputs, count, outputs + first * net.outputs);
        to_rows(out.value, 1, count, values + first);
        to_rows(routed.gates, net.routed.experts, count, gates + first * net.routed.experts);
    }
    return 0;
}

// One step on a minibatch: moves the parameters, and writes the statistics in the order of `Statistic` and the norm of each
// expert's gradient. Returns 0, or 1 where an observation names a category that there is not; nothing has moved then.
int v3_step(void* native, float* p, float* g, const Batch* batch, const Samples* samples, const Gating* gating,
            const Objective* objective, const Adam* optimizer, float* statistics) {
    Step step{*(Native*)native, ((Native*)native)->net, *gating, *samples, *objective, p, g};
    if (!step.gradient(*batch, statistics)) return 1;
    const float scale = objective->max_grad_norm / (statistics[GRADIENT_NORM] + 1e-6f);
    adam(*optimizer, scale > 1 ? 1.0f : scale, step.net.size, p, g);
    return 0;
}

// For routings and losses that the step does not have. Writes logits [size, experts], experts [experts, size, outputs],
// shared [size, outputs] and values [size]. Returns as the above.
int v3_forward(void* native, const float* p, const Batch* batch, float* logits, float* experts, float* shared, float* values) {
    Native& self = *(Native*)native;
    const Network& net = self.net;
    self.begin(), self.prepare(p);
    ChunkRoom room = self.room(false);
    HeadsOutput out(net, self.arena);
    for (int64_t first = 0; first < batch->size; first += CHUNK) {
        const int count = (int)std::min<int64_t>(CHUNK, batch->size - first);
        self.kept.emplace_back(net, self.arena);
        if (!self.forward(p, *batch, first, count, true, room, self.kept.back(), out)) return 1;
        to_rows(out.logits, net.routed.experts, count, logits + first * net.routed.experts);
        for (int e = 0; e < net.routed.experts; e++)
            to_rows(out.experts + (int64_t)e * net.outputs * CHUNK, net.outputs, count,
                    experts + (e * batch->size + first) * net.outputs);
        to_rows(out.shared, net.outputs, count, shared + first * net.outputs);
        to_rows(out.value, 1, count, values + first);
    }
    return 0;
}

// Adds to `g` the gradient of every parameter, given those of what the last `v3_forward` wrote. Null is 0.
void v3_backward(void* native, const float* p, const Batch* batch, const float* d_logits, const float* d_experts,
                 const float* d_shared, const float* d_values, float* g) {
    Native& self = *(Native*)native;
    const Network& net = self.net;
    ChunkRoom room = self.room(true);
    HeadsOutput d(net, self.arena);
    for (int64_t first = 0; first < batch->size; first += CHUNK) {
        const int count = (int)std::min<int64_t>(CHUNK, batch->size - first);
        to_chunk(d_logits ? d_logits + first * net.routed.experts : nullptr, net.routed.experts, count, d.logits);
        for (int e = 0; e < net.routed.experts; e++)
            to_chunk(d_experts ? d_experts + (e * batch->size + first) * net.outputs : nullptr, net.outputs, count,
                     d.experts + (int64_t)e * net.outputs * CHUNK);
        to_chunk(d_shared ? d_shared + first * net.outputs : nullptr, net.outputs, count, d.shared);
        to_chunk(d_values ? d_values + first : nullptr, 1, count, d.value);
        self.backward(p, *batch, first, count, true, room, self.kept[first / CHUNK], d, g);
    }
    self.finish_gradient(p, g);
}

// Of a network with memory, which torch computes: the scenes and what the value head's memory reads, [size, width] both.
// Returns as the above. `changed`: whether parameters have changed since they were prepared.
int v3_readouts(void* native, const float* p, const Batch* batch, int32_t changed, float* scenes, float* values) {
    Native& self = *(Native*)native;
    const Network& net = self.net;
    self.begin();
    if (changed) self.prepare(p);
    ChunkRoom room = self.room(false);
    for (int64_t first = 0; first < batch->size; first += CHUNK) {
        const int count = (int)std::min<int64_t>(CHUNK, batch->size - first);
        self.kept.emplace_back(net, self.arena);
        ChunkKept& chunk = self.kept.back();
        if (!self.graph_forward(p, *batch, first, count, room, chunk)) return 1;
        readouts_forward(net, p, chunk.nodes[net.layers], chunk.heads);
        to_rows(chunk.heads.scene, net.width, count, scenes + first * net.width);
        to_rows(chunk.heads.value[0], net.width, count, values + first * net.width);
    }
    return 0;
}

// Adds to `g` the gradient of every parameter below, given those of what the last `v3_readouts` wrote. Null is 0.
void v3_readouts_backward(void* native, const float* p, const Batch* batch, const float* d_scenes, const float* d_values,
                          float* g) {
    Native& self = *(Native*)native;
    const Network& net = self.net;
    ChunkRoom room = self.room(true);
    for (int64_t first = 0; first < batch->size; first += CHUNK) {
        const int count = (int)std::min<int64_t>(CHUNK, batch->size - first);
        const ChunkKept& chunk = self.kept[first / CHUNK];
        to_chunk(d_scenes ? d_scenes + first * net.width : nullptr, net.width, count, room.heads.d_scene);
        to_chunk(d_values ? d_values + first * net.width : nullptr, net.width, count, room.heads.d_value);
        readouts_backward(net, p, chunk.nodes[net.layers], chunk.heads, room.heads.d_scene, room.heads.d_value, room.heads, g,
                          room.d_nodes);
        self.graph_backward(p, *batch, first, count, room, chunk, g);
    }
    self.finish_gradient(p, g);
}

}  // extern "C"
