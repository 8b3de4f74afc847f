"""The files of a model folder, made of what the hub and the head's authors offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..provenance import PROGRAM
from . import _hub
from ._download import Remote
from ._hub import DownloadFailed
from ._save import save_graph
from .model_folder import HEAD, TOKENIZER, HeadCard, ModelCard, file_card, graph_name
from .models import ModelSpec


def make_visual(spec: ModelSpec, tower: Path, head_file: Path, folder: Path) -> None:
    """Write the image graph and the head into ``folder``.

    Raises:
        ModelUnavailable: the tower or the head is not what ``spec`` says.
        DownloadFailed: the tower is no ONNX graph.
        ExportError: the disk does not take them.
    """
    from . import compose, heads

    head = heads.read_head(head_file)
    heads.save_head(head, folder / HEAD)
    graph = compose.visual_graph(
        _loaded(tower, spec), mean=spec.mean, std=spec.std, head=head, size=spec.size, width=spec.width
    )
    save_graph(graph, folder / graph_name("visual", "fp32"))


def make_text(spec: ModelSpec, tower: Path, tokenizer: Path, folder: Path) -> None:
    """Write the text graph and the tokeniser into ``folder``; raises as `make_visual` does."""
    from . import compose
    from .text import convert_hub_tokenizer

    convert_hub_tokenizer(tokenizer, folder / TOKENIZER)
    save_graph(compose.text_graph(_loaded(tower, spec), width=spec.width), folder / graph_name("text", "fp32"))


def _loaded(tower: Path, spec: ModelSpec) -> Any:
    import onnx

    try:
        return onnx.load(tower, load_external_data=False)
    except Exception as error:  # protobuf raises kinds of its own
        raise DownloadFailed(f"a tower of {spec.source.repository} is not an ONNX graph") from error


def make_card(spec: ModelSpec, remotes: list[Remote], folder: Path) -> ModelCard:
    """The card of the files in ``folder``, made of ``remotes``: first the head, then the image tower, then others."""
    return ModelCard(
        name=spec.name,
        architecture=spec.architecture,
        pretrained=spec.pretrained,
        width=spec.width,
        size=spec.size,
        mean=spec.mean,
        std=spec.std,
        head=HeadCard(name=spec.head.name, sha256=remotes[0].key, licence=spec.head.licence),
        licence=spec.licence,
        digest=remotes[1].key,
        made_from={
            "hub": spec.source.repository,
            "revision": remotes[1].commit,
            "files": {remote.name: remote.key for remote in remotes},
        },
        made_with=_versions(),
        created_by=PROGRAM,
        files={path.name: file_card(path) for path in sorted(folder.iterdir())},
        parity={},
    )


def _versions() -> dict[str, str]:
    import onnx

    return {"huggingface_hub": str(_hub.hub().__version__), "onnx": onnx.__version__}
