// A graph layer, x + ELU(conv(LayerNorm(x))), on one chunk.
//
// Gain and bias of the norm are folded into the projection: W (gain n + bias) = (W gain) n + W bias. Of GATv1 the score
// vectors are folded too, r (W x) = (r W) x, so that values and scores are rows of one product.
#pragma once
#include "attention.h"
#include "products.h"

namespace v3 {

// The projection of a layer: `plain` rows before the norm's gain, `folded` with it; all [projected, width].
struct Projection {
    float *plain, *folded, *bias;
    float *d_folded, *d_bias;  // sums over the chunks
};

inline Projection project(const Network& net, const Layer& layer, const float* p, Arena& arena) {
    const int width = net.width, rows = net.projected(), head_width = net.head_width();
    Projection found{arena.take(rows * width), arena.take(rows * width), arena.zeros(rows),
                     arena.zeros(rows * width), arena.zeros(rows)};
    memcpy(found.plain, p + layer.weight, width * width * sizeof(float));
    if (net.graph == GATV1)
        for (int h = 0; h < net.heads; h++)
            for (int k = 0; k < width; k++) {
                float receiver = 0, sender = 0;
                for (int c = h * head_width; c < (h + 1) * head_width; c++) {
                    receiver += p[layer.weight + c * width + k] * p[layer.receiver + c];
                    sender += p[layer.weight + c * width + k] * p[layer.sender + c];
                }
                found.plain[(width + h) * width + k] = receiver;
                found.plain[(width + net.heads + h) * width + k] = sender;
            }
    if (net.graph == GATV2) {
        memcpy(found.plain + width * width, p + layer.weight_receiver, width * width * sizeof(float));
        memcpy(found.bias, p + layer.bias_sender, width * sizeof(float));
        memcpy(found.bias + width, p + layer.bias_receiver, width * sizeof(float));
    }
    if (net.graph == MLP) memcpy(found.bias, p + layer.bias, width * sizeof(float));
    for (int o = 0; o < rows; o++)
        for (int k = 0; k < width; k++) {
            float weight = found.plain[o * width + k];
            found.folded[o * width + k] = weight * p[layer.norm_gain + k];
            found.bias[o] += weight * p[layer.norm_bias + k];
        }
    return found;
}

// Add the gradients of a layer's own parameters, once those of its projection are summed over all chunks.
inline void project_backward(const Network& net, const Layer& layer, const float* p, const Projection& of, float* g) {
    const int width = net.width, rows = net.projected(), head_width = net.head_width();
    for (int o = 0; o < rows; o++)
        for (int k = 0; k < width; k++) {
            const float d = of.d_folded[o * width + k], plain = of.plain[o * width + k];
            const float to_plain = d * p[layer.norm_gain + k] + of.d_bias[o] * p[layer.norm_bias + k];
            g[layer.norm_gain + k] += d * plain;
            g[layer.norm_bias + k] += of.d_bias[o] * plain;
            if (o < width) {
                g[layer.weight + o * width + k] += to_plain;
            } else if (net.graph == GATV2) {
                g[layer.weight_receiver + (o - width) * width + k] += to_plain;
            } else {  // GATV1: a row of scores
                const int64_t vectors = o < width + net.heads ? layer.receiver : layer.sender;
                const int h = (o - width) % net.heads;
                for (int c = h * head_width; c < (h + 1) * head_width; c++) {
                    g[layer.weight + c * width + k] += to_plain * p[vectors + c];
                    g[vectors + c] += to_plain * p[layer.weight + c * width + k];
                }
            }
        }
    const int64_t biases[2] = {net.graph == MLP ? layer.bias : layer.bias_sender, layer.bias_receiver};
    if (net.graph != GATV1)
        for (int o = 0; o < rows; o++) g[biases[o / width] + o % width] += of.d_bias[o];
}

// What the backward pass needs of a layer, besides the node features before and after it: projection, attention weights.
struct LayerKept {
    float *z, *weights;
    LayerKept(const Network& net, Arena& arena) {
        z = arena.take(net.projected() * net.column());
        weights = net.graph == MLP ? nullptr : arena.take(net.heads * net.first_edge[net.nodes] * CHUNK);
    }
};

// What one chunk needs while a layer is computed; used again for the next.
struct LayerRoom {
    float *normal, *rstd, *mixed;
    float *d, *dz, *d_normal, *d_weights, *turned;
    LayerRoom(const Network& net, int max_degree, bool backward, Arena& arena) {
        const int64_t column = net.column(), nodes = net.width * column, rows = net.projected() * column;
        normal = arena.take(nodes), rstd = arena.take(column), mixed = arena.take(nodes);
        d = dz = d_normal = d_weights = turned = nullptr;
        if (!backward) return;
        d = arena.take(nodes), dz = arena.take(rows), d_normal = arena.take(nodes);
        d_weights = arena.take(max_degree * CHUNK), turned = arena.take(nodes);
    }
};

// Layer norm over the width (arXiv:1607.06450) without gain and bias: normal = (x - mean) rstd.
inline void normalise(const Network& net, const float* x, float* normal, float* rstd) {
    const int64_t column = net.column();
    const float share = 1.0f / net.width;
    for (int64_t m = 0; m < column; m += LANES) {
        Vec mean = {}, squares = {};
        for (int c = 0; c < net.width; c++) mean += load(x + c * column + m);
        mean *= share;
        for (int c = 0; c < net.width; c++) {
            Vec centred = load(x + c * column + m) - mean;
            squares = fma(centred, centred, squares);
        }
        Vec by = 1.0f / root(fma(share, squares, all(1e-5f)));
        store(rstd + m, by);
        for (int c = 0; c < net.width; c++) store(normal + c * column + m, (load(x + c * column + m) - mean) * by);
    }
}

inline void layer_forward(const Network& net, const Layer& layer, const float* p, const Projection& by, LayerRoom& room,
                          const LayerKept& kept, const float* x, float* y) {
    const int64_t column = net.column(), count = net.width * column;
    normalise(net, x, room.normal, room.rstd);
    product(matrix(by.folded, net.width), net.projected(), net.width, room.normal, column, column, by.bias, kept.z, column);
    const float* mixed = net.graph == MLP ? kept.z : room.mixed;
    if (net.graph != MLP) mix_neighbours(net, p, layer, kept.z, kept.weights, room.mixed);
    for (int64_t i = 0; i < count; i += LANES) store(y + i, load(x + i) + elu(load(mixed + i)));
}

// dx of dy; adds to the gradients of the projection, and to those in `g` that do not go through it.
inline void layer_backward(const Network& net, const Layer& layer, const float* p, const Projection& by, LayerRoom& room,
                           const LayerKept& kept, const float* x, const float* y, const float* dy, float* dx, float* g) {
    const int width = net.width, rows = net.projected();
    const int64_t column = net.column(), count = width * column;
    normalise(net, x, room.normal, room.rstd);  // again: keeping it would take as long
    // ELU' = 1 above 0, ELU + 1 below; ELU is y - x.
    float* d = net.graph == MLP ? room.dz : room.d;
    for (int64_t i = 0; i < count; i += LANES)
        store(d + i, load(dy + i) * (smaller(load(y + i) - load(x + i), all(0.0f)) + 1.0f));
    if (net.graph != MLP) {
        memset(room.dz, 0, rows * column * sizeof(float));
        add_row_sums(d, width, column, g + layer.bias);
        mix_neighbours_backward(net, p, layer, kept.z, kept.weights, d, room.d_weights, room.dz,
                                net.graph == GATV2 ? g + layer.score : nullptr);
    }
    add_row_sums(room.dz, rows, column, by.d_bias);
    add_outer(room.dz, rows, room.normal, width, column, room.turned, by.d_folded);
    product(matrix(by.folded, width).transposed(), width, rows, room.dz, column, column, nullptr, room.d_normal, column);
    // Backwards through the norm: dx = rstd (d - mean(d) - normal mean(d normal)), plus the residual.
    const float share = 1.0f / width;
    for (int64_t m = 0; m < column; m += LANES) {
        Vec mean = {}, along = {}, rstd = load(room.rstd + m);
        for (int c = 0; c < width; c++) {
            Vec from = load(room.d_normal + c * column + m);
            mean += from;
            along = fma(from, load(room.normal + c * column + m), along);
        }
        mean *= share, along *= share;
        for (int c = 0; c < width; c++) {
            const int64_t at = c * column + m;
            store(dx + at, load(dy + at) + rstd * (load(room.d_normal + at) - mean - load(room.normal + at) * along));
        }
    }
}

}  // namespace v3
