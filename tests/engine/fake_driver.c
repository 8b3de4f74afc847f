// Stands for libcuda, libnvcuvid and libnvidia-ml in the tests: answers as the cards named in FAKE_CARDS would.
// Layouts and numbers are those of NVIDIA's cuda.h, cuviddec.h and nvml.h. CUDA lists the cards backwards, NVML forwards.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct card { const char *key, *name; int major, minor, decoders, encoders, mig; unsigned long long memory; };
static const struct card KNOWN[] = {
    {"L4", "NVIDIA L4", 8, 9, 4, 1, 0, 24152899584ull},
    {"H100", "NVIDIA H100 80GB HBM3", 9, 0, 7, 0, 0, 85520809984ull},
    {"MIG", "NVIDIA H100 80GB HBM3", 9, 0, 7, 0, 1, 85520809984ull},
    {"V100", "Tesla V100-SXM2-16GB", 7, 0, 1, 1, 0, 16935682048ull},
};

static int number(const char *name, int otherwise) { return getenv(name) ? atoi(getenv(name)) : otherwise; }

static int listed(const struct card **cards) {
    char names[256];
    int count = 0;
    snprintf(names, sizeof names, "%s", getenv("FAKE_CARDS") ? getenv("FAKE_CARDS") : "");
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ","))
        for (unsigned i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
            if (!strcmp(KNOWN[i].key, name)) cards[count++] = &KNOWN[i];
    return count;
}

// Indices in NVML's order of the cards that CUDA may use.
static int visible(int *indices) {
    const struct card *cards[8];
    const char *only = getenv("CUDA_VISIBLE_DEVICES");
    int count = listed(cards), kept = 0;
    for (int i = count - 1; i >= 0; i--)
        if (!only || (only[0] >= '0' && only[0] <= '9' && atoi(only) == count - 1 - i)) indices[kept++] = i;
    return kept;
}

static const struct card *of_cuda(int device) {
    const struct card *cards[8];
    int indices[8];
    listed(cards);
    visible(indices);
    return cards[indices[device]];
}

static int current = -1;

int cuInit(unsigned flags) {
    int indices[8];
    (void)flags;
    if (getenv("FAKE_HANG")) sleep(60);
    if (getenv("FAKE_CRASH")) abort();
    return number("FAKE_CUDA_ERROR", visible(indices) ? 0 : 100);
}
int cuGetErrorName(int code, const char **name) {
    *name = code == 100 ? "CUDA_ERROR_NO_DEVICE" : code == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" :
            code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_UNKNOWN";
    return 0;
}
int cuDriverGetVersion(int *version) { *version = number("FAKE_CUDA", 12040); return 0; }
int cuDeviceGetCount(int *count) { int indices[8]; *count = visible(indices); return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "%s", of_cuda(device)->name); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = of_cuda(device)->memory; return 0; }
int cuDeviceGetUuid_v2(unsigned char *bytes, int device) {
    int indices[8];
    visible(indices);
    memset(bytes, of_cuda(device)->mig ? 0xb0 : 0xa0, 16);
    bytes[15] = indices[device];
    return 0;
}
int cuDeviceGetAttribute(int *value, int which, int device) {
    *value = which == 75 ? of_cuda(device)->major : of_cuda(device)->minor;
    return which == 75 || which == 76 ? 0 : 1;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = (void *)(size_t)(device + 1);
    return number("FAKE_CONTEXT_ERROR", 0);
}
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return 0; }
int cuCtxSetCurrent(void *context) { current = (int)(size_t)context - 1; return 0; }

