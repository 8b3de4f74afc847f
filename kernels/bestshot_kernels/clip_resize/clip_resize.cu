// Pillow's bicubic resampling in its own fixed point: rows first, 8-bit values between the two passes.
//
// A table of taps is {first input, number of taps, weights} for each of `outputs` outputs: int[outputs], int[outputs]
// and int[most][outputs], so that neighbouring threads read neighbouring weights. Weights are scaled by 2^22; their
// magnitudes add up to less than 2, so sums of 8-bit values fit 32 bits, as they do in Pillow.

namespace {

constexpr int PRECISION_BITS = 22;
constexpr int LINE_BYTES = 24576;             // 8192 pixels; longer spans are read where they are.

struct Taps {
    const int *first, *count, *weights;
    int outputs;
};

__device__ __forceinline__ Taps taps_of(const int* table, int outputs) {
    return {table, table + outputs, table + 2 * outputs, outputs};
}

// The weighted sum for `output`, rounded and clipped; input 0 is at `values`, the next `step` bytes on.
__device__ __forceinline__ unsigned char filtered(const Taps& taps, int output, const unsigned char* values,
                                                  size_t step) {
    const unsigned char* value = values + taps.first[output] * step;
    int sum = 1 << (PRECISION_BITS - 1);
    for (int i = 0; i < taps.count[output]; i++, value += step)
        sum += *value * taps.weights[(size_t)i * taps.outputs + output];
    return (unsigned char)min(max(sum >> PRECISION_BITS, 0), 255);
}

// Copies `bytes` bytes into `words` by the whole block, in words where both sides allow; the first copied byte.
__device__ __forceinline__ const unsigned char* staged(const unsigned char* from, int bytes, unsigned* words) {
    const int offset = (int)((size_t)from % 4);
    unsigned char* to = (unsigned char*)words + offset;
    const int head = min((4 - offset) % 4, bytes), whole = (bytes - head) / 4, tail = head + 4 * whole;
    const unsigned* source = (const unsigned*)(from + head);
    unsigned* target = (unsigned*)(to + head);
    for (int i = threadIdx.x; i < whole; i += blockDim.x) target[i] = source[i];
    for (int i = threadIdx.x; i < head; i += blockDim.x) to[i] = from[i];
    for (int i = tail + threadIdx.x; i < bytes; i += blockDim.x) to[i] = from[i];
    return to;
}

}  // namespace

// Narrows the rows [top, top + rows) of uint8 pictures (count, height, width, 3) to (count, rows, columns, 3), from
// `span` pixels that begin at `left`; taps are relative to `left`. A block takes one row at a time. Any block and grid.
extern "C" __global__ void clip_resize_rows(const unsigned char* __restrict__ pixels, int count, int height, int width,
                                            int top, int rows, int left, int span, const int* __restrict__ table,
                                            int columns, unsigned char* __restrict__ narrow) {
    __shared__ unsigned line[LINE_BYTES / 4 + 1];
    const Taps taps = taps_of(table, columns);
    for (long long index = blockIdx.x; index < (long long)count * rows; index += gridDim.x) {
        const size_t row = (size_t)(index / rows) * height + top + index % rows;
        const unsigned char* values = pixels + (row * width + left) * 3;
        if (span <= LINE_BYTES / 3) {
            values = staged(values, span * 3, line);
            __syncthreads();
        }
        unsigned char* out = narrow + (size_t)index * columns * 3;
        for (int i = threadIdx.x; i < columns * 3; i += blockDim.x) out[i] = filtered(taps, i / 3, values + i % 3, 3);
        __syncthreads();
    }
}

// Squares (count, size, size, 3) of narrowed pictures (count, rows, columns, 3): row `down` of a square is the first of
// `lines` filtered ones, which begin at column `right`; around them it is black. Any block and grid.
extern "C" __global__ void clip_resize_columns(const unsigned char* __restrict__ narrow, int count, int rows, int columns,
                                               const int* __restrict__ table, int lines, int down, int right, int size,
                                               unsigned char* __restrict__ squares) {
    const Taps taps = taps_of(table, lines);
    const size_t pitch = (size_t)size * 3, all = count * size * pitch, step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const size_t picture = i / (size * pitch);
        const int y = (int)(i / pitch % size) - down, x = (int)(i % pitch) - 3 * right;
        unsigned char value = 0;
        if (y >= 0 && y < lines && x >= 0 && x < 3 * columns)
            value = filtered(taps, y, narrow + picture * rows * columns * 3 + x, (size_t)columns * 3);
        squares[i] = value;
    }
}
