// Enough of CUDA C++ for g++ to run a kernel's own text on the CPU, one thread of a block after another.
//
// Every CUDA thread is a fiber that runs until a barrier or its end. Blocks and threads are taken forwards or in
// reverse: where a barrier is missing, one of the two orders reads what was not written yet. Shared memory is poisoned
// before each block. What this cannot show: races between two barriers (nothing runs at the same time), and speed.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
// The linker names both ends of a section whose name is an identifier, so all shared memory can be poisoned at once.
#define __shared__ static __attribute__((section("shim_shared")))

extern "C" {
extern unsigned char __start_shim_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_shim_shared[] __attribute__((weak, visibility("hidden")));
}

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

enum State { READY, AT_WARP, AT_BLOCK, DONE };
constexpr int WARP = 32;
constexpr size_t STACK_BYTES = 64 << 10;

struct Fiber {
    ucontext_t context;
    jmp_buf left;
    bool entered = false;
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
    State state = READY;
    dim3 index;
    uint64_t slot = 0;
};

struct Block {
    std::vector<Fiber> fibers;
    ucontext_t first;
    jmp_buf scheduler;
    int current = 0;
    void (*entry)(void*) = nullptr;
    void* entry_argument = nullptr;
};

inline Block block;

inline void wait(State reason) {
    Fiber& fiber = block.fibers[block.current];
    fiber.state = reason;
    // Jumps, since swapping contexts asks the kernel for the signal mask each time.
    if (!_setjmp(fiber.left)) _longjmp(block.scheduler, 1);
}

inline void trampoline() {
    block.entry(block.entry_argument);
    block.fibers[block.current].state = DONE;
    _longjmp(block.scheduler, 1);
}

inline void start(Fiber& fiber) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    fiber.state = READY;
    fiber.entered = false;
    makecontext(&fiber.context, trampoline, 0);
}

inline void resume(int thread) {
    block.current = thread;
    threadIdx = block.fibers[thread].index;
    Fiber& fiber = block.fibers[thread];
    if (_setjmp(block.scheduler)) return;
    if (fiber.entered) _longjmp(fiber.left, 1);
    fiber.entered = true;
    swapcontext(&block.first, &fiber.context);
}

// Sets free the fibers [first, last) if all that are left of them wait for the same reason.
inline bool release(int first, int last, State reason) {
    bool any = false;
    for (int i = first; i < last; i++) {
        if (block.fibers[i].state == DONE) continue;
        if (block.fibers[i].state != reason) return false;
        any = true;
    }
    for (int i = first; any && i < last; i++)
        if (block.fibers[i].state == reason) block.fibers[i].state = READY;
    return any;
}

// Runs one block; false when its threads wait for each other for ever.
inline bool run_block(bool reverse) {
    const int count = int(block.fibers.size());
    for (Fiber& fiber : block.fibers) start(fiber);
    for (;;) {
        bool moved = false, left = false;
        for (int i = 0; i < count; i++) {
            const int thread = reverse ? count - 1 - i : i;
            if (block.fibers[thread].state == READY) {
                resume(thread);
                moved = true;
            }
            left |= block.fibers[thread].state != DONE;
        }
        if (!left) return true;
        for (int first = 0; first < count; first += WARP)
            moved |= release(first, first + WARP < count ? first + WARP : count, AT_WARP);
        moved |= release(0, count, AT_BLOCK);
        if (!moved) return false;
    }
}

inline void prepare(const unsigned* grid, const unsigned* threads) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads[0], threads[1], threads[2]};
    const unsigned count = blockDim.x * blockDim.y * blockDim.z;
    block.fibers = std::vector<Fiber>(count);
    for (unsigned i = 0; i < count; i++)
        block.fibers[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
}

template <class... Arguments, size_t... I>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<Arguments>*>(arguments[I])...);
}

// Like cuLaunchKernel: `arguments` point to the values. 0, or 1 for a deadlock, or 2 for a wrong number of arguments.
template <class... Arguments>
int launch(void (*kernel)(Arguments...), const unsigned* grid, const unsigned* threads, int reverse, void** arguments,
           int argument_count) {
    if (argument_count != int(sizeof...(Arguments))) return 2;
    prepare(grid, threads);
    auto entry = [&] { call(kernel, arguments, std::index_sequence_for<Arguments...>{}); };
    block.entry = [](void* made) { (*static_cast<decltype(entry)*>(made))(); };
    block.entry_argument = &entry;
    const unsigned blocks = grid[0] * grid[1] * grid[2];
    for (unsigned i = 0; i < blocks; i++) {
        const unsigned index = reverse ? blocks - 1 - i : i;
        blockIdx = {index % grid[0], index / grid[0] % grid[1], index / (grid[0] * grid[1])};
        if (__start_shim_shared) memset(__start_shim_shared, 0xA5, __stop_shim_shared - __start_shim_shared);
        if (!run_block(reverse)) return 1;
    }
    return 0;
}

// The value of lane `from` of this warp; every lane of the warp has to take part.
template <class T>
T exchange(T value, int from) {
    static_assert(sizeof(T) <= sizeof(uint64_t));
    const int self = block.current, first = self / WARP * WARP;
    memcpy(&block.fibers[self].slot, &value, sizeof value);
    wait(AT_WARP);
    T found = value;
    if (from >= 0 && from < WARP && first + from < int(block.fibers.size()))
        memcpy(&found, &block.fibers[first + from].slot, sizeof found);
    wait(AT_WARP);
    return found;
}

}  // namespace shim

static inline void __syncthreads() { shim::wait(shim::AT_BLOCK); }

template <class T>
T __shfl_down_sync(unsigned, T value, int delta) {
    return shim::exchange(value, shim::block.current % shim::WARP + delta);
}

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return shim::exchange(value, shim::block.current % shim::WARP ^ mask);
}

template <class T>
T atomicAdd(T* where, T value) {
    const T before = *where;
    *where = before + value;
    return before;
}

template <class T>
T min(T one, T other) {
    return one < other ? one : other;
}

template <class T>
T max(T one, T other) {
    return one > other ? one : other;
}

#define SHIM_EXPORT(kernel)                                                                                  \
    extern "C" int shim_##kernel(const unsigned* grid, const unsigned* threads, int reverse, void** arguments, \
                                 int argument_count) {                                                        \
        return shim::launch(kernel, grid, threads, reverse, arguments, argument_count);                       \
    }