struct caps {
    int codec, chroma; unsigned depth, reserved1[3];
    unsigned char supported, engines; unsigned short formats;
    unsigned width, height, blocks; unsigned short least_width, least_height;
    unsigned char histogram, counter; unsigned short bins; unsigned reserved3[10];
};
int cuvidGetDecoderCaps(struct caps *caps) {
    if (current < 0) return 201;
    const struct card *card = of_cuda(current);
    int is_av1 = caps->codec == 11, is_hevc = caps->codec == 8, is_vp9 = caps->codec == 10;
    int is_420 = caps->chroma == 1, depth = caps->depth + 8;
    caps->supported = (is_420 && depth == 8 && !is_av1) || (is_420 && (is_hevc || is_vp9)) ||
                      (is_hevc && caps->chroma == 3) || (is_av1 && is_420 && depth <= 10 && card->minor == 9);
    caps->engines = caps->supported ? card->decoders : 0;
    caps->width = is_hevc ? 8192 : 4096;
    caps->height = is_hevc ? 8192 : 4096;
    return 0;
}

// Handles of NVML: 1 and up are cards, 101 and up their first MIG instances.
static const struct card *of_nvml(size_t handle) {
    const struct card *cards[8];
    listed(cards);
    return cards[(handle - 1) % 100];
}
int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (getenv("FAKE_HANG")) sleep(60);
    return number("FAKE_NVML_ERROR", 0);
}
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { (void)code; return "Unknown Error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    snprintf(text, size, "%s", getenv("FAKE_VERSION") ? getenv("FAKE_VERSION") : "550.54.15");
    return 0;
}
int nvmlDeviceGetCount_v2(unsigned *count) { const struct card *cards[8]; *count = listed(cards); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *)(size_t)(index + 1); return 0; }
int nvmlDeviceGetName(size_t handle, char *text, unsigned size) {
    snprintf(text, size, "%s%s", of_nvml(handle)->name, handle > 100 ? " MIG 1g.10gb" : "");
    return 0;
}
int nvmlDeviceGetUUID(size_t handle, char *text, unsigned size) {
    const char *form = handle > 100 ? "MIG-b0b0b0b0-b0b0-b0b0-b0b0-b0b0b0b0b0%02x" : "GPU-a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a0%02x";
    snprintf(text, size, form, (unsigned)(handle - 1) % 100);
    return 0;
}
int nvmlDeviceGetMemoryInfo(size_t handle, unsigned long long *bytes) {
    bytes[0] = of_nvml(handle)->memory;
    bytes[2] = bytes[0] / 4;  // used
    return 0;
}
// What a card divided by MIG tells of its load: nothing.
int nvmlDeviceGetDecoderUtilization(size_t handle, unsigned *percent, unsigned *period) {
    *percent = number("FAKE_LOAD", 0);
    *period = 167000;
    return of_nvml(handle)->mig ? 3 : 0;
}
int nvmlDeviceGetUtilizationRates(size_t handle, unsigned *percent) {
    percent[0] = number("FAKE_LOAD", 0) / 2;
    percent[1] = 0;
    return of_nvml(handle)->mig ? 3 : 0;
}
int nvmlDeviceGetCudaComputeCapability(size_t handle, int *major, int *minor) {
    *major = of_nvml(handle)->major;
    *minor = of_nvml(handle)->minor;
    return 0;
}
int nvmlDeviceGetMigMode(size_t handle, unsigned *now, unsigned *pending) {
    *now = *pending = of_nvml(handle)->mig;
    return of_nvml(handle)->major < 8 ? 3 : 0;
}
int nvmlDeviceGetMaxMigDeviceCount(size_t handle, unsigned *count) { (void)handle; *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(size_t handle, unsigned index, void **instance) {
    *instance = (void *)(handle + 100);
    return index == 0 && number("FAKE_INSTANCES", 1) ? 0 : 6;
}
int nvmlDeviceGetAttributes_v2(size_t handle, unsigned *attributes) {
    (void)handle;
    memset(attributes, 0, 40);
    attributes[2] = 1;  // decoders
    *(unsigned long long *)(attributes + 8) = 9728;  // MiB
    return 0;
}
int nvmlDeviceGetEncoderCapacity(size_t handle, int codec, unsigned long long *percent) {
    *percent = 100;
    return of_nvml(handle)->encoders && (codec < 2 || of_nvml(handle)->minor == 9) ? 0 : 3;
}
