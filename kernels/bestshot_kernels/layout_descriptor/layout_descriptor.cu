// Sums of colours over a grid of equal cells, whose edges may cut through pixels: exact, in twelfths of a pixel.
//
// Along a side of `size` pixels and as many cells as a pixel has twelfths, cell i spans [i * size, (i + 1) * size) and
// pixel p [12 p, 12 p + 12). A block sums one cell of one picture at a time; every pixel is read once, but for those
// that a cell's edge cuts.

namespace {

constexpr int GRID = 12;
constexpr int CHANNELS = 3;
constexpr unsigned THREADS = 64;

// How many twelfths of pixel `pixel` are in cell `cell`.
__device__ __forceinline__ int covered(int pixel, int cell, int size) {
    return min(GRID * (pixel + 1), (cell + 1) * size) - max(GRID * pixel, cell * size);
}

}  // namespace

// uint8 RGB (count, height, width, 3) to int64 (count, GRID, GRID, 3). Block: THREADS, grid: any.
extern "C" __global__ void layout_descriptor(const unsigned char* __restrict__ pixels, int count, int height, int width,
                                             long long* __restrict__ sums) {
    __shared__ long long partial[CHANNELS][THREADS];
    for (long long index = blockIdx.x; index < (long long)count * GRID * GRID; index += gridDim.x) {
        const int across = (int)(index % GRID), down = (int)(index / GRID % GRID);
        const unsigned char* picture = pixels + (size_t)(index / (GRID * GRID)) * height * width * CHANNELS;
        const int top = down * height / GRID, left = across * width / GRID;
        const int bottom = ((down + 1) * height + GRID - 1) / GRID, right = ((across + 1) * width + GRID - 1) / GRID;
        const int wide = right - left, all = (bottom - top) * wide;
        long long own[CHANNELS] = {0, 0, 0};
        for (int i = threadIdx.x; i < all; i += (int)THREADS) {
            const int y = top + i / wide, x = left + i % wide;
            const int share = covered(y, down, height) * covered(x, across, width);
            const unsigned char* at = picture + ((size_t)y * width + x) * CHANNELS;
            for (int c = 0; c < CHANNELS; c++) own[c] += share * at[c];
        }
        for (int c = 0; c < CHANNELS; c++) partial[c][threadIdx.x] = own[c];
        __syncthreads();
        for (unsigned half = THREADS / 2; half > 0; half /= 2) {
            if (threadIdx.x < half)
                for (int c = 0; c < CHANNELS; c++) partial[c][threadIdx.x] += partial[c][threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x < CHANNELS) sums[index * CHANNELS + threadIdx.x] = partial[threadIdx.x][0];
        __syncthreads();
    }
}
