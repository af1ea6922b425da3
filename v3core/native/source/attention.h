// Graph attention over neighbour lists, on one chunk: what each node gathers, and the gradient of it.
//
// Arrays are [rows, nodes, CHUNK]. `z` is what the layer projected its nodes to; `mixed` and its gradient have the rows
// of the layer's width. For head h and an edge i <- j, with a_ij = softmax_j(e_ij):
//   GATv1 (arXiv:1710.10903): e_ij = LeakyReLU(r_h z_i + s_h z_j); rows of z: values, receiver scores, sender scores.
//   GATv2 (arXiv:2105.14491): e_ij = a_h LeakyReLU(l_j + r_i); rows of z: l, which are the values too, then r.
#pragma once
#include "network.h"

namespace v3 {

constexpr float SLOPE = 0.2f;  // of the leaky ReLU, as in both papers
inline Vec leaky(Vec x) { return larger(x, x * SLOPE); }
inline Vec leaky_slope(Vec x) { return x > 0.0f ? all(1.0f) : all(SLOPE); }

// One head of one receiver: its rows, and its edges. Copies, for what is written through pointers to floats might otherwise
// have changed them, and they would be read again and again.
struct Receiver {
    int64_t column, width, heads, first_row, end_row, node;
    int head, degree;
    int64_t first_weight;  // of its edges among those of all heads
    const int64_t* senders;
    Receiver(const Network& net, int h, int i)
        : column(net.column()), width(net.width), heads(net.heads), first_row(h * net.head_width()),
          end_row(first_row + net.head_width()), node(i), head(h), degree((int)(net.first_edge[i + 1] - net.first_edge[i])),
          first_weight((h * net.first_edge[net.nodes] + net.first_edge[i]) * CHUNK), senders(net.senders + net.first_edge[i]) {}
    int64_t own(int64_t row) const { return row * column + node * CHUNK; }
    int64_t sender(int64_t row, int edge) const { return row * column + senders[edge] * CHUNK; }
    int64_t receiver_score() const { return own(width + head); }
    int64_t sender_score(int edge) const { return sender(width + heads + head, edge); }
};

// weights[degree, CHUNK]: softmax over the edges of the scores that are in it.
inline void softmax_over_edges(float* weights, int degree) {
    for (int v = 0; v < CHUNK; v += LANES) {
        Vec top = load(weights + v), total = {};
        for (int k = 1; k < degree; k++) top = larger(top, load(weights + k * CHUNK + v));
        for (int k = 0; k < degree; k++) {
            Vec e = exp(load(weights + k * CHUNK + v) - top);
            store(weights + k * CHUNK + v, e);
            total += e;
        }
        total = 1.0f / total;
        for (int k = 0; k < degree; k++) store(weights + k * CHUNK + v, load(weights + k * CHUNK + v) * total);
    }
}

inline void attend(const Receiver& to, bool gatv1, const float* score, const float* z, float* weights) {
    for (int k = 0; k < to.degree; k++)
        for (int v = 0; v < CHUNK; v += LANES) {
            Vec total = {};
            if (gatv1) total = leaky(load(z + to.receiver_score() + v) + load(z + to.sender_score(k) + v));
            for (int64_t c = to.first_row; !gatv1 && c < to.end_row; c++)
                total = fma(score[c], leaky(load(z + to.sender(c, k) + v) + load(z + to.own(to.width + c) + v)), total);
            store(weights + k * CHUNK + v, total);
        }
    softmax_over_edges(weights, to.degree);
}

// ROWS rows of one receiver, which stay in registers: mixed = bias + sum over edges of a_ij z_j.
template <int ROWS>
inline void mix_rows(const Receiver& to, int64_t row, const float* bias, const float* z, const float* weights, float* mixed) {
    constexpr int VECTORS = CHUNK / LANES;
    Vec sums[ROWS][VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) sums[r][v] = all(bias[row + r]);
    for (int k = 0; k < to.degree; k++) {
        const float* from = z + to.sender(row, k);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            Vec weight = load(weights + k * CHUNK + v * LANES);
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++)
                sums[r][v] = fma(weight, load(from + r * to.column + v * LANES), sums[r][v]);
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) store(mixed + to.own(row + r) + v * LANES, sums[r][v]);
}

