// Powers of doubles, the same on every CPU: the C library's differ.
#pragma once
#include <cstdint>
#include <cstring>

namespace v3 {

// log(x) of a normal x above 0: x = 2^n m with m around 1, log(m) = 2 artanh((m - 1) / (m + 1)).
inline double log_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, 8);
    int64_t power = ((bits >> 52) & 0x7ff) - 1023;
    bits = (bits & 0x000fffffffffffff) | 0x3ff0000000000000;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 1.4142135623730951) m *= 0.5, power++;
    const double s = (m - 1) / (m + 1), square = s * s;
    double series = 0;
    for (int n = 21; n >= 1; n -= 2) series = __builtin_fma(series, square, 1.0 / n);
    return __builtin_fma((double)power, 0.6931471805599453, 2 * s * series);
}

// exp(x) for x below 709: 2^n times the Taylor series on [-ln 2 / 2, ln 2 / 2]; 0 below -708.
inline double exp_of(double x) {
    if (!(x > -708)) return x == x ? 0.0 : x;
    const double scaled = x * 1.4426950408889634;
    const int64_t power = (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
    const double rest = __builtin_fma((double)power, -2.3190468138462996e-17,
                                      __builtin_fma((double)power, -0.6931471805599453, x));
    double series = 1;
    for (int n = 14; n >= 1; n--) series = __builtin_fma(series * rest, 1.0 / n, 1.0);
    const int64_t bits = (power + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, 8);
    return series * scale;
}

// base^exponent for a base from 0 to 1e300 whose power is no larger, as torch has it: 0^0 is 1.
inline double power_of(double base, double exponent) {
    if (base > 1e-300) return exp_of(exponent * log_of(base));
    return base != base ? base : exponent == 0 ? 1.0 : 0.0;
}

}  // namespace v3
