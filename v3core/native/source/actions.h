// What the outputs of the policy mean, on one chunk: policy/distributions.py, where the papers are named.
//
// Outputs are [outputs, CHUNK], every lane a sample by itself; actions [components, CHUNK], categories and switches as
// floats. `fixed` [outputs, CHUNK] is what a mask makes of an output: 0 leaves it, another number takes its place.
#pragma once
#include "network.h"

namespace v3 {

constexpr float FORBIDDEN = -1e8f;
constexpr float LOW_LOG_STD = -5.0f, HIGH_LOG_STD = 2.0f;
constexpr float HALF_LOG_2PI = 0.9189385332046727f;

// The actions and the masks of a chunk's samples.
inline void gather_actions(const Network& net, const Batch& batch, const Samples& samples, int64_t first, int count,
                           float* actions, float* fixed) {
    memset(actions, 0, net.components * CHUNK * sizeof(float));
    memset(fixed, 0, net.outputs * CHUNK * sizeof(float));
    for (int b = 0; b < count; b++) {
        const int64_t row = batch.row(first + b);
        for (int c = 0; c < net.components; c++) {
            const int64_t at = row * net.components + c;
            actions[c * CHUNK + b] = net.actions == NUMBERS ? ((const float*)samples.actions)[at]
                                                            : (float)((const int64_t*)samples.actions)[at];
        }
        for (int a = 0; samples.masks && a < net.outputs; a++) {
            if (net.actions == CATEGORIES_CHOSEN) {
                if (!samples.masks[row * net.outputs + a]) fixed[a * CHUNK + b] = FORBIDDEN;
                continue;
            }
            const uint8_t* may_be = samples.masks + (row * net.outputs + a) * 2;  // off, on
            if (!may_be[1]) fixed[a * CHUNK + b] = FORBIDDEN;
            else if (!may_be[0]) fixed[a * CHUNK + b] = -FORBIDDEN;
        }
    }
}

inline Vec masked(Vec output, Vec fixed) { return where(fixed == 0.0f, output, fixed); }
inline float log_std_of(const Network& net, const float* p, int a) {
    const float found = p[net.log_std + a];
    return found < LOW_LOG_STD ? LOW_LOG_STD : found > HIGH_LOG_STD ? HIGH_LOG_STD : found;
}
inline bool log_std_moves(const Network& net, const float* p, int a) {
    return p[net.log_std + a] >= LOW_LOG_STD && p[net.log_std + a] <= HIGH_LOG_STD;
}
inline float exp_of(float x) { return exp(all(x))[0]; }

// log of the softmax of rows [count, CHUNK], of what a mask leaves of them.
inline void log_softmax(const float* outputs, const float* fixed, int count, int v, float* out) {
    Vec top = all(-INFINITY), total = {};
    for (int a = 0; a < count; a++) top = larger(top, masked(load(outputs + a * CHUNK + v), load(fixed + a * CHUNK + v)));
    for (int a = 0; a < count; a++) {
        Vec shifted = masked(load(outputs + a * CHUNK + v), load(fixed + a * CHUNK + v)) - top;
        store(out + a * CHUNK + v, shifted);
        total += exp(shifted);
    }
    total = log(total);
    for (int a = 0; a < count; a++) store(out + a * CHUNK + v, load(out + a * CHUNK + v) - total);
}

struct Likelihood {
    Vec log_prob, entropy;
};

// Log-probability of the actions, and entropy. `logs` [outputs, CHUNK] keeps what the backward pass needs.
inline Likelihood likelihood(const Network& net, const float* p, const float* outputs, const float* fixed,
                             const float* actions, int v, float* logs) {
    Likelihood found = {};
    if (net.actions == CATEGORIES_CHOSEN)
        for (int c = 0, start = 0; c < net.components; start += (int)net.categories[c++]) {
            const int64_t at = start * CHUNK;
            log_softmax(outputs + at, fixed + at, (int)net.categories[c], v, logs + at);
            for (int a = 0; a < net.categories[c]; a++) {
                Vec log_prob = load(logs + at + a * CHUNK + v);
                found.log_prob += where(load(actions + c * CHUNK + v) == (float)a, log_prob, all(0.0f));
                found.entropy = found.entropy - exp(log_prob) * log_prob;
            }
        }
    if (net.actions == SWITCHES)
        for (int a = 0; a < net.outputs; a++) {
            Vec odds = masked(load(outputs + a * CHUNK + v), load(fixed + a * CHUNK + v));
            Vec on = log_sigmoid(odds), off = log_sigmoid(-odds);
            found.log_prob += where(load(actions + a * CHUNK + v) > 0.0f, on, off);
            found.entropy = found.entropy - exp(on) * on - exp(off) * off;
        }
    if (net.actions == NUMBERS)
        for (int a = 0; a < net.outputs; a++) {
            const float log_std = log_std_of(net, p, a);
            Vec deviation = (load(actions + a * CHUNK + v) - load(outputs + a * CHUNK + v)) * exp_of(-log_std);
            found.log_prob += fma(deviation * deviation, all(-0.5f), all(-log_std - HALF_LOG_2PI));
            found.entropy += log_std + HALF_LOG_2PI + 0.5f;
        }
    return found;
}

// d_outputs of d; adds to the gradient of the deviations in `g`.
inline void likelihood_backward(const Network& net, const float* p, const float* outputs, const float* fixed,
                                const float* actions, int v, const float* logs, Likelihood d, float* d_outputs, float* g) {
    if (net.actions == CATEGORIES_CHOSEN)
        for (int c = 0, start = 0; c < net.components; start += (int)net.categories[c++]) {
            Vec entropy = {};
            for (int a = start; a < start + net.categories[c]; a++) {
                Vec log_prob = load(logs + a * CHUNK + v);
                entropy = entropy - exp(log_prob) * log_prob;
            }
            for (int a = start; a < start + net.categories[c]; a++) {
                Vec log_prob = load(logs + a * CHUNK + v), prob = exp(log_prob);
                Vec taken = where(load(actions + c * CHUNK + v) == (float)(a - start), all(1.0f), all(0.0f));
                Vec found = d.log_prob * (taken - prob) - d.entropy * prob * (log_prob + entropy);
                store(d_outputs + a * CHUNK + v, where(load(fixed + a * CHUNK + v) == 0.0f, found, all(0.0f)));
            }
        }
    if (net.actions == SWITCHES)
        for (int a = 0; a < net.outputs; a++) {
            Vec odds = load(outputs + a * CHUNK + v), on = sigmoid(odds), off = sigmoid(-odds);
            Vec found = d.log_prob * where(load(actions + a * CHUNK + v) > 0.0f, off, -on) - d.entropy * on * off * odds;
            store(d_outputs + a * CHUNK + v, where(load(fixed + a * CHUNK + v) == 0.0f, found, all(0.0f)));
        }
    if (net.actions == NUMBERS)
        for (int a = 0; a < net.outputs; a++) {
            const float inverse = exp_of(-log_std_of(net, p, a));
            Vec deviation = (load(actions + a * CHUNK + v) - load(outputs + a * CHUNK + v)) * inverse;
            store(d_outputs + a * CHUNK + v, d.log_prob * deviation * inverse);
            if (log_std_moves(net, p, a))
                g[net.log_std + a] += sum(fma(d.log_prob, deviation * deviation - 1.0f, d.entropy));
        }
}

// Roots of the probabilities of one expert's categories, or of on and off: the coefficient below is a product of them.
// [categories, CHUNK], twice as many for switches; nothing for numbers.
inline void roots_of(const Network& net, const float* outputs, const float* fixed, int v, float* roots) {
    if (net.actions == CATEGORIES_CHOSEN)
        for (int c = 0, start = 0; c < net.components; start += (int)net.categories[c++]) {
            log_softmax(outputs + start * CHUNK, fixed + start * CHUNK, (int)net.categories[c], v, roots + start * CHUNK);
            for (int a = start; a < start + net.categories[c]; a++)
                store(roots + a * CHUNK + v, exp(0.5f * load(roots + a * CHUNK + v)));
        }
    if (net.actions == SWITCHES)
        for (int a = 0; a < net.outputs; a++) {
            Vec odds = masked(load(outputs + a * CHUNK + v), load(fixed + a * CHUNK + v));
            store(roots + 2 * a * CHUNK + v, exp(0.5f * log_sigmoid(odds)));
            store(roots + (2 * a + 1) * CHUNK + v, exp(0.5f * log_sigmoid(-odds)));
        }
}
inline int root_rows(const Network& net) { return net.actions == SWITCHES ? 2 * net.outputs : net.outputs; }

// One expert in a comparison with another.
struct Acting {
    const float *outputs, *roots;
    float* d_outputs;
};

// Bhattacharyya coefficient of two experts, sum of sqrt(p q), a product over components; adds what `d` says of it to the
// gradients of both, and of the deviations to d_log_std [outputs, LANES]. For normal distributions of equal deviation it is
// exp(-(difference / deviation)^2 / 8).
inline Vec overlap(const Network& net, const float* p, const float* fixed, int v, Acting one, Acting other, Vec d,
                   float* d_log_std) {
    if (net.actions == NUMBERS) {
        Vec squares = {};
        for (int a = 0; a < net.outputs; a++) {
            Vec apart = (load(one.outputs + a * CHUNK + v) - load(other.outputs + a * CHUNK + v)) * exp_of(-log_std_of(net, p, a));
            squares = fma(apart, apart, squares);
        }
        const Vec found = exp(-0.125f * squares);
        for (int a = 0; a < net.outputs; a++) {
            const float inverse = exp_of(-log_std_of(net, p, a));
            Vec apart = (load(one.outputs + a * CHUNK + v) - load(other.outputs + a * CHUNK + v)) * inverse;
            Vec to_mean = d * found * apart * (-0.25f * inverse);
            add_to(one.d_outputs + a * CHUNK + v, to_mean);
            add_to(other.d_outputs + a * CHUNK + v, -to_mean);
            add_to(d_log_std + a * LANES, d * found * apart * apart * 0.25f);
        }
        return found;
    }
    const bool switches = net.actions == SWITCHES;
    const int components = switches ? net.outputs : net.components;
    auto rows = [&](int c) { return switches ? 2 : (int)net.categories[c]; };
    auto alike = [&](int c, int start) {
        Vec total = {};
        for (int i = start; i < start + rows(c); i++)
            total = fma(load(one.roots + i * CHUNK + v), load(other.roots + i * CHUNK + v), total);
        return total;
    };
    Vec found = all(1.0f);
    for (int c = 0, start = 0; c < components; start += rows(c++)) found *= alike(c, start);
    for (int c = 0, start = 0; c < components; start += rows(c++)) {
        Vec rest = d;  // times the coefficients of the other components
        for (int other_c = 0, at = 0; other_c < components; at += rows(other_c++))
            if (other_c != c) rest *= alike(other_c, at);
        const Vec own = alike(c, start);
        for (int i = 0; i < (switches ? 1 : rows(c)); i++) {  // of a switch the odds of on alone are an output
            const int output = switches ? c : start + i;
            Vec free = where(load(fixed + output * CHUNK + v) == 0.0f, 0.5f * rest, all(0.0f));
            Vec a = load(one.roots + (start + i) * CHUNK + v), b = load(other.roots + (start + i) * CHUNK + v);
            add_to(one.d_outputs + output * CHUNK + v, free * (a * b - a * a * own));
            add_to(other.d_outputs + output * CHUNK + v, free * (a * b - b * b * own));
        }
    }
    return found;
}

}  // namespace v3