// Keeps the attention weights [heads, edges, CHUNK].
inline void mix_neighbours(const Network& net, const float* p, const Layer& layer, const float* z, float* weights,
                           float* mixed) {
    const bool gatv1 = net.graph == GATV1;
    const float *score = p + layer.score, *bias = p + layer.bias;
    for (int h = 0; h < net.heads; h++)
        for (int i = 0; i < net.nodes; i++) {
            const Receiver to(net, h, i);
            float* own = weights + to.first_weight;
            attend(to, gatv1, score, z, own);
            int64_t row = to.first_row;
            for (; row + 4 <= to.end_row; row += 4) mix_rows<4>(to, row, bias, z, own, mixed);
            for (; row < to.end_row; row++) mix_rows<1>(to, row, bias, z, own, mixed);
        }
}

// The gradient of ROWS rows of one receiver's sum: adds to d_weights[degree, CHUNK], and to dz of the senders.
template <int ROWS>
inline void mix_rows_backward(const Receiver& to, int64_t row, const float* z, const float* d, const float* weights,
                              float* d_weights, float* dz) {
    constexpr int VECTORS = CHUNK / LANES;
    Vec from[ROWS][VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) from[r][v] = load(d + to.own(row + r) + v * LANES);
    for (int k = 0; k < to.degree; k++) {
        const int64_t sender = to.sender(row, k);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            const int64_t edge = k * CHUNK + v * LANES;
            Vec weight = load(weights + edge), to_weight = load(d_weights + edge);
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++) {
                const int64_t at = sender + r * to.column + v * LANES;
                to_weight = fma(from[r][v], load(z + at), to_weight);
                store(dz + at, fma(weight, from[r][v], load(dz + at)));
            }
            store(d_weights + edge, to_weight);
        }
    }
}

// Through the softmax, d a_ij (d_ij - sum a d), and through the leaky scores; adds to dz, and to d_score (GATv2).
inline void attend_backward(const Receiver& to, bool gatv1, const float* score, const float* z, const float* weights,
                            const float* d_weights, float* dz, float* d_score) {
    for (int v = 0; v < CHUNK; v += LANES) {
        Vec mean = {}, to_receiver = {};
        for (int k = 0; k < to.degree; k++)
            mean = fma(load(weights + k * CHUNK + v), load(d_weights + k * CHUNK + v), mean);
        for (int k = 0; k < to.degree; k++) {
            Vec to_score = load(weights + k * CHUNK + v) * (load(d_weights + k * CHUNK + v) - mean);
            if (gatv1) {
                const int64_t sender = to.sender_score(k) + v;
                Vec both = to_score * leaky_slope(load(z + to.receiver_score() + v) + load(z + sender));
                to_receiver += both;
                add_to(dz + sender, both);
                continue;
            }
            for (int64_t c = to.first_row; c < to.end_row; c++) {
                const int64_t left = to.sender(c, k) + v, right = to.own(to.width + c) + v;
                Vec pair = load(z + left) + load(z + right);
                Vec both = to_score * score[c] * leaky_slope(pair);
                add_to(dz + left, both);
                add_to(dz + right, both);
                d_score[c] += sum(to_score * leaky(pair));
            }
        }
        if (gatv1) add_to(dz + to.receiver_score() + v, to_receiver);
    }
}

// Adds to dz[projected rows] what d[width rows] says of `mixed`, and to d_score (GATv2). `d_weights` holds max degree *
// CHUNK floats.
inline void mix_neighbours_backward(const Network& net, const float* p, const Layer& layer, const float* z,
                                    const float* weights, const float* d, float* d_weights, float* dz, float* d_score) {
    const bool gatv1 = net.graph == GATV1;
    const float* score = p + layer.score;
    for (int h = 0; h < net.heads; h++)
        for (int i = 0; i < net.nodes; i++) {
            const Receiver to(net, h, i);
            const float* own = weights + to.first_weight;
            memset(d_weights, 0, to.degree * CHUNK * sizeof(float));
            int64_t row = to.first_row;
            for (; row + 4 <= to.end_row; row += 4) mix_rows_backward<4>(to, row, z, d, own, d_weights, dz);
            for (; row < to.end_row; row++) mix_rows_backward<1>(to, row, z, d, own, d_weights, dz);
            attend_backward(to, gatv1, score, z, own, d_weights, dz, d_score);
        }
}

}  // namespace v3
