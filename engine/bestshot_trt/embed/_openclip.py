"""The towers of an OpenCLIP model as ONNX, in the form that the hub has them in; needs the ``export`` extra."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..errors import ModelUnavailable, shown
from ._quiet import quiet
from .models import CONTEXT_LENGTH, ModelSpec

OPSET = 18
"""What torch's exporter writes without converting; ONNX Runtime since 1.14 and TensorRT since 8.6 read it."""

_MERGES = "bpe_simple_vocab_16e6.txt.gz"
_PIP = 'pip install "bestshot-trt[export]"'


class OpenClip:
    """One model of OpenCLIP's, with its weights.

    Raises:
        ModelUnavailable: torch or open_clip is missing, or the weights cannot be had.
    """

    def __init__(self, spec: ModelSpec, tag: str | None) -> None:
        self._torch = _imported("torch")
        self._open_clip = _imported("open_clip")
        _imported("onnxscript")
        self._size = spec.size
        with quiet():
            self._model = self._load(spec.architecture, tag)

    @property
    def merges(self) -> Path:
        """CLIP's vocabulary, which comes with open_clip."""
        return Path(self._open_clip.__file__).with_name(_MERGES)

    @property
    def versions(self) -> dict[str, str]:
        """Of the libraries that make the graphs."""
        names = ("onnx", "onnxscript", "open_clip", "torch")
        return {name: str(importlib.import_module(name).__version__) for name in names}

    def visual(self) -> Any:
        """``pixel_values`` float32 (n, 3, size, size) to ``image_embeds`` (n, width), an `onnx.ModelProto`."""
        pixels = self._torch.zeros(2, 3, self._size, self._size)
        return self._export("encode_image", pixels, "pixel_values", "image_embeds")

    def text(self) -> Any:
        """``input_ids`` int64 (n, 77) to ``text_embeds`` (n, width), an `onnx.ModelProto`."""
        tokens = self._torch.ones(2, CONTEXT_LENGTH, dtype=self._torch.int64)
        return self._export("encode_text", tokens, "input_ids", "text_embeds")

    def _load(self, architecture: str, tag: str | None) -> Any:
        torch = self._torch
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return self._open_clip.create_model(architecture, pretrained=tag, device="cpu").eval()
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelUnavailable(
                f"{architecture}: OpenCLIP cannot load the weights {shown(tag)}: {shown(reason)}; check the network, "
                "or give a checkpoint file"
            ) from error

    def _export(self, method: str, example: Any, input_name: str, output_name: str) -> Any:
        torch = self._torch

        class Tower(torch.nn.Module):  # type: ignore[name-defined, misc]
            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model = model

            def forward(self, values: Any) -> Any:
                return getattr(self.model, method)(values)

        with torch.no_grad(), quiet():
            program = torch.onnx.export(
                Tower(self._model).eval(),
                (example,),
                input_names=[input_name],
                output_names=[output_name],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        return _without_origins(program.model_proto)


def _without_origins(model: Any) -> Any:
    """``model`` without the lines of code that each of its parts came from.

    They name files of the machine that exported it, and would give the same weights another digest on each.
    """
    graph = model.graph
    parts = (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output)
    for part in parts:
        del part.metadata_props[:]
    return model


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # torchvision, made for another torch, raises the latter
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelUnavailable(f"exporting needs {name}, which cannot be imported ({shown(reason)}); {_PIP}") from error
