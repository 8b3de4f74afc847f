"""What runs kernels on the CPU finds the faults it is there for."""

import numpy as np
import pytest

SUM = """
extern "C" __global__ void total(const int* values, int count, int* sums) {
    __shared__ int parts[64];
    int sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) sum += values[i];
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(~0u, sum, offset);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    BARRIER
    if (threadIdx.x == 0) {
        int all = 0;
        for (unsigned warp = 0; warp < blockDim.x / 32; warp++) all += parts[warp];
        sums[blockIdx.x] = all;
    }
}
"""
RIGHT = SUM.replace("BARRIER", "__syncthreads();")


def total(runner, values, blocks=3):
    sums = runner.empty((blocks,), np.int32)
    runner.launch("total", (blocks,), (64,), runner.upload(values), len(values), sums)
    return int(sums.sum())


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("count", [0, 1, 64, 1001])
def test_warps_blocks_and_barriers_work(on_cpu, reverse, count):
    values = np.arange(count, dtype=np.int32)
    assert total(on_cpu("total", RIGHT, reverse=reverse), values) == values.sum()


def test_a_missing_barrier_shows_in_one_of_the_orders(on_cpu):
    values = np.arange(1001, dtype=np.int32)
    code = SUM.replace("BARRIER", "")
    found = {total(on_cpu("total", code, reverse=reverse), values) for reverse in (False, True)}
    assert found != {values.sum()}


def test_a_write_past_the_output_is_found(on_cpu):
    code = RIGHT.replace("sums[blockIdx.x] =", "sums[blockIdx.x + 1] =")
    with pytest.raises(RuntimeError, match="total: wrote outside its output"):
        total(on_cpu("total", code), np.arange(9, dtype=np.int32))


def test_threads_that_wait_for_each_other_are_found(on_cpu):
    divergent = "if (threadIdx.x == 40) __syncthreads(); else sum += __shfl_xor_sync(~0u, sum, 1);"
    code = RIGHT.replace("__syncthreads();", divergent)
    with pytest.raises(RuntimeError, match="wait for each other"):
        total(on_cpu("total", code), np.arange(9, dtype=np.int32))


def test_a_wrong_number_of_arguments_is_found(on_cpu):
    runner = on_cpu("total", RIGHT)
    with pytest.raises(RuntimeError, match="wrong number of arguments"):
        runner.launch("total", (1,), (64,), runner.empty((1,), np.int32))
