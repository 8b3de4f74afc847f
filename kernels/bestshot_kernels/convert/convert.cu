// Decoded samples to upright 8-bit RGB: the stream's matrix and range, PQ or HLG to SDR, turns by quarters.
//
// A block takes tiles of 32 x 32 pixels of the turned picture. It reads the pixels in the order of the source's rows,
// keeps them in shared memory, and writes in the order of the result's rows: both ways neighbouring threads touch
// neighbouring pixels, whatever the turn.

namespace {

constexpr int TILE = 32;
constexpr int PITCH = TILE + 1;               // One more, so that a column of the tile lies in 32 banks.
constexpr int FRACTION_BITS = 16;

// SMPTE ST 2084, and ITU-R BT.2100 table 5.
constexpr float M1 = 2610.0f / 16384, M2 = 2523.0f / 4096 * 128;
constexpr float C1 = 3424.0f / 4096, C2 = 2413.0f / 4096 * 32, C3 = 2392.0f / 4096 * 32;
constexpr float PQ_MAX_NITS = 10000;
constexpr float HLG_A = 0.17883277f, HLG_B = 0.28466892f, HLG_C = 0.55991073f;

struct Hdr {                                  // All from the host, as curves.py has them.
    float to_signal[3][4];                    // Samples to a signal in [0, 1]: a matrix and an offset.
    float to_bt709[3][3];
    float luminance[3];
    float peak, top, target, knee, ootf, white;
};

__device__ __forceinline__ float pq_to_nits(float signal) {
    const float root = powf(signal, 1 / M2);
    return PQ_MAX_NITS * powf(fmaxf(root - C1, 0) / (C2 - C3 * root), 1 / M1);
}

__device__ __forceinline__ float nits_to_pq(float nits) {
    const float power = powf(nits / PQ_MAX_NITS, M1);
    return powf((C1 + C2 * power) / (1 + C3 * power), M2);
}

__device__ __forceinline__ float hlg_to_scene(float signal) {
    return signal <= 0.5f ? signal * signal / 3 : (expf((signal - HLG_C) / HLG_A) + HLG_B) / 12;
}

// EETF of ITU-R BT.2390; light below the knee stays as it is.
__device__ __forceinline__ float toned(const Hdr& hdr, float nits) {
    const float relative = fminf(nits_to_pq(nits) / hdr.top, 1);
    if (relative < hdr.knee) return nits;
    const float t = (relative - hdr.knee) / (1 - hdr.knee), t2 = t * t, t3 = t2 * t;
    const float spline = (2 * t3 - 3 * t2 + 1) * hdr.knee + (t3 - 2 * t2 + t) * (1 - hdr.knee) +
                         (3 * t2 - 2 * t3) * hdr.target;
    return pq_to_nits(spline * hdr.top);
}

__device__ __forceinline__ void displayed(const Hdr& hdr, bool hlg, const float signal[3], float nits[3]) {
    float light[3], luminance = 0;
    for (int i = 0; i < 3; i++) {
        light[i] = hlg ? hlg_to_scene(signal[i]) : pq_to_nits(signal[i]);
        luminance += hdr.luminance[i] * light[i];
    }
    const float scale = hlg ? hdr.peak * powf(luminance, hdr.ootf) : 1;
    for (int i = 0; i < 3; i++) {
        const float* row = hdr.to_bt709[i];
        const float value = scale * (row[0] * light[0] + row[1] * light[1] + row[2] * light[2]);
        nits[i] = fminf(fmaxf(value, 0), hdr.peak);
    }
}

__device__ __forceinline__ unsigned packed(const int rgb[3]) {
    unsigned word = 0;
    for (int i = 0; i < 3; i++) word |= (unsigned)min(max(rgb[i], 0), 255) << 8 * i;
    return word;
}

struct FromSdr {
    const unsigned char* pixels;
    const int* weights;                       // int[3][4], scaled by 2^16, the offset with the half that rounds.

    __device__ __forceinline__ unsigned operator()(size_t index) const {
        const unsigned char* in = pixels + index * 3;
        int rgb[3];
        for (int i = 0; i < 3; i++) {
            const int* row = weights + 4 * i;
            rgb[i] = (row[0] * in[0] + row[1] * in[1] + row[2] * in[2] + row[3]) >> FRACTION_BITS;
        }
        return packed(rgb);
    }
};

template <class Sample>
struct FromHdr {
    const Sample* pixels;
    const Hdr* hdr;
    bool hlg;

