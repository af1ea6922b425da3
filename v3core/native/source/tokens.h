// Observations as node features [width, nodes, CHUNK] of one chunk, and the gradient of what makes them.
#pragma once
#include "products.h"
#include "network.h"

namespace v3 {

constexpr float CLIP = 10.0f;  // normalised values are clipped to it, as in policy/tokens.py

// Parameters of a cell are looked up in one table of all combinations of channel values, made once a call.
struct PartTable {
    float *rows = nullptr, *d_rows = nullptr;  // GRID: [combinations, width]
    int64_t combinations = 0;
};

inline PartTable combine(const Network& net, const Part& part, const float* p, Arena& arena) {
    PartTable found;
    if (part.kind != GRID) return found;
    found.combinations = 1;
    for (int c = 0; c < part.channels; c++) found.combinations *= part.categories[c];
    found.rows = arena.zeros(found.combinations * net.width);
    found.d_rows = arena.zeros(found.combinations * net.width);
    for (int64_t i = 0; i < found.combinations; i++) {
        int64_t rest = i, stride = found.combinations;
        for (int c = 0; c < part.channels; c++) {
            stride /= part.categories[c];
            const float* row = p + part.table[c] + rest / stride * net.width;
            rest %= stride;
            for (int k = 0; k < net.width; k++) found.rows[i * net.width + k] += row[k];
        }
    }
    return found;
}

inline void combine_backward(const Network& net, const Part& part, const PartTable& table, float* g) {
    for (int64_t i = 0; i < table.combinations; i++) {
        int64_t rest = i, stride = table.combinations;
        for (int c = 0; c < part.channels; c++) {
            stride /= part.categories[c];
            float* row = g + part.table[c] + rest / stride * net.width;
            rest %= stride;
            for (int k = 0; k < net.width; k++) row[k] += table.d_rows[i * net.width + k];
        }
    }
}

// Row of the table for a node that is looked up; -1 where the observation has no such category.
inline int64_t looked_up(const Network& net, const Part& part, const Batch& batch, int64_t sample, int node) {
    if (part.kind == CATEGORIES) {
        const float value = batch.entry(sample, net.observation_size, part.start + node);
        const int64_t room = part.rows - part.categories[node];
        return value >= 0.0f && value < (float)room ? part.categories[node] + (int64_t)value : -1;
    }
    int64_t found = 0;
    for (int c = 0; c < part.channels; c++) {
        const float value = batch.entry(sample, net.observation_size, part.start + node * part.channels + c);
        if (!(value >= 0.0f && value < (float)part.categories[c])) return -1;
        found = found * part.categories[c] + (int64_t)value;
    }
    return found;
}

// Entry of a part that is multiplied by learned directions: normalised of FEATURES, scaled counts of WORDS.
inline void measured(const Network& net, const Part& part, const Batch& batch, int64_t first, int count, float* values) {
    memset(values, 0, (int64_t)part.nodes * part.group * CHUNK * sizeof(float));
    for (int b = 0; b < count; b++) {
        float total = 0, scale = 1;
        if (part.kind == WORDS) {
            for (int i = 0; i < part.size; i++) total += batch.entry(first + b, net.observation_size, part.start + i);
            scale = 1.0f / sqrtf(total > 1.0f ? total : 1.0f);
        }
        for (int i = 0; i < part.size; i++) {
            float value = batch.entry(first + b, net.observation_size, part.start + i);
            if (part.kind == WORDS) {
                value *= scale;
            } else {
                value = (value - part.mean[i]) * part.scale[i];
                value = value > CLIP ? CLIP : value < -CLIP ? -CLIP : value;  // NaN stays NaN
            }
            values[i * CHUNK + b] = value;
        }
    }
}

// Where the direction of feature k for entry i of a node lies: they are laid out per node, unless there is one a node.
inline int64_t direction_at(const Network& net, const Part& part, int k, int node, int i) {
    if (part.kind == WORDS) return part.table[0] + (int64_t)i * net.width + k;
    if (part.group == 1) return part.table[0] + (int64_t)k * part.nodes + node;
    return part.table[0] + ((int64_t)node * net.width + k) * part.group + i;
}
inline int64_t identity_at(const Network& net, const Part& part, int k, int node) {
    return part.kind == GRID ? part.identity + (int64_t)node * net.width + k : part.identity + (int64_t)k * part.nodes + node;
}

// False where an observation names a category that there is not.
inline bool tokens_forward(const Network& net, const float* p, const PartTable* tables, const Batch& batch, int64_t first,
                           int count, float* room, float* x) {
    for (int q = 0; q < net.parts; q++) {
        const Part& part = net.part[q];
        const bool by_value = part.kind == FEATURES || part.kind == WORDS;
        if (by_value) measured(net, part, batch, first, count, room);
        for (int node = 0; node < part.nodes; node++) {
            float* to = x + (part.first_node + node) * CHUNK;
            if (part.kind == GRID || part.kind == CATEGORIES) {
                for (int b = 0; b < CHUNK; b++) {
                    const int64_t row = looked_up(net, part, batch, first + (b < count ? b : 0), node);
                    if (row < 0) return false;
                    const float* from = part.kind == GRID ? tables[q].rows : p + part.table[0];
                    memcpy(room + b * net.width, from + row * net.width, net.width * sizeof(float));
                    if (part.kind == GRID) add_row(p + identity_at(net, part, 0, node), net.width, room + b * net.width);
                }
                transpose(room, CHUNK, net.width, net.width, to, net.column());
                continue;
            }
            for (int k = 0; k < net.width; k++)
                for (int v = 0; v < CHUNK; v += LANES) {
                    Vec total = all(p[identity_at(net, part, k, node)]);
                    for (int i = 0; by_value && i < part.group; i++)
                        total = fma(p[direction_at(net, part, k, node, i)],
                                    load(room + (node * part.group + i) * CHUNK + v), total);
                    store(to + k * net.column() + v, total);
                }
        }
    }
    return true;
}

// Adds to the gradients in `g` and `tables` what dx says. Columns of dx beyond `count` are 0.
inline void tokens_backward(const Network& net, const PartTable* tables, const Batch& batch, int64_t first, int count,
                            float* room, const float* dx, float* g) {
    for (int q = 0; q < net.parts; q++) {
        const Part& part = net.part[q];
        const bool by_value = part.kind == FEATURES || part.kind == WORDS;
        if (by_value) measured(net, part, batch, first, count, room);
        for (int node = 0; node < part.nodes; node++) {
            const float* from = dx + (part.first_node + node) * CHUNK;
            if (part.kind == GRID || part.kind == CATEGORIES) {
                transpose(from, net.width, CHUNK, net.column(), room, net.width);
                for (int b = 0; b < count; b++) {
                    const int64_t row = looked_up(net, part, batch, first + b, node);
                    float* to = part.kind == GRID ? tables[q].d_rows : g + part.table[0];
                    add_row(room + b * net.width, net.width, to + row * net.width);
                    if (part.kind == GRID) add_row(room + b * net.width, net.width, g + identity_at(net, part, 0, node));
                }
                continue;
            }
            for (int k = 0; k < net.width; k++) {
                Vec total = {};
                for (int v = 0; v < CHUNK; v += LANES) total += load(from + k * net.column() + v);
                g[identity_at(net, part, k, node)] += sum(total);
                for (int i = 0; by_value && i < part.group; i++) {
                    Vec along = {};
                    for (int v = 0; v < CHUNK; v += LANES)
                        along = fma(load(from + k * net.column() + v),
                                    load(room + (node * part.group + i) * CHUNK + v), along);
                    g[direction_at(net, part, k, node, i)] += sum(along);
                }
            }
        }
    }
}

}  // namespace v3
