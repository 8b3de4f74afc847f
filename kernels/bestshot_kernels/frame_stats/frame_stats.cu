// Exact integer sums of 8-bit RGB pictures: the luma's Laplacian and histogram, and the two opponent colours.
//
// A block walks over tiles of one picture. Of a tile and the one-pixel halo around it, luma goes to shared memory as
// 8-bit values; what needs no neighbour is summed on the way. Groups of 4 pixels are 12 bytes, so where rows are
// aligned to 4 bytes a thread loads 3 words. Blocks write partial sums, a second kernel adds them: integers, so the
// order cannot matter, and no global atomics.

namespace {

constexpr int THREADS = 512;
constexpr int WARPS = THREADS / 32;
constexpr int GROUP = 4;                      // Pixels that a thread takes at once.
constexpr int TILE_WIDTH = 256;
constexpr int TILE_HEIGHT = 30;               // With its halo, 32 rows: 4 even rounds of all threads.
constexpr int ROWS = TILE_HEIGHT + 2;
constexpr int GROUPS = TILE_WIDTH / GROUP;
constexpr int PITCH = GROUPS + 2;             // Words: one more on either side for the halo.
constexpr int BINS = 256;
constexpr int COPIES = 32;                    // One histogram per lane, each in its own bank: no two lanes collide.
constexpr int SUMS = 6;
constexpr int COLUMNS = SUMS + BINS;

struct Picture {
    const unsigned char* pixels;
    int height, width;
    bool aligned;                             // Every row begins at a multiple of 4 bytes.
};

struct Sums {
    long long laplacian, laplacian_squares, rg, rg_squares, q, q_squares;
};

// Borders are mirrored without repeating the edge; what lies further out is never used, and only kept readable.
__device__ __forceinline__ int mirrored(int index, int size) {
    if (index < 0) index = -index;
    if (index >= size) index = 2 * size - 2 - index;
    return min(max(index, 0), size - 1);
}

// OpenCV's COLOR_RGB2GRAY; `rgb` has red in its low byte.
__device__ __forceinline__ unsigned luma(unsigned rgb) {
    return (9798u * (rgb & 255u) + 19235u * (rgb >> 8 & 255u) + 3735u * (rgb >> 16 & 255u) + (1u << 14)) >> 15;
}

__device__ __forceinline__ unsigned pixel(const Picture& picture, int y, int x) {
    const unsigned char* at = picture.pixels + ((size_t)y * picture.width + x) * 3;
    return at[0] | at[1] << 8 | at[2] << 16;
}

__device__ __forceinline__ void load_group(const Picture& picture, int y, int x, unsigned rgb[GROUP]) {
    if (picture.aligned && x < picture.width) {
        const unsigned* words = (const unsigned*)(picture.pixels + ((size_t)y * picture.width + x) * 3);
        const unsigned first = words[0], second = words[1], third = words[2];
        rgb[0] = first & 0xFFFFFFu;
        rgb[1] = (first >> 24 | second << 8) & 0xFFFFFFu;
        rgb[2] = (second >> 16 | third << 16) & 0xFFFFFFu;
        rgb[3] = third >> 8;
    } else {
        for (int i = 0; i < GROUP; i++) rgb[i] = pixel(picture, y, mirrored(x + i, picture.width));
    }
}

struct Colours {                              // Of the pixels of one tile that one thread sees: 32 bits are enough.
    int rg, q;
    unsigned rg_squares, q_squares;
};

__device__ __forceinline__ void add_pixel(Colours& colours, unsigned* histogram, unsigned rgb, unsigned grey) {
    const int red = rgb & 255u, green = rgb >> 8 & 255u, blue = rgb >> 16;
    const int rg = red - green, q = red + green - 2 * blue;
    colours.rg += rg;
    colours.q += q;
    colours.rg_squares += rg * rg;
    colours.q_squares += q * q;
    atomicAdd(histogram + grey * COPIES + threadIdx.x % COPIES, 1u);
}

// Luma of the tile's own columns and its halo's rows; colours and histogram of its own pixels.
__device__ __forceinline__ void load_tile(const Picture& picture, int top, int left, unsigned (*tile)[PITCH],
                                          unsigned* histogram, Sums& sums) {
    Colours colours = {0, 0, 0, 0};
#pragma unroll
    for (int item = threadIdx.x; item < ROWS * GROUPS; item += THREADS) {
        const int row = item / GROUPS, group = item % GROUPS;
        const int y = top + row - 1, x = left + group * GROUP;
        if (y > picture.height || x > picture.width) continue;
        unsigned rgb[GROUP], packed = 0;
        load_group(picture, mirrored(y, picture.height), x, rgb);
        const bool own = row > 0 && row <= TILE_HEIGHT && y < picture.height;
        for (int i = 0; i < GROUP; i++) {
            const unsigned grey = luma(rgb[i]);
            packed |= grey << 8 * i;
            if (own && x + i < picture.width) add_pixel(colours, histogram, rgb[i], grey);
        }
        tile[row][group + 1] = packed;
    }
    sums.rg += colours.rg;
    sums.q += colours.q;
    sums.rg_squares += colours.rg_squares;
    sums.q_squares += colours.q_squares;
}

// Luma of the columns left and right of the tile.
__device__ __forceinline__ void load_sides(const Picture& picture, int top, int left, unsigned (*tile)[PITCH]) {
    if (threadIdx.x >= 2 * ROWS) return;
    const int row = threadIdx.x / 2, right = threadIdx.x % 2;
    const int y = top + row - 1, x = right ? left + TILE_WIDTH : left - 1;
    if (y > picture.height || x > picture.width) return;
    const unsigned grey = luma(pixel(picture, mirrored(y, picture.height), mirrored(x, picture.width)));
    if (right)
        tile[row][GROUPS + 1] = grey;
    else
        tile[row][0] = grey << 24;
}

__device__ __forceinline__ int grey_at(unsigned word, int i) { return word >> 8 * i & 255u; }

__device__ __forceinline__ void add_laplacians(const Picture& picture, int top, int left,
                                               const unsigned (*tile)[PITCH], Sums& sums) {
    int sum = 0;
    unsigned squares = 0;
#pragma unroll
    for (int item = threadIdx.x; item < TILE_HEIGHT * GROUPS; item += THREADS) {
        const int row = item / GROUPS + 1, group = item % GROUPS + 1;
        const int x = left + (group - 1) * GROUP;
        if (top + row - 1 >= picture.height || x >= picture.width) continue;
        const unsigned above = tile[row - 1][group], here = tile[row][group], below = tile[row + 1][group];
        // The word of the neighbours to the left, and to the right, of each of the 4 pixels.
        const unsigned before = here << 8 | tile[row][group - 1] >> 24;
        const unsigned after = here >> 8 | tile[row][group + 1] << 24;
        for (int i = 0; i < GROUP; i++) {
            if (x + i >= picture.width) break;
            const int value = grey_at(above, i) + grey_at(below, i) + grey_at(before, i) + grey_at(after, i) -
                              4 * grey_at(here, i);
            sum += value;
            squares += value * value;
        }
    }
    sums.laplacian += sum;
    sums.laplacian_squares += squares;
}

__device__ __forceinline__ long long warp_sum(long long value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xFFFFFFFFu, value, offset);
    return value;
}

