"""The text of the CUDA kernel, run on the CPU, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from bestshot_kernels.layout_descriptor import cuda, reference

SHAPES = {
    "one-pixel": (1, 1, 1),
    "smaller-than-the-grid": (2, 5, 7),
    "just-the-grid": (1, 12, 12),
    "odd-sides": (2, 37, 53),
    "wide": (1, 16, 260),
    "tall": (3, 130, 14),
}


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_descriptors_are_the_references(on_cpu, shim, shape, reverse):
    pictures = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    sums = cuda.queue_sums(shim.guarded(pictures, 255, 1), on_cpu("layout_descriptor", reverse=reverse))
    found = cuda.describe(sums, *shape[1:])
    np.testing.assert_allclose(found, reference.layout_descriptor(pictures), atol=1e-6)


def test_sums_are_whole_twelfths(on_cpu):
    pictures = np.full((1, 25, 31, 3), 3, np.uint8)
    sums = cuda.queue_sums(pictures, on_cpu("layout_descriptor", multiprocessors=3))
    assert (sums == 3 * 25 * 31).all()


@pytest.mark.gpu
def test_on_a_gpu(gpu_or_skip):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 181, 321, 3), dtype=np.uint8)
    sums = gpu_or_skip.asnumpy(cuda.cell_sums(gpu_or_skip.asarray(pictures)))
    np.testing.assert_allclose(cuda.describe(sums, 181, 321), reference.layout_descriptor(pictures), atol=1e-6)
