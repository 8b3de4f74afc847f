"""Aesthetic heads: the real ones give the published scores, and a head file cannot do anything but hold numbers."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_trt.embed._pth import read_tensors
from bestshot_trt.embed.heads import Head, fold, load_head, read_head, save_head
from bestshot_trt.errors import ModelUnavailable

MLP_LAYERS = (0, 2, 4, 6, 7)
MLP = "laion_mlp/sac+logos+ava1-l14-linearMSE.pth"

PUBLISHED = {
    ("laion_heads/sa_0_4_vit_b_32_linear.pth", "b_32"): (-1.47, 0.27, 1.99, 3.61, 5.09, 6.39, 7.67, 8.92, 9.92, 11.01),
    ("laion_heads/sa_0_4_vit_l_14_linear.pth", "l_14"): (-2.46, *[None] * 8, 11.30),
    (MLP, "l_14"): (1.655, *[None] * 8, 5.747),
}


@pytest.fixture(scope="module")
def models(media: Path) -> Path:
    root = media.parent / "models"
    if not root.is_dir():
        pytest.skip(f"no real heads at {root}; set BESTSHOT_MEDIA to run this test")
    return root


def rated(models: Path, tower: str) -> Any:
    folder = models / f"laion_heads/vit_{tower}_embeddings"
    return np.concatenate([np.atleast_2d(np.load(folder / f"rating{i}.npy")) for i in range(10)])


@pytest.mark.real
@pytest.mark.parametrize(("file", "tower"), PUBLISHED, ids=lambda value: Path(value).stem)
def test_a_real_head_scores_rated_images_as_published(models: Path, file: str, tower: str) -> None:
    scores = read_head(models / file).score(rated(models, tower))
    assert scores.dtype == np.float32
    assert (np.diff(scores) > 0).all()
    for score, published in zip(scores, PUBLISHED[file, tower], strict=True):
        assert published is None or abs(score - published) < 0.01


@pytest.mark.real
def test_the_fourth_head_reads_too(models: Path) -> None:
    assert read_head(models / "laion_heads/sa_0_4_vit_b_16_linear.pth").weight.shape == (512,)


@pytest.mark.real
def test_the_folded_mlp_agrees_with_the_mlp_run_layer_by_layer(models: Path) -> None:
    tensors = read_tensors(models / MLP)
    unit = unit_rows(64, 768)
    values = unit
    for number in MLP_LAYERS:
        values = values @ tensors[f"layers.{number}.weight"].T + tensors[f"layers.{number}.bias"]
    head = read_head(models / MLP)
    np.testing.assert_allclose(head.score(unit), values[:, 0], atol=1e-4)
    assert head.bias == pytest.approx(5.2366, abs=1e-4)


@pytest.mark.real
def test_the_folded_mlp_agrees_with_the_mlp_run_by_torch(models: Path) -> None:
    torch = pytest.importorskip("torch", reason="runs the MLP in torch, which is not installed")
    state = torch.load(models / MLP, weights_only=True, map_location="cpu")
    sizes = [768, 1024, 128, 64, 16, 1]
    mlp = torch.nn.ModuleDict({"layers": torch.nn.Sequential(*[torch.nn.Identity() for _ in range(8)])})
    for number, into, out in zip(MLP_LAYERS, sizes, sizes[1:], strict=False):
        mlp["layers"][number] = torch.nn.Linear(into, out)
    mlp.load_state_dict(state)
    unit = unit_rows(64, 768)
    with torch.no_grad():
        scores = mlp["layers"](torch.from_numpy(unit))[:, 0].numpy()
    np.testing.assert_allclose(read_head(models / MLP).score(unit), scores, atol=1e-4)


@pytest.mark.real
def test_what_numpy_reads_without_torch_is_what_torch_reads(models: Path) -> None:
    torch = pytest.importorskip("torch", reason="reads the heads with torch, which is not installed")
    for file in sorted(models.glob("laion_*/*.pth")):
        state = torch.load(file, weights_only=True, map_location="cpu")
        tensors = read_tensors(file)
        assert tensors.keys() == state.keys()
        assert all(np.array_equal(tensors[name], state[name].numpy()) for name in state)


@pytest.mark.real
def test_random_pictures_score_about_five(models: Path) -> None:
    scores = read_head(models / MLP).score(unit_rows(2000, 768))
    assert scores.mean() == pytest.approx(5.244, abs=0.05)
    assert scores.std() == pytest.approx(0.644, abs=0.05)


def unit_rows(count: int, width: int) -> Any:
    rows = np.random.default_rng(0).normal(size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made_up_mlp(widths: list[int], seed: int = 0) -> list[tuple[Any, Any]]:
    random = np.random.default_rng(seed)
    pairs = zip([*widths[1:], 1], widths, strict=True)
    return [
        (random.normal(size=(out, into)).astype(np.float32) / into**0.5, random.normal(size=out).astype(np.float32))
        for out, into in pairs
    ]


def named(layers: list[tuple[Any, Any]]) -> dict[str, Any]:
    numbered = zip(MLP_LAYERS, layers, strict=True)
    return {
        f"layers.{n}.{part}": value
        for n, pair in numbered
        for part, value in zip(("weight", "bias"), pair, strict=True)
    }


@given(widths=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_folding_equals_running_the_layers(widths: list[int], seed: int) -> None:
    layers = made_up_mlp(widths, seed)
    rows = unit_rows(5, widths[0])
    values = rows.astype(np.float64)
    for weight, bias in layers:
        values = values @ weight.T.astype(np.float64) + bias
    np.testing.assert_allclose(fold(layers).score(rows), values[:, 0], atol=1e-4)


@pytest.mark.parametrize("factor", [0.0, 0.99, 1.01, 10.0, np.nan, np.inf])
def test_embeddings_that_are_not_normalised_are_refused(factor: float) -> None:
    head = Head(np.ones(8, np.float32), 5.0)
    rows = unit_rows(3, 8)
    rows[1] *= factor
    with pytest.raises(ValueError, match="normalise"):
        head.score(rows)


def test_half_precision_embeddings_pass_for_normalised() -> None:
    assert Head(np.zeros(512, np.float32), 5.0).score(unit_rows(20, 512).astype(np.float16)).tolist() == [5.0] * 20


def test_embeddings_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match=r"takes \(n, 8\)"):
        Head(np.ones(8, np.float32), 5.0).score(unit_rows(3, 9))


def test_no_embeddings_have_no_scores() -> None:
    assert Head(np.ones(8, np.float32), 5.0).score(np.zeros((0, 8), np.float32)).shape == (0,)


def test_both_kinds_of_head_are_read(zoo: ModuleType, tmp_path: Path) -> None:
    rows = unit_rows(4, 24)
    mlp = made_up_mlp([24, 16, 8, 8, 4])
    path = zoo.write_state_dict(tmp_path / "mlp.pth", named(mlp))
    np.testing.assert_array_equal(read_head(path).score(rows), fold(mlp).score(rows))
    linear = read_head(zoo.write_linear_head(tmp_path / "linear.pth", 24))
    np.testing.assert_array_equal(linear.weight, zoo.tiny_head(24).weight)
    assert linear.bias == 5.0


def test_what_torch_saves_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="saves a head with torch, which is not installed")
    linear = torch.nn.Linear(24, 1)
    torch.save(linear.state_dict(), tmp_path / "head.pth")
    # A view into a larger, transposed storage, in half precision.
    torch.save({"weight": torch.randn(30, 2).half().T[1:, 3:27], "bias": linear.bias.data}, tmp_path / "view.pth")
    np.testing.assert_array_equal(read_head(tmp_path / "head.pth").weight, linear.weight.detach().numpy()[0])
    expected = torch.load(tmp_path / "view.pth", weights_only=True)["weight"].float().numpy()[0]
    np.testing.assert_array_equal(read_head(tmp_path / "view.pth").weight, expected)


def test_a_head_is_kept_and_found_again(tmp_path: Path) -> None:
    head = Head(unit_rows(1, 16)[0], 5.25)
    save_head(head, tmp_path / "head.npz")
    again = load_head(tmp_path / "head.npz")
    np.testing.assert_array_equal(again.weight, head.weight)
    assert again.bias == 5.25


def refused(path: Path, reader: Any = read_head) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        reader(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


MARK = "RAN"
TOUCH = f"touch {MARK}"


class _Runs:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def _archive(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", np.ones(4, "<f4").tobytes())
    return path


HOSTILE = {
    "system": pickle.dumps(_Runs(os.system, TOUCH), 2),
    "system-protocol-4": pickle.dumps(_Runs(os.system, TOUCH), 4),
    "eval": pickle.dumps(_Runs(eval, f"open({MARK!r}, 'w')"), 2),
    "in-a-dict": pickle.dumps({"weight": _Runs(os.system, TOUCH), "bias": 0}, 2),
    "getattr": pickle.dumps(_Runs(getattr, _Runs(__import__, "os"), "system"), 2),
    "inst": f"(S'{TOUCH}'\nios\nsystem\n.".encode(),
    "dotted": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
    "globals": b"\x80\x02ccollections\nOrderedDict.__class__\n.",
    "torch-load": b"\x80\x02ctorch\nload\n(X\x01\x00\x00\x00xtR.",
    "extension": b"\x80\x02\x82\x01.",
    "memo": b"\x80\x02}r\xff\xff\xff\x7f.",
    "not-a-dict": b"\x80\x02K\x01.",
    "not-tensors": pickle.dumps({"weight": 1, "bias": 2}, 2),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_wants_more_than_tensors_is_refused_and_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(_archive(tmp_path / "head.pth", HOSTILE[name]))
    assert not (tmp_path / MARK).exists()
    assert "was not read" in message
    if name == "system":
        assert "posix.system" in message or "nt.system" in message


def _tensor(offset: int = 0, size: tuple[int, ...] = (1, 4), stride: tuple[int, ...] = (4, 1), count: int = 4) -> bytes:
    """A state dict of one tensor whose numbers need not make sense; made with stand-ins for torch's own."""
    text = io.BytesIO()
    text.write(b"\x80\x02}(X\x06\x00\x00\x00weightctorch._utils\n_rebuild_tensor_v2\n(")
    text.write(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu")
    text.write(_long(count) + b"tQ" + _long(offset))
    for values in (size, stride):
        text.write(b"(" + b"".join(map(_long, values)) + b"t")
    text.write(b"\x89NtRu.")
    return text.getvalue()


def _long(value: int) -> bytes:
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


@pytest.mark.parametrize(
    "pickled",
    [
        _tensor(size=(1, 5), stride=(5, 1)),
        _tensor(offset=2),
        _tensor(offset=-1),
        _tensor(size=(1, 2), stride=(1, -1), offset=1),
        _tensor(size=(2**40, 2**20), stride=(0, 0)),
        _tensor(size=(1, -4)),
        _tensor(size=(1, 4), stride=(4,)),
        _tensor(size=(1, 2), stride=(1, 2**62)),
        _tensor(count=2**40),
    ],
    ids=["long", "offset", "before", "backwards", "huge", "negative", "rank", "far", "count"],
)
def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(pickled: bytes, tmp_path: Path) -> None:
    assert "damaged" in refused(_archive(tmp_path / "head.pth", pickled))


def test_the_tensor_of_that_test_is_fine_when_its_numbers_make_sense(tmp_path: Path) -> None:
    assert "it holds weight" in refused(_archive(tmp_path / "head.pth", _tensor()))


def test_a_compressed_archive_cannot_unpack_to_more_than_it_is(tmp_path: Path) -> None:
    path = _archive(tmp_path / "head.pth", b"\x80\x02" + b"(" * 100_000 + b".", zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", os.urandom(4000)],
    ids=["empty", "start-of-zip", "empty-zip", "legacy", "noise"],
)
def test_what_is_no_archive_of_torch_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "head.pth").write_bytes(content)
    refused(tmp_path / "head.pth")
    refused(tmp_path / "head.pth", load_head)


