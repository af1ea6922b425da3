// Router logits to gates, on one chunk, and the gradient of it: policy/routing.py, where the papers are named.
//
// Arrays are [experts, CHUNK], every lane a sample by itself. With z = logits / temperature:
//   softmax, gumbel: p = softmax(z);   top-k: softmax over the chosen, or the weights of all;
//   entmax: p_i = [(alpha - 1) z_i - tau]_+^(1 / (alpha - 1)), tau such that they sum to 1; sparsemax is alpha = 2.
#pragma once
#include "double.h"
#include "network.h"

namespace v3 {

constexpr float TINY = 1.17549435e-38f;  // the smallest normal number: a chosen expert's gate is never 0
constexpr double NEARLY_SOFTMAX = 1e-6;  // for alpha - 1 below it entmax is softmax
constexpr int NEWTON_STEPS = 24;

// The alpha of a routing of the entmax family; 1 of the others.
inline double alpha_of(const Gating& gating) {
    if (gating.routing == SPARSEMAX) return 2.0;
    if (gating.routing == ENTMAX15) return 1.5;
    return gating.routing == ENTMAX && gating.alpha - 1 >= NEARLY_SOFTMAX ? gating.alpha : 1.0;
}

inline bool is_sparse(const Gating& gating) {
    return gating.routing == SPARSEMAX || gating.routing == ENTMAX15 || gating.routing == ENTMAX;
}

struct Routed {
    float *logits, *scaled, *gates;
    float* probabilities;  // of the losses: the softmax over all experts, or the gates
    Routed(const Network& net, const Gating& gating, Arena& arena) {
        const int64_t count = (int64_t)net.routed.experts * CHUNK;
        logits = arena.take(count), scaled = arena.take(count), gates = arena.take(count);
        const bool apart = gating.routing == TOPK || (is_sparse(gating) && gating.balance_on_softmax);
        probabilities = apart ? arena.take(count) : gates;
    }
    bool apart() const { return probabilities != gates; }
};

inline Vec largest(const float* rows, int count, int v) {
    Vec top = load(rows + v);
    for (int i = 1; i < count; i++) top = larger(top, load(rows + i * CHUNK + v));
    return top;
}

inline void softmax(const float* z, int count, int v, float* out) {
    Vec top = largest(z, count, v), total = {};
    for (int i = 0; i < count; i++) {
        Vec e = exp(load(z + i * CHUNK + v) - top);
        store(out + i * CHUNK + v, e);
        total += e;
    }
    for (int i = 0; i < count; i++) store(out + i * CHUNK + v, load(out + i * CHUNK + v) / total);
}

// log of the sum of exp, as of the z-loss.
inline Vec log_sum_exp(const float* z, int count, int v) {
    Vec top = largest(z, count, v), total = {};
    for (int i = 0; i < count; i++) total += exp(load(z + i * CHUNK + v) - top);
    return top + log(total);
}

inline void sort_descending(float* rows, int count, int v) {
    for (int end = 1; end < count; end++)
        for (int i = end; i > 0; i--) {
            Vec above = load(rows + (i - 1) * CHUNK + v), below = load(rows + i * CHUNK + v);
            store(rows + (i - 1) * CHUNK + v, larger(above, below));
            store(rows + i * CHUNK + v, smaller(above, below));
        }
}

// Martins and Astudillo, 2016: tau is the largest of (sum of the k largest - 1) / k over k.
inline void sparsemax(const float* z, int count, int v, float* ordered, float* gates) {
    Vec top = largest(z, count, v), total = {}, tau = all(-INFINITY);
    for (int i = 0; i < count; i++) store(ordered + i * CHUNK + v, load(z + i * CHUNK + v) - top);
    sort_descending(ordered, count, v);
    for (int k = 1; k <= count; k++) {
        total += load(ordered + (k - 1) * CHUNK + v);
        tau = larger(tau, (total - 1.0f) / (float)k);
    }
    for (int i = 0; i < count; i++)
        store(gates + i * CHUNK + v, larger(all(0.0f), load(z + i * CHUNK + v) - top - tau));
}

// Entmax at 1.5: algorithm 2 of Peters et al., 2019.
inline void entmax15(const float* z, int count, int v, float* ordered, float* gates) {
    Vec top = largest(z, count, v), total = {}, squares = {}, tau = {};
    for (int i = 0; i < count; i++) store(ordered + i * CHUNK + v, (load(z + i * CHUNK + v) - top) * 0.5f);
    sort_descending(ordered, count, v);
    for (int k = 1; k <= count; k++) {
        Vec next = load(ordered + (k - 1) * CHUNK + v);
        total += next, squares = fma(next, next, squares);
        Vec mean = total / (float)k, spread = squares / (float)k - mean * mean;
        Vec threshold = mean - root(larger(all(0.0f), 1.0f / (float)k - spread));
        tau = where(threshold <= next, threshold, tau);  // that of the last k for which it holds
    }
    for (int i = 0; i < count; i++) {
        Vec base = larger(all(0.0f), (load(z + i * CHUNK + v) - top) * 0.5f - tau);
        store(gates + i * CHUNK + v, base * base);
    }
}

// Entmax at any alpha, by Newton's method on sum [..]_+^power - 1 from tau = -1, in double precision: power may be large.
inline void entmax(const float* z, int count, int v, double alpha, float* gates) {
    const double power = 1 / (alpha - 1);
    for (int lane = v; lane < v + LANES; lane++) {
        double top = z[lane], tau = -1;
        for (int i = 1; i < count; i++) top = top > z[i * CHUNK + lane] ? top : z[i * CHUNK + lane];
        auto base = [&](int i) {
            double found = ((double)z[i * CHUNK + lane] - top) * (alpha - 1) - tau;
            return found > 0 ? found : found == found ? 0.0 : found;
        };
        for (int step = 0; step < NEWTON_STEPS; step++) {
            double total = 0, slopes = 0;
            for (int i = 0; i < count; i++) {
                double slope = power_of(base(i), power - 1);
                total += base(i) * slope, slopes += slope;
            }
            const double change = (total - power_of(total, 1 - 1 / power)) / slopes;
            tau += change;
            if (!(change >= 1e-13)) break;
        }
        double total = 0;
        for (int i = 0; i < count; i++) total += power_of(base(i), power);
        for (int i = 0; i < count; i++) gates[i * CHUNK + lane] = (float)(power_of(base(i), power) / total);
    }
}

// 1 for the k experts of the largest affinity, else 0; of equals the first.
inline void choose(const Gating& gating, const float* z, int count, int v, float* affinity, float* chosen) {
    if (gating.bias && gating.top_k_weights != SIGMOID) softmax(z, count, v, affinity);
    for (int e = 0; e < count; e++) {
        Vec own = load(z + e * CHUNK + v);
        if (gating.bias) own = (gating.top_k_weights == SIGMOID ? sigmoid(own) : load(affinity + e * CHUNK + v)) + gating.bias[e];
        store(affinity + e * CHUNK + v, own);
    }
    for (int e = 0; e < count; e++) {
        Vec own = load(affinity + e * CHUNK + v), ahead = {};
        for (int i = 0; i < count; i++) {
            Vec other = load(affinity + i * CHUNK + v);
            ahead += i < e ? where(other >= own, all(1.0f), all(0.0f)) : where(other > own, all(1.0f), all(0.0f));
        }
        store(chosen + e * CHUNK + v, where(ahead < (float)gating.top_k, all(1.0f), all(0.0f)));
    }
}

// `room` holds 2 * experts * CHUNK floats.
inline void top_k(const Gating& gating, const float* z, int count, int v, float* room, float* gates, float* probabilities) {
    float *affinity = room, *chosen = room + count * CHUNK;
    choose(gating, z, count, v, affinity, chosen);
    softmax(z, count, v, probabilities);
    float* weights = probabilities;
    if (gating.top_k_weights != PROBABILITIES) {
        weights = gates;
        for (int e = 0; e < count; e++) {
            Vec own = load(z + e * CHUNK + v);
            if (gating.top_k_weights == SIGMOID) own = log_sigmoid(own);
            store(weights + e * CHUNK + v, where(load(chosen + e * CHUNK + v) > 0.0f, own, all(-INFINITY)));
        }
        softmax(weights, count, v, weights);
    }
    for (int e = 0; e < count; e++) {
        Vec weight = load(weights + e * CHUNK + v);
        weight = weight < TINY ? all(TINY) : weight;
        store(gates + e * CHUNK + v, where(load(chosen + e * CHUNK + v) > 0.0f, weight, all(0.0f)));
    }
}

// Gates and probabilities of the logits. `room` holds 2 * experts * CHUNK floats.
inline void route(const Network& net, const Gating& gating, const Batch& batch, int64_t first, int count, float* room,
                  Routed& routed) {
    const int experts = net.routed.experts;
    memcpy(routed.scaled, routed.logits, experts * CHUNK * sizeof(float));
    for (int b = 0; gating.routing == GUMBEL && batch.noise && b < count; b++) {
        const float* noise = batch.noise + batch.row(first + b) * batch.noise_step + batch.noise_step - experts;
        for (int e = 0; e < experts; e++) routed.scaled[e * CHUNK + b] += noise[e];
    }
    for (int i = 0; i < experts * CHUNK; i += LANES) store(routed.scaled + i, load(routed.scaled + i) / gating.temperature);
    const double alpha = alpha_of(gating);
    for (int v = 0; v < CHUNK; v += LANES) {
        if (gating.routing == TOPK) top_k(gating, routed.scaled, experts, v, room, routed.gates, routed.probabilities);
        else if (alpha == 1) softmax(routed.scaled, experts, v, routed.gates);
        else if (alpha == 2) sparsemax(routed.scaled, experts, v, room, routed.gates);
        else if (alpha == 1.5) entmax15(routed.scaled, experts, v, room, routed.gates);
        else entmax(routed.scaled, experts, v, alpha, routed.gates);
        if (gating.routing != TOPK && routed.apart()) softmax(routed.scaled, experts, v, routed.probabilities);
    }
}

// d_z of z through softmax: p_i (d_i - sum p d). In place.
inline void softmax_backward(const float* p, int count, int v, float* d) {
    Vec mean = {};
    for (int i = 0; i < count; i++) mean = fma(load(p + i * CHUNK + v), load(d + i * CHUNK + v), mean);
    for (int i = 0; i < count; i++)
        store(d + i * CHUNK + v, load(p + i * CHUNK + v) * (load(d + i * CHUNK + v) - mean));
}

// The Jacobian of entmax is diag(s) - s s^T / sum s with s = p^(2 - alpha) on the support. In place; `slopes` is room.
inline void entmax_backward(const float* p, double alpha, int count, int v, float* slopes, float* d) {
    Vec total = {}, along = {};
    for (int i = 0; i < count; i++) {
        Vec gate = load(p + i * CHUNK + v), slope = all(1.0f);
        if (alpha == 1.5) slope = root(gate);
        else if (alpha != 2) slope = exp((float)(2 - alpha) * log(larger(all(TINY), gate)));
        slope = where(gate <= 0.0f, all(0.0f), slope);
        store(slopes + i * CHUNK + v, slope);
        total += slope, along = fma(slope, load(d + i * CHUNK + v), along);
    }
    Vec mean = along / total;
    for (int i = 0; i < count; i++)
        store(d + i * CHUNK + v, load(slopes + i * CHUNK + v) * (load(d + i * CHUNK + v) - mean));
}

// Turns d_gates into the gradient of z, in place; d_probabilities is added where they are not the gates (top-k).
inline void top_k_backward(const Gating& gating, const Routed& routed, int count, int v, float* d_probabilities,
                           float* d_gates) {
    for (int e = 0; e < count; e++) {  // of an expert that is off, and where the gate was raised to the smallest number, 0
        float* d = d_gates + e * CHUNK + v;
        store(d, where(load(routed.gates + e * CHUNK + v) > TINY, load(d), all(0.0f)));
        if (gating.top_k_weights == PROBABILITIES) add_to(d_probabilities + e * CHUNK + v, load(d));
    }
    softmax_backward(routed.probabilities, count, v, d_probabilities);
    if (gating.top_k_weights != PROBABILITIES) softmax_backward(routed.gates, count, v, d_gates);
    for (int e = 0; e < count; e++) {
        Vec d = load(d_gates + e * CHUNK + v), from_all = load(d_probabilities + e * CHUNK + v);
        if (gating.top_k_weights == PROBABILITIES) d = all(0.0f);
        if (gating.top_k_weights == SIGMOID) d *= sigmoid(-load(routed.scaled + e * CHUNK + v));
        store(d_gates + e * CHUNK + v, d + from_all);
    }
}

// d_logits += what d_gates, and d_probabilities where they are apart, say of them; both are used up. `room` holds experts * CHUNK floats.
inline void route_backward(const Network& net, const Gating& gating, const Routed& routed, float* room, float* d_gates,
                           float* d_probabilities, float* d_logits) {
    const int experts = net.routed.experts;
    const double alpha = alpha_of(gating);
    for (int v = 0; v < CHUNK; v += LANES) {
        if (gating.routing == TOPK) top_k_backward(gating, routed, experts, v, d_probabilities, d_gates);
        else if (alpha == 1) softmax_backward(routed.gates, experts, v, d_gates);
        else entmax_backward(routed.gates, alpha, experts, v, room, d_gates);
        if (gating.routing != TOPK && routed.apart()) {
            softmax_backward(routed.probabilities, experts, v, d_probabilities);
            for (int e = 0; e < experts; e++) add_to(d_gates + e * CHUNK + v, load(d_probabilities + e * CHUNK + v));
        }
        for (int e = 0; e < experts; e++)
            add_to(d_logits + e * CHUNK + v, load(d_gates + e * CHUNK + v) / gating.temperature);
    }
}

}  // namespace v3
