// What reads the graph: the scene with router and experts, and the value, on one chunk; and the gradients of it.
//
// Vectors of the batch are [entries, CHUNK]. The node features [width, nodes, CHUNK] are read as [width * nodes, CHUNK].
#pragma once
#include "products.h"
#include "network.h"

namespace v3 {

// Activations that the backward pass needs.
struct HeadsKept {
    float *scene, *value[3], *hidden, *shared_hidden;
    HeadsKept(const Network& net, Arena& arena) {
        scene = arena.take(net.width * CHUNK);
        for (float*& layer : value) layer = arena.take(net.width * CHUNK);
        hidden = arena.take((int64_t)net.routed.experts * net.hidden * CHUNK);
        shared_hidden = arena.take((int64_t)net.shared.experts * net.hidden * CHUNK);
    }
};

// What the heads put out, and the gradients of it: router logits [experts], outputs of the routed experts
// [experts * outputs], the sum of those of the shared ones [outputs], and the value [1].
struct HeadsOutput {
    float *logits, *experts, *shared, *value;
    HeadsOutput(const Network& net, Arena& arena) {
        logits = arena.take(net.routed.experts * CHUNK), experts = arena.take(net.routed.experts * net.outputs * CHUNK);
        shared = arena.take(net.outputs * CHUNK), value = arena.take(CHUNK);
    }
};

struct HeadsRoom {
    float *read, *d_read, *d_scene, *d_value, *d_below, *d_hidden, *turned;
    HeadsRoom(const Network& net, Arena& arena) {
        const int64_t width = net.width * CHUNK;
        read = arena.take(width), d_read = arena.take(width), d_scene = arena.take(width);
        d_value = arena.take(width), d_below = arena.take(width), d_hidden = arena.take(net.hidden * CHUNK);
        turned = arena.take((int64_t)CHUNK * (net.width * net.nodes + net.hidden + net.outputs));
    }
};

// y = W x + b, all [.., CHUNK]; the parameters lie at `weight` and `bias`.
inline void linear(const float* p, int64_t weight, int64_t bias, int rows, int inner, const float* x, float* y) {
    product(matrix(p + weight, inner), rows, inner, x, CHUNK, CHUNK, p + bias, y, CHUNK);
}

// The gradients of its parameters, and of x unless `dx` is null.
inline void linear_backward(const float* p, int64_t weight, int64_t bias, int rows, int inner, const float* x,
                            const float* dy, float* room, float* g, float* dx, bool add = false) {
    add_outer(dy, rows, x, inner, CHUNK, room, g + weight);
    add_row_sums(dy, rows, CHUNK, g + bias);
    if (dx) product(matrix(p + weight, inner).transposed(), inner, rows, dy, CHUNK, CHUNK, nullptr, dx, CHUNK, add);
}

// What the router reads: the scene, times the jitter where there is any.
inline void apply_jitter(const Network& net, const Batch& batch, int64_t first, int count, const float* from, float* to) {
    memcpy(to, from, net.width * CHUNK * sizeof(float));
    for (int b = 0; batch.noise && batch.jitter && b < count; b++) {
        const float* noise = batch.noise + batch.row(first + b) * batch.noise_step;
        for (int c = 0; c < net.width; c++) to[c * CHUNK + b] *= noise[c];
    }
}

// Two-layer networks side by side, each with its own output: weight_in [experts, width, hidden], weight_out
// [experts, hidden, outputs].
inline void experts_forward(const Network& net, const ExpertBlock& block, const float* p, const float* scene, float* hidden,
                            float* outputs, bool summed) {
    const int width = net.width, inner = net.hidden, size = net.outputs;
    for (int e = 0; e < block.experts; e++) {
        float* own = hidden + (int64_t)e * inner * CHUNK;
        product(matrix(p + block.weight_in + (int64_t)e * width * inner, inner).transposed(), inner, width, scene, CHUNK,
                CHUNK, p + block.bias_in + e * inner, own, CHUNK);
        tanh_in_place(own, inner * CHUNK);
        Matrix out = matrix(p + block.weight_out + (int64_t)e * inner * size, size).transposed();
        const float* bias = p + block.bias_out + e * size;
        float* to = summed ? outputs : outputs + (int64_t)e * size * CHUNK;
        product(out, size, inner, own, CHUNK, CHUNK, bias, to, CHUNK, summed);
        for (int a = 0; summed && a < size; a++)
            for (int v = 0; v < CHUNK; v += LANES) store(to + a * CHUNK + v, load(to + a * CHUNK + v) + bias[a]);
    }
}

// Adds to the gradients of the experts' parameters and of the scene.
inline void experts_backward(const Network& net, const ExpertBlock& block, const float* p, const float* scene,
                             const float* hidden, const float* d_outputs, bool summed, HeadsRoom& room, float* g) {
    const int width = net.width, inner = net.hidden, size = net.outputs;
    for (int e = 0; e < block.experts; e++) {
        const float *own = hidden + (int64_t)e * inner * CHUNK, *d = summed ? d_outputs : d_outputs + (int64_t)e * size * CHUNK;
        const int64_t in = block.weight_in + (int64_t)e * width * inner, out = block.weight_out + (int64_t)e * inner * size;
        add_outer(own, inner, d, size, CHUNK, room.turned, g + out);
        add_row_sums(d, size, CHUNK, g + block.bias_out + e * size);
        product(matrix(p + out, size), inner, size, d, CHUNK, CHUNK, nullptr, room.d_hidden, CHUNK);
        tanh_backward(room.d_hidden, own, inner * CHUNK);
        add_outer(scene, width, room.d_hidden, inner, CHUNK, room.turned, g + in);
        add_row_sums(room.d_hidden, inner, CHUNK, g + block.bias_in + e * inner);
        product(matrix(p + in, inner), width, inner, room.d_hidden, CHUNK, CHUNK, nullptr, room.d_scene, CHUNK, true);
    }
}

// The scene, and the router logits.
inline void router_forward(const Network& net, const float* p, const Batch& batch, int64_t first, int count,
                           const float* nodes, HeadsKept& kept, HeadsRoom& room, float* logits) {
    linear(p, net.readout, net.readout_bias, net.width, net.width * net.nodes, nodes, kept.scene);
    tanh_in_place(kept.scene, net.width * CHUNK);
    apply_jitter(net, batch, first, count, kept.scene, room.read);
    linear(p, net.router, net.router_bias, net.routed.experts, net.width, room.read, logits);
}

// Experts and value; after `router_forward`.
inline void heads_forward(const Network& net, const float* p, const float* nodes, HeadsKept& kept, HeadsOutput& out) {
    const int width = net.width;
    experts_forward(net, net.routed, p, kept.scene, kept.hidden, out.experts, false);
    memset(out.shared, 0, net.outputs * CHUNK * sizeof(float));
    experts_forward(net, net.shared, p, kept.scene, kept.shared_hidden, out.shared, true);
    const float* below = nodes;
    for (int layer = 0; layer < 3; layer++) {
        linear(p, net.value[2 * layer], net.value[2 * layer + 1], width, layer ? width : width * net.nodes, below,
               kept.value[layer]);
        tanh_in_place(kept.value[layer], width * CHUNK);
        below = kept.value[layer];
    }
    linear(p, net.value[6], net.value[7], 1, width, below, out.value);
}

// Both readouts of the graph, of a network with memory: the scene, and what the value head's memory reads.
inline void readouts_forward(const Network& net, const float* p, const float* nodes, HeadsKept& kept) {
    const int width = net.width, read = width * net.nodes;
    linear(p, net.readout, net.readout_bias, width, read, nodes, kept.scene);
    linear(p, net.value[0], net.value[1], width, read, nodes, kept.value[0]);
    tanh_in_place(kept.scene, width * CHUNK), tanh_in_place(kept.value[0], width * CHUNK);
}

// Adds to the gradients of their parameters; writes that of the node features. Those of the readouts are used up.
inline void readouts_backward(const Network& net, const float* p, const float* nodes, const HeadsKept& kept, float* d_scene,
                              float* d_value, HeadsRoom& room, float* g, float* d_nodes) {
    const int width = net.width, read = width * net.nodes;
    tanh_backward(d_scene, kept.scene, width * CHUNK), tanh_backward(d_value, kept.value[0], width * CHUNK);
    linear_backward(p, net.readout, net.readout_bias, width, read, nodes, d_scene, room.turned, g, d_nodes);
    linear_backward(p, net.value[0], net.value[1], width, read, nodes, d_value, room.turned, g, d_nodes, true);
}

// Adds to the gradients of the heads' parameters; writes that of the node features. `whole` includes experts and value.
inline void heads_backward(const Network& net, const float* p, const Batch& batch, int64_t first, int count, bool whole,
                           const float* nodes, const HeadsKept& kept, const HeadsOutput& d, HeadsRoom& room, float* g,
                           float* d_nodes) {
    const int width = net.width, read = width * net.nodes;
    apply_jitter(net, batch, first, count, kept.scene, room.read);
    linear_backward(p, net.router, net.router_bias, net.routed.experts, width, room.read, d.logits, room.turned, g,
                    room.d_read);
    apply_jitter(net, batch, first, count, room.d_read, room.d_scene);
    if (whole) {
        experts_backward(net, net.routed, p, kept.scene, kept.hidden, d.experts, false, room, g);
        experts_backward(net, net.shared, p, kept.scene, kept.shared_hidden, d.shared, true, room, g);
    }
    tanh_backward(room.d_scene, kept.scene, width * CHUNK);
    linear_backward(p, net.readout, net.readout_bias, width, read, nodes, room.d_scene, room.turned, g, d_nodes);
    if (!whole) return;
    linear_backward(p, net.value[6], net.value[7], 1, width, kept.value[2], d.value, room.turned, g, room.d_value);
    for (int layer = 2; layer > 0; layer--) {
        tanh_backward(room.d_value, kept.value[layer], width * CHUNK);
        linear_backward(p, net.value[2 * layer], net.value[2 * layer + 1], width, width, kept.value[layer - 1], room.d_value,
                        room.turned, g, room.d_below);
        std::swap(room.d_value, room.d_below);
    }
    tanh_backward(room.d_value, kept.value[0], width * CHUNK);
    linear_backward(p, net.value[0], net.value[1], width, read, nodes, room.d_value, room.turned, g, d_nodes, true);
}

}  // namespace v3
