// Eight floats at a time, with their exp and tanh.
//
// Own functions and not the C library's: a seed then gives the same numbers wherever these instructions are, whichever
// library is installed.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace v3 {

constexpr int LANES = 8;
typedef float Vec __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t IntVec __attribute__((vector_size(32), aligned(4), may_alias));

inline Vec load(const float* from) { return *(const Vec*)from; }
inline void store(float* to, Vec value) { *(Vec*)to = value; }
inline Vec all(float value) { return Vec{value, value, value, value, value, value, value, value}; }
// Comparisons with NaN are false: a NaN is passed on where it is the second argument.
inline Vec larger(Vec one, Vec other) { return one > other ? one : other; }
inline Vec smaller(Vec one, Vec other) { return one < other ? one : other; }

// Eight of the sixteen floats of two vectors, by their numbers.
template <int... NUMBERS>
inline Vec shuffle(Vec one, Vec other) {
#ifdef __clang__
    return __builtin_shufflevector(one, other, NUMBERS...);
#else
    typedef int32_t Order __attribute__((vector_size(32)));
    return __builtin_shuffle(one, other, Order{NUMBERS...});
#endif
}

// Sum of the eight, always in this order.
inline float sum(Vec v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

// exp(x) for x <= 0, and NaN for NaN: 2^n times a polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2]; relative error below 3e-7.
inline Vec exp_of_negative(Vec x) {
    Vec scaled = larger(x, all(-87.0f)) * 1.4426950408889634f;
    IntVec power = __builtin_convertvector(scaled - 0.5f, IntVec);
    Vec rest = (scaled - __builtin_convertvector(power, Vec)) * 0.6931471805599453f;
    Vec series = 0.0083333333f + rest * 0.0013888889f;
    series = 0.16666667f + rest * (0.041666667f + rest * series);
    series = 1.0f + rest * (1.0f + rest * (0.5f + rest * series));
    IntVec exponent = (power + 127) << 23;
    Vec found = series * (Vec)exponent;
    return x == x ? found : x;
}

// tanh(x) = (1 - e) / (1 + e) with e = exp(-2|x|); near 0, where that loses digits, its series.
inline Vec tanh_of(Vec x) {
    Vec size = x < 0.0f ? -x : x;
    Vec e = exp_of_negative(-2.0f * size);
    Vec far = (1.0f - e) / (1.0f + e);
    Vec square = x * x;
    Vec near = x * (1.0f + square * (-0.33333333f + square * (0.13333333f - square * 0.053968254f)));
    return square < 0.01f ? near : (x < 0.0f ? -far : far);
}

// ELU(x) = x above 0, exp(x) - 1 below.
inline Vec elu(Vec x) {
    Vec below = exp_of_negative(smaller(all(0.0f), x)) - 1.0f;
    return x > 0.0f ? x : below;
}

}  // namespace v3
