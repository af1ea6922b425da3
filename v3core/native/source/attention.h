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

// One head of one receiver: where its rows are, and its edges.
struct Receiver {
    const Network& net;
    int head, node;
    int64_t first;
    int degree;
    Receiver(const Network& n, int h, int i)
        : net(n), head(h), node(i), first(n.first_edge[i]), degree((int)(n.first_edge[i + 1] - n.first_edge[i])) {}
    int64_t sender(int edge) const { return net.senders[first + edge]; }
    int first_row() const { return head * net.head_width(); }
    int64_t at(int64_t row, int64_t other) const { return row * net.column() + other * CHUNK; }
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

inline void attend(const Receiver& to, const float* p, const Layer& layer, const float* z, float* weights) {
    const Network& net = to.net;
    for (int k = 0; k < to.degree; k++)
        for (int v = 0; v < CHUNK; v += LANES) {
            Vec score = {};
            if (net.graph == GATV1) {
                const float* receiver = z + to.at(net.width + to.head, to.node);
                const float* sender = z + to.at(net.width + net.heads + to.head, to.sender(k));
                score = leaky(load(receiver + v) + load(sender + v));
            } else {
                for (int c = to.first_row(); c < to.first_row() + net.head_width(); c++) {
                    Vec pair = load(z + to.at(c, to.sender(k)) + v) + load(z + to.at(net.width + c, to.node) + v);
                    score = fma(p[layer.score + c], leaky(pair), score);
                }
            }
            store(weights + k * CHUNK + v, score);
        }
    softmax_over_edges(weights, to.degree);
}

// mixed_i = bias + sum over edges of a_ij z_j. `weights` holds max degree * CHUNK floats.
inline void mix_neighbours(const Network& net, const float* p, const Layer& layer, const float* z, float* weights,
                           float* mixed) {
    for (int h = 0; h < net.heads; h++)
        for (int i = 0; i < net.nodes; i++) {
            Receiver to(net, h, i);
            attend(to, p, layer, z, weights);
            for (int c = to.first_row(); c < to.first_row() + net.head_width(); c++)
                for (int v = 0; v < CHUNK; v += LANES) {
                    Vec total = all(p[layer.bias + c]);
                    for (int k = 0; k < to.degree; k++)
                        total = fma(load(weights + k * CHUNK + v), load(z + to.at(c, to.sender(k)) + v), total);
                    store(mixed + to.at(c, i) + v, total);
                }
        }
}

// Adds to dz[projected rows] what d[width rows] says of `mixed`, and to d_score (GATv2). `weights` and `d_weights` hold
// max degree * CHUNK floats.
inline void mix_neighbours_backward(const Network& net, const float* p, const Layer& layer, const float* z, const float* d,
                                    float* weights, float* d_weights, float* dz, float* d_score) {
    for (int h = 0; h < net.heads; h++)
        for (int i = 0; i < net.nodes; i++) {
            Receiver to(net, h, i);
            attend(to, p, layer, z, weights);
            const int first = to.first_row(), end = first + net.head_width();
            for (int k = 0; k < to.degree; k++)
                for (int v = 0; v < CHUNK; v += LANES) {
                    Vec weight = load(weights + k * CHUNK + v), to_weight = {};
                    for (int c = first; c < end; c++) {
                        Vec from = load(d + to.at(c, i) + v);
                        float* sender = dz + to.at(c, to.sender(k)) + v;
                        to_weight = fma(from, load(z + to.at(c, to.sender(k)) + v), to_weight);
                        store(sender, fma(weight, from, load(sender)));
                    }
                    store(d_weights + k * CHUNK + v, to_weight);
                }
            for (int v = 0; v < CHUNK; v += LANES) {
                Vec mean = {};
                for (int k = 0; k < to.degree; k++)
                    mean = fma(load(weights + k * CHUNK + v), load(d_weights + k * CHUNK + v), mean);
                for (int k = 0; k < to.degree; k++) {
                    Vec to_score = load(weights + k * CHUNK + v) * (load(d_weights + k * CHUNK + v) - mean);
                    if (net.graph == GATV1) {
                        int64_t receiver = to.at(net.width + h, i) + v;
                        int64_t sender = to.at(net.width + net.heads + h, to.sender(k)) + v;
                        Vec both = to_score * leaky_slope(load(z + receiver) + load(z + sender));
                        add_to(dz + receiver, both);
                        add_to(dz + sender, both);
                        continue;
                    }
                    for (int c = first; c < end; c++) {
                        int64_t left = to.at(c, to.sender(k)) + v, right = to.at(net.width + c, i) + v;
                        Vec pair = load(z + left) + load(z + right);
                        Vec both = to_score * p[layer.score + c] * leaky_slope(pair);
                        add_to(dz + left, both);
                        add_to(dz + right, both);
                        d_score[c] += sum(to_score * leaky(pair));
                    }
                }
            }
        }
}

}  // namespace v3
