// What a network is made of: sizes, and where each parameter lies in the vector of all of them. As ctypes lays it out.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>
#include "vector.h"

namespace v3 {

constexpr int CHUNK = 2 * LANES;  // samples that are computed together: what they need stays in the cache
constexpr int MAX_CHANNELS = 8;

enum PartKind : int32_t { FEATURES, GRID, CATEGORIES, WORDS, HUB };
enum GraphKind : int32_t { GATV1, GATV2, MLP };
enum ActionKind : int32_t { CATEGORIES_CHOSEN, SWITCHES, NUMBERS };  // Categorical, Binary, Gaussian

// One part of the state graph: some columns of an observation, as some nodes.
struct Part {
    int32_t kind, nodes, first_node, start, size, group, channels, padding_;
    int64_t categories[MAX_CHANNELS];     // GRID: values of each channel; CATEGORIES: offset of each component in the table
    int64_t rows;                         // CATEGORIES: of the table
    int64_t identity;                     // FEATURES, WORDS, HUB; of GRID the positions
    int64_t table[MAX_CHANNELS];          // FEATURES: directions; GRID: one per channel; CATEGORIES, WORDS: the first
    const float *mean, *scale;            // FEATURES: of the normalisation
};

struct Layer {
    int64_t norm_gain, norm_bias, weight, bias;
    int64_t receiver, sender;                                  // GATV1
    int64_t weight_receiver, bias_sender, bias_receiver, score;  // GATV2
};

struct ExpertBlock {
    int32_t experts, padding_;
    int64_t weight_in, bias_in, weight_out, bias_out;
};

struct Network {
    int32_t width, nodes, heads, layers, hidden, outputs, graph, parts, observation_size, actions, components, padding_;
    const Part* part;
    const Layer* layer;
    ExpertBlock routed, shared;
    int64_t readout, readout_bias, router, router_bias;
    int64_t value[8];  // weight and bias of four layers
    int64_t log_std;            // NUMBERS: of the deviations
    int64_t size;               // of the vector of all parameters
    const int64_t* categories;  // CATEGORIES_CHOSEN: how many there are of each component
    const int64_t* first_edge;  // of each node, [nodes + 1]
    const int64_t* senders;     // of each edge

    int head_width() const { return width / heads; }
    int64_t column() const { return (int64_t)nodes * CHUNK; }  // floats of one feature of all nodes of a chunk
    // Rows of what a layer projects its nodes to, in one product.
    int projected() const { return graph == GATV1 ? width + 2 * heads : graph == GATV2 ? 2 * width : width; }
};

// How router logits become gates: `Gating` of policy/routing.py, its names in the order of curriculum/knobs.py.
enum RoutingKind : int32_t { SOFTMAX, SPARSEMAX, ENTMAX15, ENTMAX, TOPK, GUMBEL };
enum TopKWeights : int32_t { RENORMALISED, PROBABILITIES, SIGMOID };
struct Gating {
    int32_t routing, top_k, top_k_weights;
    float temperature;
    double alpha;
    const float* bias;  // added to the affinities when the top k are chosen, [experts]; null for none
    int64_t balance_on_softmax;  // whether the losses read the softmax of all experts also where it is not the gates
};

// Rows to compute on: the observation and the router's noise are those of row `chosen[sample]`; null is all rows in order.
struct Batch {
    const void* observations;
    const int64_t* chosen;
    const float* noise;  // as `routing_noise` lays it out, [rows, noise_step]; null for none
    int64_t size, noise_step;
    int32_t bytes;   // whether observations are uint8, else float32
    int32_t jitter;  // whether what the router reads is multiplied by the first columns of the noise

    int64_t row(int64_t sample) const { return chosen ? chosen[sample] : sample; }
    float entry(int64_t sample, int64_t observation_size, int64_t column) const {
        int64_t at = row(sample) * observation_size + column;
        return bytes ? (float)((const uint8_t*)observations)[at] : ((const float*)observations)[at];
    }
};

// What else a gradient step reads of a rollout, [rows, ..] each.
struct Samples {
    const void* actions;     // [components]: int64 of categories and switches, float32 of numbers
    const float *log_probs, *advantages, *targets;
    const float* gates;      // as acted, [experts]
    const int64_t* successors;  // row that followed in the same episode, -1 if there is none
    const uint8_t* masks;    // which actions were allowed, [mask size]; null if all were
};

// What is minimised, and how: `PPOConfig` and the coefficients of the losses by the names of their knobs.
struct Objective {
    float clip, value, max_grad_norm;
    float entropy, load_balance, expert_balance, z_loss, diversity, consistency, gate_entropy;
};

// Memory that is given out piece by piece and taken back as a whole; kept from call to call.
class Arena {
    static constexpr size_t BLOCK = 1 << 18;
    std::vector<std::vector<float>> blocks_;
    size_t block_ = 0, used_ = 0;

public:
    void reset() { block_ = used_ = 0; }
    float* take(int64_t count) {
        size_t wanted = (count + 15) & ~(size_t)15;
        while (block_ < blocks_.size() && used_ + wanted > blocks_[block_].size()) block_++, used_ = 0;
        if (block_ == blocks_.size()) blocks_.emplace_back(wanted > BLOCK ? wanted : BLOCK);
        float* found = blocks_[block_].data() + used_;
        used_ += wanted;
        return found;
    }
    float* zeros(int64_t count) { return (float*)memset(take(count), 0, count * sizeof(float)); }
};

}  // namespace v3
