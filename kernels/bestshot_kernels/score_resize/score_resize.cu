// Score pictures: a decoder's RGB back to luma and chroma, turned; scaled as libswscale scales; made RGB as it does.
//
// Everything is in whole numbers and each output is one thread's own sum, so results do not depend on grid or order.

namespace {

constexpr int RGB_BITS = 12;
constexpr int SHARES = 12;                    // Sums over a block are in twelfths: one to four pixels have a whole mean.
constexpr int UNIT = SHARES << RGB_BITS;
constexpr int ACROSS_BITS = 14, DOWN_BITS = 12;
constexpr int LARGEST = (1 << 15) - 1;
constexpr int LINE_BYTES = 16384;             // Longer rows are read where they are.

struct FromRgb {                              // colour.py has them; weights are scaled by 2^RGB_BITS.
    int luma[3], blue[3], red[3];
    int scale, black;
    int shift[3][2];
};

__device__ __forceinline__ int dot(const int weights[3], const int rgb[3]) {
    return weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2];
}

__device__ __forceinline__ bool is_free(int value) { return value > 0 && value < 255; }

__device__ __forceinline__ unsigned char clipped(int value) { return (unsigned char)min(max(value, 0), 255); }

// Luma, over the range of RGB and in UNITs, by the channels that were not cut off and the block's chroma.
__device__ __forceinline__ long long luma_of_free(const FromRgb& from, const int rgb[3], int blue, int red, int grey) {
    long long sum = 0;
    int total = 0;
    for (int i = 0; i < 3; i++) {
        if (!is_free(rgb[i])) continue;
        const long long added =
            ((long long)from.shift[i][0] * blue + (long long)from.shift[i][1] * red) >> RGB_BITS;
        sum += ((long long)rgb[i] * UNIT - added) * from.luma[i];
        total += from.luma[i];
    }
    if (!total) return grey;
    return min(max(sum, 0LL) / total, 255LL * UNIT);
}

__device__ __forceinline__ unsigned char luma_code(const FromRgb& from, long long luma) {
    const long long half = ((long long)(2 * from.black + 1) * UNIT << RGB_BITS) / 2;
    return clipped((int)((luma * from.scale + half) / ((long long)UNIT << RGB_BITS)));
}

// Where (row, column) of height x width goes when the whole is turned clockwise by `quarters`.
__device__ __forceinline__ size_t turned(int row, int column, int height, int width, int quarters) {
    if (quarters == 0) return (size_t)row * width + column;
    if (quarters == 1) return (size_t)column * height + (height - 1 - row);
    if (quarters == 2) return (size_t)(height - 1 - row) * width + (width - 1 - column);
    return (size_t)(width - 1 - column) * height + row;
}

// A block of 2 x 2 pixels, its last row and column repeated beyond the border.
struct Block {
    int rgb[4][3];
    bool whole[4];                            // No channel was cut off.
    int count;

    __device__ __forceinline__ Block(const unsigned char* picture, int height, int width, int row, int column) {
        count = 0;
        for (int i = 0; i < 4; i++) {
            const int y = min(row + i / 2, height - 1), x = min(column + i % 2, width - 1);
            const unsigned char* at = picture + ((size_t)y * width + x) * 3;
            for (int c = 0; c < 3; c++) rgb[i][c] = at[c];
            whole[i] = is_free(rgb[i][0]) && is_free(rgb[i][1]) && is_free(rgb[i][2]);
            count += whole[i];
        }
    }

    // Twelve times the mean of what `weights` give, of the whole pixels where there is one.
    __device__ __forceinline__ int mean(const int weights[3]) const {
        int sum = 0;
        for (int i = 0; i < 4; i++) sum += whole[i] || !count ? dot(weights, rgb[i]) : 0;
        return sum * (SHARES / (count ? count : 4));
    }
};

struct Taps {                                 // int[outputs] first inputs, then int[most][outputs] weights.
    const int *first, *weights;
    int outputs, most;
};

__device__ __forceinline__ Taps taps_of(const int* table, int outputs, int most) {
    return {table, table + outputs, outputs, most};
}

// The column filter for `output`, not cut to 8 bits; inputs are `step` apart and there are `inputs` of them. Weights of none are zero.
__device__ __forceinline__ int filtered(const Taps& taps, int output, const short* values, size_t step, int inputs) {
    const int first = taps.first[output];
    int sum = 1 << (DOWN_BITS + 6);
    for (int i = 0; i < taps.most; i++)
        sum += values[(size_t)min(first + i, inputs - 1) * step] * taps.weights[(size_t)i * taps.outputs + output];
    return sum >> (DOWN_BITS + 7);
}

struct ToRgb {                                // As in colour.py.
    int luma, offset;
    const int* shifts;                        // int[4][256].
    bool scaled;

    __device__ __forceinline__ unsigned char one(int y, int added) const {
        return clipped(scaled ? ((y + added) * luma + offset) >> 16 : ((y * luma + offset) >> 16) + added);
    }
    __device__ __forceinline__ void write(int y, int blue, int red, unsigned char* out) const {
        out[0] = one(y, shifts[red]);
        out[1] = one(y, shifts[256 + blue] + shifts[512 + red]);
        out[2] = one(y, shifts[768 + blue]);
    }
};

}  // namespace

