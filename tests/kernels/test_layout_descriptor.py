"""The stand-in for embeddings: what it holds together and what it keeps apart at tau = 0.12."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_kernels.layout_descriptor import layout_descriptor, reference

TAU = 0.12
SHAPES = {
    "one-pixel": (1, 1, 1),
    "one-row": (2, 1, 60),
    "smaller-than-the-grid": (1, 7, 9),
    "just-below-the-fast-path": (1, 47, 90),
    "odd-sides": (2, 97, 131),
    "halved-once": (1, 98, 130),
    "halved-thrice": (1, 432, 768),
    "n-plus-one-frames": (4, 64, 64),
}


def scene(seed: int, height: int = 360, width: int = 640) -> np.ndarray:
    """A made-up view: large soft patches of colour and smaller things on top."""
    rng = np.random.default_rng(seed)
    patches = cv2.resize(rng.uniform(0, 200, (5, 7, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    things = cv2.resize(rng.uniform(-40, 40, (20, 30, 3)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(patches + things, 5, 225).astype(np.uint8)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    first, second = layout_descriptor(np.stack([one, other]))
    return float(1 - first @ second)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_rows_have_length_one_and_follow_the_reference(shape):
    pictures = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    fast = layout_descriptor(pictures)
    assert fast.dtype == np.float32
    assert fast.shape == (shape[0], 218)
    np.testing.assert_allclose(np.linalg.norm(fast, axis=1), 1, rtol=1e-6)
    # Noise is the worst case of halving: neighbours across a cell's edge have nothing in common.
    assert (1 - (fast * reference.layout_descriptor(pictures)).sum(axis=1)).max() < TAU / 8


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(48, 200), width=st.integers(48, 200))
def test_fast_path_follows_the_reference_on_any_view(seed, height, width):
    picture = scene(seed, height, width)[None]
    # A thousandth of tau: halving straddles edges of cells and rounds, layouts are tens of codes.
    assert 1 - (layout_descriptor(picture) @ reference.layout_descriptor(picture).T).item() < 1.2e-4


@pytest.mark.parametrize(
    "view",
    [lambda p: p[:, ::2, ::3], lambda p: p[..., ::-1], lambda p: p.transpose(0, 2, 1, 3)],
    ids=["strided", "bgr-flip", "transposed"],
)
def test_strides_do_not_matter(view):
    pictures = view(np.stack([scene(1), scene(2)]))
    np.testing.assert_array_equal(layout_descriptor(pictures), layout_descriptor(pictures.copy(order="C")))


def noisy(picture):
    noise = np.random.default_rng(0).normal(0, 8, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def with_small_walker(picture):
    changed = picture.copy()
    changed[150:290, 300:350] = (30, 30, 40)
    return changed


REPEATS = {
    "noise": noisy,
    "brighter": lambda p: np.clip(p * 1.1, 0, 255).astype(np.uint8),
    "darker": lambda p: (p * 0.9).astype(np.uint8),
    "shake": lambda p: np.roll(p, (4, -5), (0, 1)),
    "someone-walks-in": with_small_walker,
}


@pytest.mark.parametrize("change", REPEATS.values(), ids=REPEATS.keys())
@pytest.mark.parametrize("seed", range(4))
def test_a_static_shot_stays_together(change, seed):
    picture = scene(seed)
    assert distance(picture, change(picture)) < TAU / 2


def test_different_views_are_apart():
    rows = layout_descriptor(np.stack([scene(seed) for seed in range(12)]))
    distances = 1 - rows @ rows.T
    assert distances[np.triu_indices(12, 1)].min() > 2 * TAU


@pytest.mark.parametrize(
    "change",
    [lambda p: p[:, ::-1], lambda p: p[::-1], lambda p: p[..., [2, 0, 1]]],
    ids=["mirrored", "upside-down", "other-colours"],
)
def test_layout_and_colour_both_count(change):
    assert distance(scene(3), change(scene(3))) > TAU


def flat(*colour: int) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (72, 128, 3))


def test_black_and_white_are_apart_and_valid():
    assert distance(flat(0, 0, 0), flat(255, 255, 255)) == pytest.approx(1, abs=1e-6)
    assert distance(flat(0, 0, 0), flat(0, 0, 0)) == pytest.approx(0, abs=1e-6)


def test_noise_does_not_tear_flat_pictures_apart():
    for level in (4, 60, 200):
        assert distance(flat(level, level, level), noisy(flat(level, level, level))) < TAU / 2


def test_no_pictures_give_no_rows():
    assert layout_descriptor(np.empty((0, 64, 64, 3), np.uint8)).shape == (0, 218)


def test_wrong_input_says_what_arrived_and_what_to_do():
    with pytest.raises(ValueError, match=r"rgb is float64 of shape \(1, 8, 8, 3\); need uint8.*astype"):
        layout_descriptor(np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"rgb is uint8 of shape \(8, 8, 3\).*rgb\[None\]"):
        layout_descriptor(np.zeros((8, 8, 3), np.uint8))


def samples(path, step: float = 1.0):
    """(times, descriptors) of one picture per ``step`` seconds of a take."""
    av = pytest.importorskip("av")
    times, rows = [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            if not times or frame.time >= times[-1] + step:
                times.append(frame.time)
                rows.append(layout_descriptor(frame.to_ndarray(format="rgb24")[None])[0])
    return np.array(times) - times[0], np.array(rows)


def apart_share(rows: np.ndarray, pairs: np.ndarray) -> float:
    distances = 1 - rows @ rows.T
    return float(np.mean(distances[pairs] > TAU))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("franck_talking_head_200s.mp4", 0.0, 0.1),
        ("vtest_cctv.avi", 0.0, 0.02),
        ("person_by_person_139s.mp4", 0.0, 0.45),
        ("gopro_hero7_walk.mp4", 0.95, 1.0),
        ("gopro_karma_drone.mp4", 0.6, 1.0),
    ],
)
def test_share_of_distant_pairs_that_are_apart(media, name, least, most):
    times, rows = samples(media / "fixtures" / name)
    share = apart_share(rows, np.triu(np.abs(times[:, None] - times) >= 5))
    print(f"{name}: {share:.2f} of pairs 5 s apart are above tau")
    assert least <= share <= most


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "cuts", "least"),
    [
        ("puppies_720p_30s.mp4", [23.7], 0.9),
        # Between its shots this take is black, so some pairs of different shots are both black.
        ("psd_testvideo_multishot.mp4", [5.6, 7.5, 12.0, 13.8, 18.0, 18.7], 0.9),
        ("iphone_hevc_vfr_face.mov", [3.9, 6.2], 1.0),
    ],
)
def test_shots_are_apart(media, name, cuts, least):
    times, rows = samples(media / "fixtures" / name, step=0.33)
    shots = np.searchsorted(cuts, times)
    share = apart_share(rows, shots[:, None] != shots)
    print(f"{name}: {share:.2f} of pairs from different shots are above tau")
    assert share >= least
