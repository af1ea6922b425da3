// Products of small matrices, batch last. Every sum is in a fixed order.
#pragma once
#include "vector.h"

namespace v3 {

// A matrix [rows, columns] that is read entry by entry: a transposed one is the same memory with the steps exchanged.
struct Matrix {
    const float* data;
    int64_t row_step, column_step;
    Matrix transposed() const { return {data, column_step, row_step}; }
};
inline Matrix matrix(const float* data, int64_t columns) { return {data, columns, 1}; }

// ROWS rows and VECTORS vectors of the output stay in registers while `inner` is summed over.
template <int ROWS, int VECTORS>
inline void tile(Matrix w, int inner, const float* x, int64_t x_step, const float* bias, float* out, int64_t out_step,
                 bool add) {
    Vec sums[ROWS][VECTORS];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++)
            sums[r][v] = add ? load(out + r * out_step + v * LANES) : all(bias ? bias[r] : 0.0f);
    const float* column = w.data;
    for (int k = 0; k < inner; k++, x += x_step, column += w.column_step) {
        Vec from[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) from[v] = load(x + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            Vec weight = all(column[r * w.row_step]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) sums[r][v] = fma(weight, from[v], sums[r][v]);
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) store(out + r * out_step + v * LANES, sums[r][v]);
}

template <int VECTORS>
inline void columns_of(Matrix w, int rows, int inner, const float* x, int64_t x_step, const float* bias, float* out,
                       int64_t out_step, bool add) {
    constexpr int ROWS = VECTORS == 1 ? 8 : 4;
    int r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        tile<ROWS, VECTORS>({w.data + r * w.row_step, w.row_step, w.column_step}, inner, x, x_step,
                            bias ? bias + r : nullptr, out + r * out_step, out_step, add);
    for (; r < rows; r++)
        tile<1, VECTORS>({w.data + r * w.row_step, w.row_step, w.column_step}, inner, x, x_step,
                         bias ? bias + r : nullptr, out + r * out_step, out_step, add);
}

// out[rows, columns] = bias[rows] + w[rows, inner] x[inner, columns]; with `add`, out += w x.
inline void product(Matrix w, int rows, int inner, const float* x, int64_t x_step, int columns, const float* bias,
                    float* out, int64_t out_step, bool add = false) {
    int c = 0;
    for (; c + 6 * LANES <= columns; c += 3 * LANES)
        columns_of<3>(w, rows, inner, x + c, x_step, bias, out + c, out_step, add);
    for (; c + 2 * LANES <= columns; c += 2 * LANES)
        columns_of<2>(w, rows, inner, x + c, x_step, bias, out + c, out_step, add);
    for (; c + LANES <= columns; c += LANES)
        columns_of<1>(w, rows, inner, x + c, x_step, bias, out + c, out_step, add);
    for (; c < columns; c++)
        for (int r = 0; r < rows; r++) {
            float total = add ? out[r * out_step + c] : (bias ? bias[r] : 0.0f);
            for (int k = 0; k < inner; k++)
                total = __builtin_fmaf(w.data[r * w.row_step + k * w.column_step], x[k * x_step + c], total);
            out[r * out_step + c] = total;
        }
}

// to[8, 8] = from[8, 8] transposed.
inline void transpose_block(const float* from, int64_t from_step, float* to, int64_t to_step) {
    Vec row[LANES], pair[LANES];
    for (int i = 0; i < LANES; i++) row[i] = load(from + i * from_step);
    for (int i = 0; i < LANES; i += 2) {
        pair[i] = shuffle<0, 8, 2, 10, 4, 12, 6, 14>(row[i], row[i + 1]);
        pair[i + 1] = shuffle<1, 9, 3, 11, 5, 13, 7, 15>(row[i], row[i + 1]);
    }
    for (int i : {0, 1, 4, 5}) {
        row[i] = shuffle<0, 1, 8, 9, 4, 5, 12, 13>(pair[i], pair[i + 2]);
        row[i + 2] = shuffle<2, 3, 10, 11, 6, 7, 14, 15>(pair[i], pair[i + 2]);
    }
    for (int i = 0; i < 4; i++) {
        store(to + i * to_step, shuffle<0, 1, 2, 3, 8, 9, 10, 11>(row[i], row[i + 4]));
        store(to + (i + 4) * to_step, shuffle<4, 5, 6, 7, 12, 13, 14, 15>(row[i], row[i + 4]));
    }
}

// to[columns, rows] = from[rows, columns] transposed.
inline void transpose(const float* from, int rows, int columns, int64_t from_step, float* to, int64_t to_step) {
    for (int r = 0; r < rows; r += LANES)
        for (int c = 0; c < columns; c += LANES) {
            if (r + LANES <= rows && c + LANES <= columns) {
                transpose_block(from + r * from_step + c, from_step, to + c * to_step + r, to_step);
                continue;
            }
            for (int i = r; i < rows && i < r + LANES; i++)
                for (int j = c; j < columns && j < c + LANES; j++) to[j * to_step + i] = from[i * from_step + j];
        }
}

// out[rows, inner] += d[rows, columns] x[inner, columns]^T: the gradient of a weight. `room` holds columns * inner floats.
inline void add_outer(const float* d, int rows, const float* x, int inner, int columns, float* room, float* out) {
    transpose(x, inner, columns, columns, room, inner);
    product(matrix(d, columns), rows, columns, room, inner, inner, nullptr, out, inner, true);
}

// out[rows] += the sums of the rows of d[rows, columns]: the gradient of a bias. Columns a multiple of 8.
inline void add_row_sums(const float* d, int rows, int columns, float* out) {
    for (int r = 0; r < rows; r++) {
        Vec total = {};
        for (int c = 0; c < columns; c += LANES) total += load(d + (int64_t)r * columns + c);
        out[r] += sum(total);
    }
}

// to[i] += from[i]
inline void add_row(const float* from, int count, float* to) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) add_to(to + i, load(from + i));
    for (; i < count; i++) to[i] += from[i];
}

inline void tanh_in_place(float* x, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES) store(x + i, tanh(load(x + i)));
}

// d becomes the gradient before a tanh of which y came out: d (1 - y^2).
inline void tanh_backward(float* d, const float* y, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES) {
        Vec out = load(y + i);
        store(d + i, load(d + i) * (1.0f - out * out));
    }
}

}  // namespace v3