// uint8 RGB (count, height, width, 3) to planes turned clockwise by `quarters`: luma (count, h, w) and chroma
// (count, 2, h/2, w/2), halves rounded up. `constants` is a FromRgb. Any block and grid.
extern "C" __global__ void score_planes(const unsigned char* __restrict__ pixels, int count, int height, int width,
                                        int quarters, const int* __restrict__ constants,
                                        unsigned char* __restrict__ luma, unsigned char* __restrict__ chroma) {
    const FromRgb& from = *(const FromRgb*)constants;
    const int down = (height + 1) / 2, across = (width + 1) / 2;
    const long long blocks = (long long)count * down * across, step = (long long)gridDim.x * blockDim.x;
    for (long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x; index < blocks; index += step) {
        const int column = (int)(index % across), row = (int)(index / across % down);
        const size_t picture = (size_t)(index / across / down), area = (size_t)height * width;
        const Block block(pixels + picture * area * 3, height, width, 2 * row, 2 * column);
        const int blue = block.mean(from.blue), red = block.mean(from.red);
        unsigned char* to = chroma + picture * 2 * down * across + turned(row, column, down, across, quarters);
        to[0] = clipped((blue + 128 * UNIT + UNIT / 2) / UNIT);
        to[(size_t)down * across] = clipped((red + 128 * UNIT + UNIT / 2) / UNIT);
        for (int i = 0; i < 4; i++) {
            const int y = 2 * row + i / 2, x = 2 * column + i % 2;
            if (y >= height || x >= width) continue;
            const int grey = dot(from.luma, block.rgb[i]) * SHARES;
            const long long value = block.whole[i] ? grey : luma_of_free(from, block.rgb[i], blue, red, grey);
            luma[picture * area + turned(y, x, height, width, quarters)] = luma_code(from, value);
        }
    }
}

// Rows of `width` bytes to `outputs` values of 15 bits. A block takes one row at a time. Any block and grid.
extern "C" __global__ void score_rows(const unsigned char* __restrict__ planes, int rows, int width,
                                      const int* __restrict__ table, int outputs, int most, short* __restrict__ out) {
    __shared__ unsigned char line[LINE_BYTES];
    const Taps taps = taps_of(table, outputs, most);
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const unsigned char* values = planes + (size_t)row * width;
        if (width <= LINE_BYTES) {
            for (int i = threadIdx.x; i < width; i += blockDim.x) line[i] = values[i];
            __syncthreads();
            values = line;
        }
        for (int output = threadIdx.x; output < outputs; output += blockDim.x) {
            const int first = taps.first[output];
            int sum = 0;
            for (int i = 0; i < most; i++)
                sum += values[min(first + i, width - 1)] * taps.weights[(size_t)i * outputs + output];
            out[(size_t)row * outputs + output] = (short)min(sum >> (ACROSS_BITS - 7), LARGEST);
        }
        __syncthreads();
    }
}

// Luma (count, rows, width) and chroma (count, 2, chroma_rows, (width + 1) / 2) of 15 bits to uint8 RGB
// (count, height, width, 3). Any block and grid.
extern "C" __global__ void score_columns(const short* __restrict__ luma, const short* __restrict__ chroma, int count,
                                         int rows, int chroma_rows, int width, int height,
                                         const int* __restrict__ luma_table, int luma_most,
                                         const int* __restrict__ chroma_table, int chroma_most, int weight, int offset,
                                         const int* __restrict__ shifts, unsigned char* __restrict__ out) {
    const Taps of_luma = taps_of(luma_table, height, luma_most), of_chroma = taps_of(chroma_table, height, chroma_most);
    const ToRgb to{weight, offset, shifts, true};
    const int half = (width + 1) / 2;
    const long long all = (long long)count * height * half, step = (long long)gridDim.x * blockDim.x;
    for (long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x; index < all; index += step) {
        const int pair = (int)(index % half), row = (int)(index / half % height);
        const size_t picture = (size_t)(index / half / height), plane = (size_t)chroma_rows * half;
        const short* from = chroma + picture * 2 * plane + pair;
        const int blue = clipped(filtered(of_chroma, row, from, half, chroma_rows));
        const int red = clipped(filtered(of_chroma, row, from + plane, half, chroma_rows));
        for (int x = 2 * pair; x < min(2 * pair + 2, width); x++) {
            const int y = filtered(of_luma, row, luma + picture * rows * width + x, width, rows);
            to.write(y, blue, red, out + ((picture * height + row) * width + x) * 3);
        }
    }
}

// Planes as score_planes gives them to uint8 RGB of the same size. Any block and grid.
extern "C" __global__ void score_same(const unsigned char* __restrict__ luma, const unsigned char* __restrict__ chroma,
                                      int count, int height, int width, int weight, int offset,
                                      const int* __restrict__ shifts, unsigned char* __restrict__ out) {
    const ToRgb to{weight, offset, shifts, false};
    const int down = (height + 1) / 2, across = (width + 1) / 2;
    const long long all = (long long)count * height * width, step = (long long)gridDim.x * blockDim.x;
    for (long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x; index < all; index += step) {
        const int column = (int)(index % width), row = (int)(index / width % height);
        const size_t plane = (size_t)down * across;
        const unsigned char* at = chroma + (size_t)(index / width / height) * 2 * plane;
        at += (size_t)(row / 2) * across + column / 2;
        to.write(luma[index], at[0], at[plane], out + index * 3);
    }
}