def test_the_old_format_of_torch_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="saves a head with torch, which is not installed")
    path = tmp_path / "head.pth"
    torch.save(torch.nn.Linear(24, 1).state_dict(), path, _use_new_zipfile_serialization=False)
    assert "torch 1.6 or later" in refused(path)


@pytest.mark.parametrize("reader", [read_head, load_head])
def test_a_missing_head_or_a_folder_is_refused(reader: Any, tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.pth", reader)
    assert "folder" in refused(tmp_path, reader)


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_head_gives_a_head_or_one_line(
    zoo: ModuleType, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged", numbered=True)
    path = zoo.write_linear_head(folder / "head.pth", 4)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert isinstance(read_head(path), Head)
    except ModelUnavailable as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"weight": np.ones((1, 4))},
        {"weight": np.ones((2, 4)), "bias": np.ones(2)},
        {"weight": np.ones((1, 4)), "bias": np.ones(2)},
        {"weight": np.ones(4), "bias": np.ones(1)},
        {"weight": np.ones((1, 4)), "bias": np.ones(1), "scale": np.ones(1)},
        {"weight": np.full((1, 4), np.nan), "bias": np.ones(1)},
        {"layers.0.weight": np.ones((1, 4)), "layers.0.bias": np.ones(1)},
        {"layers.0.weight": np.ones((8, 4)), "layers.0.bias": np.ones(8), "layers.3.weight": np.ones((1, 8))},
    ],
    ids=["empty", "no-bias", "two-scores", "two-biases", "vector", "more", "nan", "one-layer", "other-layers"],
)
def test_what_is_no_known_head_is_refused(zoo: ModuleType, tensors: dict[str, Any], tmp_path: Path) -> None:
    assert "aesthetic head" in refused(zoo.write_state_dict(tmp_path / "head.pth", tensors))


def test_layers_that_do_not_fit_are_refused(zoo: ModuleType, tmp_path: Path) -> None:
    layers = made_up_mlp([24, 16, 8, 8, 4])
    layers[1] = (layers[1][0][:, :-1], layers[1][1])
    assert "does not fit" in refused(zoo.write_state_dict(tmp_path / "head.pth", named(layers)))


def test_a_kept_head_with_a_pickle_in_it_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "head.npz", weight=np.array([_Runs(os.system, TOUCH)], object), bias=0.0)
    refused(tmp_path / "head.npz", load_head)
    assert not (tmp_path / MARK).exists()
