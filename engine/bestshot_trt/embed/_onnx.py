"""CLIP through ONNX Runtime: on the CPU, or on a GPU where onnxruntime-gpu is installed."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cores import usable_cores
from ..errors import BackendUnavailable, ModelUnavailable, shown
from ..frames import FrameBatch, Later, ModelView, finished
from ..provenance import ClipModel
from ._base import Embedded, clip_model, joined
from ._batching import AT_ONCE, are_few, batch_of
from .model_folder import ModelFolder
from .text import Tokenizer

GPU_BATCH = 64
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"


def has_cuda() -> bool:
    """Whether ONNX Runtime can run graphs on a GPU."""
    import onnxruntime as ort

    return _CUDA in ort.get_available_providers()


def open_session(
    graph: Path, precision: str = "fp32", *, cuda: bool = True, pack: bool = True, callers: int = 1
) -> Any:
    """An ONNX Runtime session of ``graph``, with every option that bears on results or speed set here.

    ``pack`` rearranges the weights first, for faster products; sessions that run a few times do better without.
    ``callers`` threads are to run it at the same time; with its own threads they are as many as there are cores.

    Raises:
        ModelUnavailable: ONNX Runtime cannot load the graph.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    # One of them is the caller's.
    options.intra_op_num_threads = max(1, (usable_cores() or 1) - callers + 1)
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # ONNX Runtime 1.32 crashes on fp16 graphs when it may fuse all it knows.
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if precision == "fp16" else levels.ORT_ENABLE_ALL
    # Threads that spin while they wait take the cores that decode the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.disable_prepacking", "0" if pack else "1")
    options.log_severity_level = 3
    # TF32 would round products in fp32 to 10 bits first.
    providers = [(_CUDA, {"use_tf32": "0"}), _CPU] if cuda and has_cuda() else [_CPU]
    try:
        return ort.InferenceSession(os.fspath(graph), options, providers=providers)
    except Exception as error:  # ONNX Runtime raises its own kinds, one for each of its status codes
        reason = str(error).splitlines()[0]
        raise ModelUnavailable(
            f"{shown(graph)}: ONNX Runtime cannot load it: {reason}; pull or export the model again"
        ) from error


def run_session(session: Any, name: str, values: Any) -> list[npt.NDArray[Any]]:
    """All outputs of ``session`` for its one input ``name``, on the host.

    ``values`` is a NumPy array, or an array on the session's GPU (``__cuda_array_interface__``), which is
    bound where it lies and not copied.
    """
    binding = session.io_binding()
    on_device = getattr(values, "__cuda_array_interface__", None)
    if on_device is None:
        binding.bind_cpu_input(name, np.ascontiguousarray(values))
    else:
        kind = np.dtype(on_device["typestr"]).type
        binding.bind_input(name, "cuda", 0, kind, tuple(on_device["shape"]), on_device["data"][0])
    for output in session.get_outputs():
        binding.bind_output(output.name)
    session.run_with_iobinding(binding)
    outputs: list[npt.NDArray[Any]] = binding.copy_outputs_to_cpu()
    return outputs


class OnnxEmbedder:
    """A CLIP image tower with its aesthetic head, from a model folder."""

    def __init__(
        self, folder: ModelFolder, *, precision: str = "fp32", framing: str = "crop", device: str = "any"
    ) -> None:
        """``device`` is ``cpu``, ``cuda``, or ``any``: a GPU where there is one.

        On a CPU the graph is left to `load`, as that takes half a second in which decoding may begin.

        Raises:
            ModelUnavailable: ONNX Runtime cannot load the graph on a GPU.
            BackendUnavailable: it cannot run it on a GPU, and ``device`` says so.
        """
        self._card = card = folder.card
        self.model = f"{card.name}/{card.pretrained}"
        self.view: ModelView | None = ModelView(size=card.size, framing=framing)
        self.clip_model: ClipModel | None = clip_model(folder, precision, framing)
        self._graph, self._precision = folder.graph("visual", precision), precision
        self._few = False
        self._cuda = device != "cpu" and has_cuda()
        self._on_gpu = self._cuda and _CUDA in self._session.get_providers()
        if device == "cuda" and not self._on_gpu:
            # Its libraries are loaded only now, and what is missing of them it tells nobody.
            raise BackendUnavailable(
                "ONNX Runtime's CUDA provider does not start: it wants onnxruntime-gpu[cuda,cudnn], in the build that "
                "bestshot-trt doctor names, and a driver that nvidia-smi likes; or use --backend cpu"
            )
        self.batch_size = GPU_BATCH if self._on_gpu else batch_of(card)

    def load(self, pictures: float | None = None) -> None:
        """Load the graph now, if it is not yet, for a take of about so many ``pictures``; None: nobody knows.

        Raises:
            ModelUnavailable: ONNX Runtime cannot.
        """
        if not self._on_gpu:
            self._few, self.batch_size = are_few(self._card, pictures), batch_of(self._card, pictures)
        _ = self._session

    @functools.cached_property
    def _session(self) -> Any:
        # In int8 that takes little time.
        pack = not self._few or self._precision != "fp32"
        return open_session(self._graph, self._precision, cuda=self._cuda, pack=pack, callers=AT_ONCE)

    @functools.cached_property
    def _callers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(AT_ONCE, usable_cores() or 1), "embed")

    def prepare(self, batch: FrameBatch) -> npt.NDArray[np.uint8]:
        """The model's own pictures, uint8 RGB (n, size, size, 3).

        Raises:
            ValueError: the batch has no views.
        """
        if batch.views is None:
            raise ValueError("the batch has no views; ask the decoder for this embedder's view")
        return batch.views.copy()

    def embed(self, prepared: npt.NDArray[np.uint8]) -> Later[Embedded]:
        """uint8 RGB (n, size, size, 3), n at least 1, to unit embeddings (n, d) and aesthetic (n,)."""
        session = self._session
        if not self._on_gpu:
            parts = [self._callers.submit(_embedded, session, part) for part in self._shares(prepared)]
            return lambda: joined([part.result() for part in parts])
        if hasattr(prepared, "__cuda_array_interface__"):
            _wait_for_stream()
        return finished(_embedded(session, prepared))

    def _shares(self, prepared: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        """A batch that is not full is a take's last, and shared out, since no other keeps the cores busy beside it."""
        if len(prepared) >= self.batch_size:
            return [prepared]
        return [part for part in np.array_split(prepared, AT_ONCE) if len(part)]


def _embedded(session: Any, prepared: Any) -> Embedded:
    embedding, aesthetic = run_session(session, "frames", prepared)
    return Embedded(embedding.astype(np.float32, copy=False), aesthetic.astype(np.float32, copy=False).reshape(-1))


def _wait_for_stream() -> None:
    """ONNX Runtime queues on a stream of its own, so what makes the pictures must be done."""
    import cupy

    cupy.cuda.get_current_stream().synchronize()


class TextEncoder:
    """A CLIP text tower with its tokeniser, from a model folder."""

    def __init__(self, folder: ModelFolder) -> None:
        self._tokenizer = Tokenizer.open(folder.file("tokenizer.json"))
        # Texts are few: what a GPU would save is less than what it takes to set one up.
        self._session = open_session(folder.graph("text"), cuda=False, pack=False)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors float32 (len(texts), d)."""
        (embedding,) = run_session(self._session, "tokens", self._tokenizer(texts))
        return embedding.astype(np.float32, copy=False)
