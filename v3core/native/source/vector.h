// Eight floats at a time, with their exp, log and tanh.
//
// One seed gives the same numbers on every CPU: products are fused exactly where `fma` is written (the compiler is asked
// not to choose), and no function here is the C library's, which computes differently on different processors.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#ifdef __AVX__
#include <immintrin.h>
#endif

namespace v3 {

constexpr int LANES = 8;
typedef float Vec __attribute__((vector_size(32), aligned(4), may_alias));
typedef float Register __attribute__((vector_size(32)));
typedef int32_t IntVec __attribute__((vector_size(32), aligned(4), may_alias));

[[gnu::always_inline]] inline Vec load(const float* from) { return *(const Vec*)from; }
[[gnu::always_inline]] inline void store(float* to, Vec value) { *(Vec*)to = value; }
[[gnu::always_inline]] inline void add_to(float* to, Vec value) { store(to, load(to) + value); }
[[gnu::always_inline]] inline Vec all(float value) { return Vec{value, value, value, value, value, value, value, value}; }

// a b + c, rounded once. Everywhere the same number; where the compiler does not see that the loop is one instruction, it is named.
[[gnu::always_inline]] inline Vec fma(Vec a, Vec b, Vec c) {
#ifdef __FMA__
    return (Vec)_mm256_fmadd_ps((Register)a, (Register)b, (Register)c);
#else
    Vec found;
    for (int lane = 0; lane < LANES; lane++) found[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
    return found;
#endif
}
[[gnu::always_inline]] inline Vec fma(float a, Vec b, Vec c) { return fma(all(a), b, c); }

// Comparisons with NaN are false: a NaN is passed on where it is the second argument.
[[gnu::always_inline]] inline Vec larger(Vec one, Vec other) { return one > other ? one : other; }
[[gnu::always_inline]] inline Vec smaller(Vec one, Vec other) { return one < other ? one : other; }
[[gnu::always_inline]] inline Vec clamp(Vec x, float low, float high) { return x < low ? all(low) : (x > high ? all(high) : x); }
[[gnu::always_inline]] inline Vec absolute(Vec x) { return x < 0.0f ? -x : x; }
[[gnu::always_inline]] inline Vec where(IntVec condition, Vec yes, Vec no) { return condition ? yes : no; }

// Eight of the sixteen floats of two vectors, by their numbers.
template <int... NUMBERS>
[[gnu::always_inline]] inline Vec shuffle(Vec one, Vec other) {
#ifdef __clang__
    return __builtin_shufflevector(one, other, NUMBERS...);
#else
    typedef int32_t Order __attribute__((vector_size(32)));
    return __builtin_shuffle(one, other, Order{NUMBERS...});
#endif
}

// Sum of the eight, always in this order.
[[gnu::always_inline]] inline float sum(Vec v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

[[gnu::always_inline]] inline Vec root(Vec x) {
#ifdef __AVX__
    return (Vec)_mm256_sqrt_ps((Register)x);
#else
    Vec found;
    for (int lane = 0; lane < LANES; lane++) found[lane] = sqrtf(x[lane]);
    return found;
#endif
}

// exp(x) = 2^n exp(r) with |r| <= ln 2 / 2, by the polynomial of Cephes; within 2 units in the last place. Below -87.3 it
// is 0 (there are no numbers smaller than 1e-38 here), above 88.3 infinity, of NaN NaN.
[[gnu::always_inline]] inline Vec exp(Vec x) {
    Vec inside = smaller(larger(x, all(-87.3f)), all(88.3f));
    Vec scaled = inside * 1.44269504f;
    IntVec power = __builtin_convertvector(scaled + (scaled < 0.0f ? all(-0.5f) : all(0.5f)), IntVec);
    Vec n = __builtin_convertvector(power, Vec);
    Vec r = fma(2.12194440e-4f, n, fma(-0.693359375f, n, inside));
    Vec series = fma(all(1.9875691500e-4f), r, all(1.3981999507e-3f));
    series = fma(series, r, all(8.3334519073e-3f));
    series = fma(series, r, all(4.1665795894e-2f));
    series = fma(series, r, all(1.6666665459e-1f));
    series = fma(series, r, all(5.0000001201e-1f));
    Vec found = (fma(series, r * r, r) + 1.0f) * (Vec)((power + 127) << 23);
    found = x < -87.3f ? all(0.0f) : (x > 88.3f ? all(INFINITY) : found);
    return x == x ? found : x;
}

// log(x) of normal numbers above 0: x = 2^n m with m around 1, by the polynomial of Cephes; of NaN and infinity themselves.
[[gnu::always_inline]] inline Vec log(Vec x) {
    IntVec bits = (IntVec)x;
    IntVec power = (bits >> 23) - 126;
    Vec m = (Vec)((bits & 0x007fffff) | 0x3f000000);  // in [0.5, 1)
    IntVec low = m < 0.70710678f;
    power += low;  // a condition that holds is -1
    m = where(low, m + m, m) - 1.0f;
    Vec n = __builtin_convertvector(power, Vec), square = m * m;
    Vec series = fma(all(7.0376836292e-2f), m, all(-1.1514610310e-1f));
    series = fma(series, m, all(1.1676998740e-1f));
    series = fma(series, m, all(-1.2420140846e-1f));
    series = fma(series, m, all(1.4249322787e-1f));
    series = fma(series, m, all(-1.6668057665e-1f));
    series = fma(series, m, all(2.0000714765e-1f));
    series = fma(series, m, all(-2.4999993993e-1f));
    series = fma(series, m, all(3.3333331174e-1f));
    Vec rest = fma(-0.5f, square, fma(-2.12194440e-4f, n, series * m * square));
    Vec found = fma(0.693359375f, n, m + rest);
    return x < INFINITY ? found : x;
}

// log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|)).
[[gnu::always_inline]] inline Vec log_sigmoid(Vec x) { return smaller(all(0.0f), x) - log(1.0f + exp(-absolute(x))); }
[[gnu::always_inline]] inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

// tanh(x) = (1 - e) / (1 + e) with e = exp(-2|x|); near 0, where that loses digits, the polynomial of Cephes.
[[gnu::always_inline]] inline Vec tanh(Vec x) {
    Vec size = absolute(x), e = exp(-2.0f * size), square = x * x;
    Vec far = (1.0f - e) / (1.0f + e);
    Vec series = fma(all(-5.70498872745e-3f), square, all(2.06390887954e-2f));
    series = fma(series, square, all(-5.37397155531e-2f));
    series = fma(series, square, all(1.33314422036e-1f));
    series = fma(series, square, all(-3.33332819422e-1f));
    return size < 0.625f ? fma(series * square, x, x) : (x < 0.0f ? -far : far);
}

// ELU(x) = x above 0, exp(x) - 1 below.
[[gnu::always_inline]] inline Vec elu(Vec x) {
    Vec below = exp(smaller(all(0.0f), x)) - 1.0f;
    return x > 0.0f ? x : below;
}

}  // namespace v3
