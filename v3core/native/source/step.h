// One whole gradient step of PPO, from a minibatch's rows to the moved parameters.
#pragma once
#include "adam.h"
#include "losses.h"
#include "passes.h"

namespace v3 {

// A chunk of the minibatch, or of what followed its samples (for consistency): of that only the router matters.
struct StepChunk {
    ChunkKept kept;
    HeadsOutput out;
    Routed routed;
    float* d_gates;
    StepChunk(const Network& net, const Gating& gating, Arena& arena)
        : kept(net, arena), out(net, arena), routed(net, gating, arena), d_gates(arena.zeros(net.routed.experts * CHUNK)) {}
};

struct Step {
    Native& native;
    const Network& net;
    const Gating& gating;
    const Samples& samples;
    const Objective& objective;
    float *p, *g;
    double statistics[STATISTICS] = {};

    // Rows of the minibatch, and after them those of its samples' successors.
    struct Part {
        Batch batch;
        bool whole;
        std::vector<StepChunk> chunks;
        int count(size_t chunk) const { return (int)std::min<int64_t>(CHUNK, batch.size - (int64_t)chunk * CHUNK); }
    };

    bool forward(Part& part, ChunkRoom& room, float* routing_room) {
        for (int64_t first = 0; first < part.batch.size; first += CHUNK) {
            part.chunks.emplace_back(net, gating, native.arena);
            StepChunk& chunk = part.chunks.back();
            const int count = part.count(part.chunks.size() - 1);
            chunk.routed.logits = chunk.out.logits;
            if (!native.forward(p, part.batch, first, count, part.whole, room, chunk.kept, chunk.out)) return false;
            route(net, gating, part.batch, first, count, routing_room, chunk.routed);
        }
        return true;
    }

    void gather(const Batch& batch, int64_t first, int count, LossRoom& room) {
        gather_actions(net, batch, samples, first, count, room.actions, room.fixed);
        memset(room.of_sample, 0, 3 * CHUNK * sizeof(float));
        std::fill(room.old_gates, room.old_gates + net.routed.experts * CHUNK, 1.0f);
        for (int b = 0; b < count; b++) {
            const int64_t row = batch.row(first + b);
            room.of_sample[b] = samples.log_probs[row], room.of_sample[CHUNK + b] = samples.advantages[row];
            room.of_sample[2 * CHUNK + b] = samples.targets[row];
            for (int e = 0; e < net.routed.experts; e++)
                room.old_gates[e * CHUNK + b] = samples.gates[row * net.routed.experts + e];
        }
    }

    void consistency_loss(const std::vector<int64_t>& before, Part& part, Part& after) {
        for (size_t pair = 0; pair < before.size(); pair++) {
            StepChunk &one = part.chunks[before[pair] / CHUNK], &other = after.chunks[pair / CHUNK];
            statistics[CONSISTENCY] += objective.consistency / before.size() *
                consistency(net.routed.experts, objective.consistency / before.size(), one.routed.gates, before[pair] % CHUNK,
                            one.d_gates, other.routed.gates, pair % CHUNK, other.d_gates);
        }
    }

    void backward(Part& part, ChunkRoom& room, LossRoom& loss, float* routing_room, HeadsOutput& d) {
        const int experts = net.routed.experts;
        for (size_t i = 0; i < part.chunks.size(); i++) {
            StepChunk& chunk = part.chunks[i];
            const int64_t first = i * CHUNK;
            memset(d.logits, 0, experts * CHUNK * sizeof(float));
            memset(loss.d_probabilities, 0, experts * CHUNK * sizeof(float));
            if (part.whole) {
                gather(part.batch, first, part.count(i), loss);
                mix(net, chunk.routed.gates, chunk.out, loss.outputs);
                ppo_loss(net, p, objective, part.batch.size, part.count(i), chunk.out.value, loss, statistics, d.value, g);
                router_losses(net, gating, objective, part.batch.size, part.count(i), chunk.routed, loss, statistics, d.logits,
                              chunk.d_gates);
                mix_backward(net, chunk.routed.gates, chunk.out, loss.d_outputs, chunk.d_gates, d);
                diversity_loss(net, p, objective, part.batch.size, part.count(i), chunk.out, loss, statistics, d, g);
            }
            route_backward(net, gating, chunk.routed, routing_room, chunk.d_gates, loss.d_probabilities, d.logits);
            native.backward(p, part.batch, first, part.count(i), part.whole, room, chunk.kept, d, g);
        }
    }

    // Writes the gradient to `g`, the statistics and the norm of each expert's gradient to `out`. False where an observation
    // names a category that there is not.
    bool gradient(const Batch& minibatch, float* out) {
        native.begin(), native.prepare(p);
        memset(g, 0, net.size * sizeof(float));
        Arena& arena = native.arena;
        ChunkRoom room = native.room(true);
        LossRoom loss(net, arena);
        HeadsOutput d(net, arena);
        float* routing_room = arena.take(2 * net.routed.experts * CHUNK);
        std::vector<double> memory;
        Balance balance(net, memory);

        Part part{minibatch, true, {}}, after{minibatch, false, {}};
        std::vector<int64_t> before, following;
        for (int64_t i = 0; objective.consistency != 0 && i < minibatch.size; i++)
            if (samples.successors[minibatch.row(i)] >= 0)
                before.push_back(i), following.push_back(samples.successors[minibatch.row(i)]);
        after.batch.chosen = following.data(), after.batch.size = following.size();
        if (!forward(part, room, routing_room) || !forward(after, room, routing_room)) return false;

        for (size_t i = 0; i < part.chunks.size(); i++) balance.count(net, gating, part.chunks[i].routed, part.count(i));
        balance.losses(net, objective, minibatch.size, statistics, loss.d_balance);
        consistency_loss(before, part, after);
        backward(part, room, loss, routing_room, d);
        backward(after, room, loss, routing_room, d);
        native.finish_gradient(p, g);

        double total = statistics[POLICY_LOSS] + objective.value * statistics[VALUE_LOSS] -
                       objective.entropy * statistics[ACTION_ENTROPY];
        for (int loss = LOAD_BALANCE; loss <= GATE_ENTROPY; loss++) total += statistics[loss];
        statistics[TOTAL_LOSS] = total, statistics[GRADIENT_NORM] = norm_of(g, net.size);
        for (int i = 0; i < STATISTICS; i++) out[i] = (float)statistics[i];
        for (int e = 0; e < net.routed.experts; e++) out[STATISTICS + e] = expert_norm(e);
        return true;
    }

    float expert_norm(int e) const {
        const ExpertBlock& of = net.routed;
        const int64_t sizes[] = {net.width * net.hidden, net.hidden, net.hidden * net.outputs, net.outputs};
        const int64_t starts[] = {of.weight_in, of.bias_in, of.weight_out, of.bias_out};
        double squares = 0;
        for (int i = 0; i < 4; i++) {
            const double norm = norm_of(g + starts[i] + e * sizes[i], sizes[i]);
            squares += norm * norm;
        }
        return (float)sqrt(squares);
    }
};

}  // namespace v3
