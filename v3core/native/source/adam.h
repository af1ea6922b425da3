// Clipping of the gradient, and Adam (Kingma and Ba, 2015, arXiv:1412.6980) on the moments that torch keeps.
#pragma once
#include "vector.h"

namespace v3 {

// As torch.optim.Adam has it: its names.
struct Adam {
    float *exp_avg, *exp_avg_sq, *step;
    double lr, beta1, beta2, epsilon;
};

// In blocks, each in single precision.
inline float norm_of(const float* x, int64_t count) {
    constexpr int64_t BLOCK = 512;
    double squares = 0;
    for (int64_t start = 0; start < count; start += BLOCK) {
        const int64_t end = start + BLOCK < count ? start + BLOCK : count;
        Vec total = {};
        int64_t i = start;
        for (; i + LANES <= end; i += LANES) total = fma(load(x + i), load(x + i), total);
        squares += sum(total);
        for (; i < end; i++) squares += (double)x[i] * x[i];
    }
    return (float)sqrt(squares);
}

inline double power(double base, int64_t exponent) {
    double found = 1;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1) found *= base;
    return found;
}

// One step on `g` times `scale`, which it is left as.
inline void adam(const Adam& of, float scale, int64_t count, float* p, float* g) {
    *of.step += 1;
    const double correction1 = 1 - power(of.beta1, (int64_t)*of.step), correction2 = 1 - power(of.beta2, (int64_t)*of.step);
    const float step_size = (float)(of.lr / correction1), root2 = (float)sqrt(correction2);
    const float one_minus1 = (float)(1 - of.beta1), one_minus2 = (float)(1 - of.beta2), beta2 = (float)of.beta2;
    const float epsilon = (float)of.epsilon;
    auto move = [&](auto& value, auto& d, auto& mean, auto& square, auto root_of, auto add) {
        d = d * scale;
        mean = add(d - mean, one_minus1, mean);
        square = add(d * d, one_minus2, square * beta2);
        value = value - step_size * (mean / (root_of(square) / root2 + epsilon));
    };
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        Register value = load(p + i), d = load(g + i), mean = load(of.exp_avg + i), square = load(of.exp_avg_sq + i);
        move(value, d, mean, square, [](Vec x) { return root(x); }, [](Vec a, float b, Vec c) { return fma(b, a, c); });
        store(p + i, value), store(g + i, d), store(of.exp_avg + i, mean), store(of.exp_avg_sq + i, square);
    }
    for (; i < count; i++)
        move(p[i], g[i], of.exp_avg[i], of.exp_avg_sq[i], [](float x) { return sqrtf(x); },
             [](float a, float b, float c) { return __builtin_fmaf(a, b, c); });
}

}  // namespace v3
