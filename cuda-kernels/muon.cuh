// muon.cuh: the table of the matrices that Muon updates, as kernels walk it.
//
// Every launch works on all matrices: a block takes unit after unit (a tile, a chunk) and looks up whose it is, for the host
// does not read the table. The grid is as large as the device runs at once, or smaller where there is little to do.
#pragma once

#include "ops.cuh"

namespace trm {
namespace muon {

constexpr int64_t BLOCKS = 1056;  // at most: eight for each of 132 processors

inline int64_t blocks_for(int64_t elements, int32_t count) {
    const int64_t units = elements / 8192 + count;
    return units < BLOCKS ? units : BLOCKS;
}

struct Matrix {
    int64_t offset;     // of its first value in p, g, m, ema and the bfloat16 copy
    int rows, columns;  // of the weight
    int64_t x, square, partial;

    /** X [r, c] is the transposed weight. */
    __device__ __forceinline__ bool tall() const { return rows > columns; }
    __device__ __forceinline__ int r() const { return ((rows < columns ? rows : columns) + 7) & ~7; }
    __device__ __forceinline__ int c() const { return ((rows < columns ? columns : rows) + 7) & ~7; }
};

/** The matrix that unit `*index` belongs to; *index is then its number among the units of that matrix. False after the
 *  last. units(matrix) says how many one has. */
template <typename Units>
__device__ __forceinline__ bool find(const int32_t* matrices, int count, int64_t* index, Matrix* found, Units units) {
    for (int i = 0; i < count; i++) {
        const int32_t* const row = matrices + i * TRM_MUON_FIELDS;
        *found = {row[0], row[1], row[2], row[3], row[4], row[5]};
        const int64_t own = units(*found);
        if (*index < own) return true;
        *index -= own;
    }
    return false;
}

/** Tiles of a matrix [height, width], the last of each row and column smaller. */
template <int TILE>
__device__ __forceinline__ int64_t tiles(int height, int width) {
    return static_cast<int64_t>((height + TILE - 1) / TILE) * ((width + TILE - 1) / TILE);
}

}  // namespace muon
}  // namespace trm
