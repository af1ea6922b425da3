// What is minimised, on one chunk, and its gradients: training/losses.py, where the papers are named.
#pragma once
#include "actions.h"
#include "heads.h"
#include "routing.h"

namespace v3 {

// In the order in which a step reports them.
enum Statistic {
    POLICY_LOSS, VALUE_LOSS, ACTION_ENTROPY,
    LOAD_BALANCE, EXPERT_BALANCE, Z_LOSS, DIVERSITY, CONSISTENCY, GATE_ENTROPY,
    TOTAL_LOSS, APPROX_KL, CLIP_FRACTION, ROUTER_SHIFT, GRADIENT_NORM, STATISTICS
};

// The policy's outputs for a chunk: the experts' weighted by their gates, plus the shared ones.
inline void mix(const Network& net, const float* gates, const HeadsOutput& heads, float* outputs) {
    for (int a = 0; a < net.outputs; a++)
        for (int v = 0; v < CHUNK; v += LANES) {
            Vec total = net.shared.experts ? load(heads.shared + a * CHUNK + v) : all(0.0f);
            for (int e = 0; e < net.routed.experts; e++)
                total = fma(load(gates + e * CHUNK + v), load(heads.experts + (e * net.outputs + a) * CHUNK + v), total);
            store(outputs + a * CHUNK + v, total);
        }
}

// Adds to d_gates; writes what d_outputs says of the experts' and the shared outputs.
inline void mix_backward(const Network& net, const float* gates, const HeadsOutput& heads, const float* d_outputs,
                         float* d_gates, HeadsOutput& d) {
    memcpy(d.shared, d_outputs, net.outputs * CHUNK * sizeof(float));
    for (int e = 0; e < net.routed.experts; e++)
        for (int v = 0; v < CHUNK; v += LANES) {
            Vec gate = load(gates + e * CHUNK + v), to_gate = load(d_gates + e * CHUNK + v);
            for (int a = 0; a < net.outputs; a++) {
                const int at = (e * net.outputs + a) * CHUNK + v;
                Vec from = load(d_outputs + a * CHUNK + v);
                to_gate = fma(from, load(heads.experts + at), to_gate);
                store(d.experts + at, gate * from);
            }
            store(d_gates + e * CHUNK + v, to_gate);
        }
}

// How often the experts are used in a minibatch, which the balance losses are about; carries no gradient.
struct Balance {
    double *largest, *uses, *mass;  // samples whose probability of the expert is largest, that use it; sum of the probabilities
    Balance(const Network& net, std::vector<double>& memory) {
        memory.assign(3 * net.routed.experts, 0.0);
        largest = memory.data(), uses = largest + net.routed.experts, mass = uses + net.routed.experts;
    }
    void count(const Network& net, const Gating& gating, const Routed& routed, int samples) {
        for (int b = 0; b < samples; b++) {
            int best = 0, acting = 0;
            for (int e = 0; e < net.routed.experts; e++) {
                const int at = e * CHUNK + b;
                if (routed.probabilities[at] > routed.probabilities[best * CHUNK + b]) best = e;
                if (routed.gates[at] > routed.gates[acting * CHUNK + b]) acting = e;
                mass[e] += routed.probabilities[at];
                if (gating.routing == TOPK && routed.gates[at] > 0) uses[e]++;
            }
            largest[best]++;
            if (gating.routing != TOPK) uses[acting]++;
        }
    }
    // Adds both losses times their coefficients; writes their gradients of every sample's probabilities to d[experts].
    void losses(const Network& net, const Objective& objective, int64_t size, double* statistics, float* d) const {
        const int experts = net.routed.experts;
        double all_uses = 0;
        for (int e = 0; e < experts; e++) all_uses += uses[e];
        for (int e = 0; e < experts; e++) {
            // Switch: N sum f_i P_i, f_i = share of the samples; DeepSeekMoE: sum f_i P_i, f_i = N times share of the uses.
            const double by_largest = objective.load_balance * experts * largest[e] / size;
            const double by_uses = objective.expert_balance * experts * uses[e] / all_uses;
            statistics[LOAD_BALANCE] += by_largest * mass[e] / size;
            if (objective.expert_balance != 0) statistics[EXPERT_BALANCE] += by_uses * mass[e] / size;
            d[e] = (float)((objective.load_balance != 0 ? by_largest / size : 0) +
                           (objective.expert_balance != 0 ? by_uses / size : 0));
        }
        if (objective.load_balance == 0) statistics[LOAD_BALANCE] = 0;
    }
};

// A chunk of a rollout's samples, and the gradients of what the policy says of them.
struct LossRoom {
    float *actions, *fixed, *logs, *of_sample, *old_gates, *outputs, *d_outputs, *d_probabilities, *roots, *d_log_std, *d_balance;
    LossRoom(const Network& net, Arena& arena) {
        const int64_t experts = net.routed.experts * CHUNK, outputs_ = net.outputs * CHUNK;
        actions = arena.take(net.components * CHUNK), fixed = arena.take(outputs_), logs = arena.take(outputs_);
        of_sample = arena.take(3 * CHUNK), old_gates = arena.take(experts);
        outputs = arena.take(outputs_), d_outputs = arena.take(outputs_), d_probabilities = arena.take(experts);
        roots = arena.take((int64_t)net.routed.experts * root_rows(net) * CHUNK), d_log_std = arena.take(net.outputs * LANES);
        d_balance = arena.take(net.routed.experts);
    }
};

// Lanes of a chunk that are samples of the batch.
inline IntVec within(int count, int v) { return IntVec{0, 1, 2, 3, 4, 5, 6, 7} + v < count; }

// PPO (arXiv:1707.06347): the clipped surrogate, half the squared error of the value, the entropy of the actions.
inline void ppo_loss(const Network& net, const float* p, const Objective& objective, int64_t size, int count, float* value,
                     LossRoom& room, double* statistics, float* d_value, float* g) {
    const float share = 1.0f / size;
    for (int v = 0; v < CHUNK; v += LANES) {
        const IntVec real = within(count, v);
        auto add = [&](Statistic to, Vec term) { statistics[to] += (double)sum(where(real, term, all(0.0f))) / size; };
        Vec old = load(room.of_sample + v), advantage = load(room.of_sample + CHUNK + v);
        Likelihood of = likelihood(net, p, room.outputs, room.fixed, room.actions, v, room.logs);
        Vec log_ratio = of.log_prob - old, ratio = exp(log_ratio);
        Vec clipped = clamp(ratio, 1 - objective.clip, 1 + objective.clip);
        Vec free = ratio * advantage, bound = clipped * advantage;
        add(POLICY_LOSS, -smaller(free, bound));
        add(ACTION_ENTROPY, of.entropy);
        // Schulman's estimator k3 (joschu.net/blog/kl-approx.html).
        add(APPROX_KL, ratio - 1.0f - log_ratio);
        add(CLIP_FRACTION, where(absolute(ratio - 1.0f) > objective.clip, all(1.0f), all(0.0f)));
        IntVec moves = (free < bound) | (clipped == ratio);
        Likelihood d{where(real & moves, -free * share, all(0.0f)), where(real, all(-objective.entropy * share), all(0.0f))};
        likelihood_backward(net, p, room.outputs, room.fixed, room.actions, v, room.logs, d, room.d_outputs, g);
        Vec error = load(value + v) - load(room.of_sample + 2 * CHUNK + v);
        add(VALUE_LOSS, 0.5f * error * error);
        store(d_value + v, where(real, objective.value * share * error, all(0.0f)));
    }
}

// z-loss, gate entropy and balance; and how far the gates moved since the actions were taken.
inline void router_losses(const Network& net, const Gating& gating, const Objective& objective, int64_t size, int count,
                          const Routed& routed, LossRoom& room, double* statistics, float* d_logits, float* d_gates) {
    const int experts = net.routed.experts;
    const float share = 1.0f / size;
    float* d_probabilities = routed.apart() ? room.d_probabilities : d_gates;
    for (int v = 0; v < CHUNK; v += LANES) {
        const IntVec real = within(count, v);
        auto add = [&](Statistic to, Vec term) { statistics[to] += (double)sum(where(real, term, all(0.0f))) / size; };
        Vec total = {}, old_total = {}, moved = {};
        for (int e = 0; e < experts; e++) {
            total += load(routed.gates + e * CHUNK + v), old_total += load(room.old_gates + e * CHUNK + v);
            add_to(d_probabilities + e * CHUNK + v, where(real, all(room.d_balance[e]), all(0.0f)));
        }
        for (int e = 0; e < experts; e++)
            moved += absolute(load(routed.gates + e * CHUNK + v) / total - load(room.old_gates + e * CHUNK + v) / old_total);
        add(ROUTER_SHIFT, 0.5f * moved);
        if (objective.z_loss != 0) {
            Vec sum_exp = log_sum_exp(routed.logits, experts, v);
            add(Z_LOSS, objective.z_loss * sum_exp * sum_exp);
            for (int e = 0; e < experts; e++) {
                Vec prob = exp(load(routed.logits + e * CHUNK + v) - sum_exp);
                store(d_logits + e * CHUNK + v, where(real, 2.0f * objective.z_loss * share * sum_exp * prob, all(0.0f)));
            }
        }
        for (int e = 0; objective.gate_entropy != 0 && e < experts; e++) {  // p log p; experts that are off add nothing
            Vec prob = load(routed.probabilities + e * CHUNK + v), log_prob = log(larger(all(TINY), prob));
            add(GATE_ENTROPY, objective.gate_entropy * prob * log_prob);
            Vec slope = log_prob + where(prob < TINY, all(0.0f), all(1.0f));
            add_to(d_probabilities + e * CHUNK + v, where(real, objective.gate_entropy * share * slope, all(0.0f)));
        }
    }
}

// How alike the experts act: mean overlap over all pairs of experts and all samples.
inline void diversity_loss(const Network& net, const float* p, const Objective& objective, int64_t size, int count,
                           const HeadsOutput& heads, LossRoom& room, double* statistics, HeadsOutput& d, float* g) {
    const int experts = net.routed.experts, rows = root_rows(net);
    if (objective.diversity == 0 || experts < 2) return;
    const double share = 2.0 * objective.diversity / ((double)size * experts * (experts - 1));
    auto expert = [&](int e) {
        return Acting{heads.experts + e * net.outputs * CHUNK, room.roots + (int64_t)e * rows * CHUNK,
                      d.experts + e * net.outputs * CHUNK};
    };
    memset(room.d_log_std, 0, net.outputs * LANES * sizeof(float));
    for (int v = 0; v < CHUNK; v += LANES) {
        const Vec weight = where(within(count, v), all((float)share), all(0.0f));
        for (int e = 0; e < experts; e++)
            roots_of(net, heads.experts + e * net.outputs * CHUNK, room.fixed, v, room.roots + (int64_t)e * rows * CHUNK);
        for (int e = 0; e < experts; e++)
            for (int f = e + 1; f < experts; f++)
                statistics[DIVERSITY] += sum(weight * overlap(net, p, room.fixed, v, expert(e), expert(f), weight, room.d_log_std));
    }
    for (int a = 0; net.actions == NUMBERS && a < net.outputs; a++)
        if (log_std_moves(net, p, a)) g[net.log_std + a] += sum(load(room.d_log_std + a * LANES));
}

// Consistency of one pair of successive samples, lane `a` of one chunk and `b` of another: sum of (g'(t + 1) - g'(t))^2 with
// g' = g / sum g. Adds to both gradients; returns the sum.
inline double consistency(int experts, float weight, const float* before, int a, float* d_before, const float* after, int b,
                          float* d_after) {
    float total = 0, next_total = 0, squares = 0, along = 0, next_along = 0;
    for (int e = 0; e < experts; e++) total += before[e * CHUNK + a], next_total += after[e * CHUNK + b];
    auto step = [&](int e) { return after[e * CHUNK + b] / next_total - before[e * CHUNK + a] / total; };
    for (int e = 0; e < experts; e++) {
        squares += step(e) * step(e);
        along += step(e) * before[e * CHUNK + a] / total, next_along += step(e) * after[e * CHUNK + b] / next_total;
    }
    for (int e = 0; e < experts; e++) {
        d_before[e * CHUNK + a] -= 2 * weight * (step(e) - along) / total;
        d_after[e * CHUNK + b] += 2 * weight * (step(e) - next_along) / next_total;
    }
    return squares;
}

}  // namespace v3