// One row of partial sums from the sums of all threads and the histograms of all lanes.
__device__ __forceinline__ void write_partials(const Sums& sums, const unsigned* histogram,
                                               long long (*warps)[SUMS], long long* row) {
    const long long own[SUMS] = {sums.laplacian, sums.laplacian_squares, sums.rg,
                                 sums.rg_squares, sums.q, sums.q_squares};
    for (int i = 0; i < SUMS; i++) {
        const long long sum = warp_sum(own[i]);
        if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32][i] = sum;
    }
    __syncthreads();
    if (threadIdx.x < SUMS) {
        long long sum = 0;
        for (int warp = 0; warp < WARPS; warp++) sum += warps[warp][threadIdx.x];
        row[threadIdx.x] = sum;
    }
    if (threadIdx.x < BINS) {
        long long count = 0;
        // Every lane begins at another copy, so that the lanes of a warp read different banks.
        for (int i = 0; i < COPIES; i++) count += histogram[threadIdx.x * COPIES + (threadIdx.x + i) % COPIES];
        row[SUMS + threadIdx.x] = count;
    }
}

}  // namespace

// Partial sums (count, gridDim.x, COLUMNS) of uint8 pictures (count, height, width, 3). Block: THREADS; any grid.
extern "C" __global__ void __launch_bounds__(512)
frame_stats_partials(const unsigned char* __restrict__ pixels, int count, int height, int width,
                     long long* __restrict__ partials) {
    __shared__ unsigned tile[ROWS][PITCH];
    __shared__ unsigned histogram[BINS * COPIES];
    __shared__ long long warps[WARPS][SUMS];
    const int across = (width + TILE_WIDTH - 1) / TILE_WIDTH;
    const int tiles = across * ((height + TILE_HEIGHT - 1) / TILE_HEIGHT);
    const bool aligned = (size_t)pixels % 4 == 0 && width % 4 == 0;
    for (int index = blockIdx.y; index < count; index += gridDim.y) {
        const Picture picture = {pixels + (size_t)index * height * width * 3, height, width, aligned};
        Sums sums = {0, 0, 0, 0, 0, 0};
        for (int i = threadIdx.x; i < BINS * COPIES; i += THREADS) histogram[i] = 0;
        __syncthreads();
        for (int number = blockIdx.x; number < tiles; number += gridDim.x) {
            const int top = number / across * TILE_HEIGHT, left = number % across * TILE_WIDTH;
            load_tile(picture, top, left, tile, histogram, sums);
            load_sides(picture, top, left, tile);
            __syncthreads();
            add_laplacians(picture, top, left, tile, sums);
            __syncthreads();
        }
        write_partials(sums, histogram, warps, partials + ((size_t)index * gridDim.x + blockIdx.x) * COLUMNS);
        __syncthreads();
    }
}

// Sums (count, COLUMNS) of partial sums (count, blocks, COLUMNS). Any block, any grid.
extern "C" __global__ void frame_stats_totals(const long long* __restrict__ partials, int count, int blocks,
                                              long long* __restrict__ totals) {
    const size_t all = (size_t)count * COLUMNS, step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        const long long* column = partials + i / COLUMNS * blocks * COLUMNS + i % COLUMNS;
        long long sum = 0;
        for (int block = 0; block < blocks; block++) sum += column[(size_t)block * COLUMNS];
        totals[i] = sum;
    }
}