    __device__ __forceinline__ unsigned operator()(size_t index) const {
        const Sample* in = pixels + index * 3;
        float signal[3], nits[3];
        for (int i = 0; i < 3; i++) {
            const float* row = hdr->to_signal[i];
            signal[i] = fminf(fmaxf(row[0] * in[0] + row[1] * in[1] + row[2] * in[2] + row[3], 0), 1);
        }
        displayed(*hdr, hlg, signal, nits);
        const float brightest = fmaxf(fmaxf(fmaxf(nits[0], nits[1]), nits[2]), 1e-9f);
        const float scale = toned(*hdr, brightest) / (brightest * hdr->white);
        int rgb[3];
        for (int i = 0; i < 3; i++) rgb[i] = (int)rintf(255 * powf(fminf(nits[i] * scale, 1), 1 / 2.4f));
        return packed(rgb);
    }
};

// Where the pixel (row, column) of a turned picture is in the source of height x width.
__device__ __forceinline__ size_t origin(int row, int column, int height, int width, int quarters) {
    if (quarters == 0) return (size_t)row * width + column;
    if (quarters == 1) return (size_t)(height - 1 - column) * width + row;
    if (quarters == 2) return (size_t)(height - 1 - row) * width + (width - 1 - column);
    return (size_t)column * width + (width - 1 - row);
}

// Every picture of count x height x width pixels, turned clockwise by `quarters`. Block: (TILE, any), grid: any.
template <class Convert>
__device__ __forceinline__ void turned(const Convert& convert, int count, int height, int width, int quarters,
                                       unsigned (*tile)[PITCH], unsigned char* out) {
    const bool aside = quarters % 2;
    const int high = aside ? width : height, wide = aside ? height : width;
    const int across = (wide + TILE - 1) / TILE, tiles = across * ((high + TILE - 1) / TILE);
    const size_t area = (size_t)height * width;
    for (long long number = blockIdx.x; number < (long long)count * tiles; number += gridDim.x) {
        const size_t first = (size_t)(number / tiles) * area;
        const int top = (int)(number % tiles) / across * TILE, left = (int)(number % tiles) % across * TILE;
        for (int i = threadIdx.y; i < TILE; i += blockDim.y) {
            const int row = aside ? threadIdx.x : i, column = aside ? i : threadIdx.x;
            if (top + row < high && left + column < wide)
                tile[row][column] = convert(first + origin(top + row, left + column, height, width, quarters));
        }
        __syncthreads();
        for (int row = threadIdx.y; row < TILE; row += blockDim.y) {
            const int column = threadIdx.x;
            if (top + row >= high || left + column >= wide) continue;
            const unsigned rgb = tile[row][column];
            unsigned char* to = out + (first + (size_t)(top + row) * wide + left + column) * 3;
            for (int i = 0; i < 3; i++) to[i] = (unsigned char)(rgb >> 8 * i);
        }
        __syncthreads();
    }
}

}  // namespace

// uint8 samples (count, height, width, 3) to uint8 RGB, turned; `weights` as in FromSdr.
extern "C" __global__ void convert_sdr(const unsigned char* __restrict__ pixels, int count, int height, int width,
                                       int quarters, const int* __restrict__ weights, unsigned char* __restrict__ out) {
    __shared__ unsigned tile[TILE][PITCH];
    turned(FromSdr{pixels, weights}, count, height, width, quarters, tile, out);
}

// The same of PQ, or with `hlg` HLG; `hdr` is a struct Hdr.
extern "C" __global__ void convert_hdr_8(const unsigned char* __restrict__ pixels, int count, int height, int width,
                                         int quarters, int hlg, const float* __restrict__ hdr,
                                         unsigned char* __restrict__ out) {
    __shared__ unsigned tile[TILE][PITCH];
    turned(FromHdr<unsigned char>{pixels, (const Hdr*)hdr, hlg != 0}, count, height, width, quarters, tile, out);
}

// The same of uint16 samples.
extern "C" __global__ void convert_hdr_16(const unsigned short* __restrict__ pixels, int count, int height, int width,
                                          int quarters, int hlg, const float* __restrict__ hdr,
                                          unsigned char* __restrict__ out) {
    __shared__ unsigned tile[TILE][PITCH];
    turned(FromHdr<unsigned short>{pixels, (const Hdr*)hdr, hlg != 0}, count, height, width, quarters, tile, out);
}
