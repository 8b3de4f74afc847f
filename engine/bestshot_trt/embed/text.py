"""CLIP's byte-pair tokeniser without torch: the ids that ``open_clip.get_tokenizer`` gives.

Cleaning, splitting and merging are those of OpenAI's ``simple_tokenizer.py``, as open_clip 3 carries it. Words are
split by the `regex` module, as there, and not inside `tokenizers`: that library's Unicode tables are years older,
and some 17,000 letters and digits (CJK extensions, new scripts) would pass for punctuation.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, ModelUnavailable, shown
from ..files import check_regular, write_text
from .models import CONTEXT_LENGTH

if TYPE_CHECKING:
    import tokenizers

START = "<start_of_text>"
END = "<end_of_text>"

Merges = Sequence[tuple[str, str]]

_WORD_END = "</w>"
_MERGES = 49152 - 256 - 2
_CLIP_MERGES = "f61f2adf497e6f5357c347aeb4646fabe82f341e946de5bdec5d2858e41bef4a"
"""`_digest` of CLIP's merges."""
_WORDS = rf"{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"


class Tokenizer:
    """Texts -> token ids, as ``open_clip.get_tokenizer("ViT-B-32")``. Safe to use from several threads."""

    def __init__(self, model: tokenizers.Tokenizer, start: int, end: int) -> None:
        import regex

        self.start = start
        """Id before every text."""
        self.end = end
        """Id after every text; the text tower reads the embedding there."""
        self._model = model
        self._bytes = _byte_characters()
        self._words = regex.compile(_WORDS, regex.IGNORECASE)

    @classmethod
    def open(cls, path: Path) -> Tokenizer:
        """The tokeniser that `write_tokenizer` or `convert_hub_tokenizer` wrote to ``path``.

        Raises:
            ModelUnavailable: missing, or not such a file.
        """
        import tokenizers

        text = _read(path).decode("utf-8", errors="replace")
        try:
            model = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # The library raises nothing narrower.
            raise _refused(path, f"is not a tokeniser: {error}") from error
        start, end = model.token_to_id(START), model.token_to_id(END)
        if start is None or end is None or model.pre_tokenizer is not None:
            raise _refused(path, "is not a tokeniser of this program")
        return cls(model, start, end)

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Token ids of ``texts``: int64 (n, 77), start, words, end, then zeros.

        A text that is too long is cut, with the end token kept last. ``<start_of_text>`` and ``<end_of_text>``
        written out in a text stand for those tokens, as they do in open_clip.

        Raises:
            TypeError: ``texts`` is a single string.
        """
        if isinstance(texts, str):
            raise TypeError(f"texts is one string; pass a list: [{texts[:40]!r}]")
        rows = np.zeros((len(texts), CONTEXT_LENGTH), np.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = [self.start, *self._ids(text)[: CONTEXT_LENGTH - 2], self.end]
            row[: len(ids)] = ids
        return rows

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = []
        for word in self._words.findall(clean(text)):
            if word in (START, END):
                ids.append(self.start if word == START else self.end)
                continue
            letters = "".join(self._bytes[byte] for byte in word.encode())
            ids += self._model.encode([letters], is_pretokenized=True, add_special_tokens=False).ids
        return ids


def clean(text: str) -> str:
    """``text`` as CLIP reads it: mojibake repaired, entities resolved twice, single spaces, lower case.

    Halves of surrogate pairs, which no encoding can hold, are joined, or become U+FFFD.
    """
    import ftfy

    fixed = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(fixed.split()).lower()


def write_tokenizer(merges: Merges | Path, path: Path) -> None:
    """Write the tokeniser of ``merges`` to ``path``, whole or not at all, for `Tokenizer.open`.

    Args:
        merges: pairs by rank, in the characters of GPT-2's byte encoding, with ``</w>`` at the end of a word; or
            the path of CLIP's ``bpe_simple_vocab_16e6.txt.gz``, which open_clip carries.
        path: the file to write, ``tokenizer.json`` of a model folder.

    Raises:
        ModelUnavailable: the file at ``merges`` is missing or not CLIP's.
        ExportError: ``path`` cannot be written.
        ValueError: a pair joins what no earlier one made.
    """
    pairs = _packed_merges(merges) if isinstance(merges, Path) else list(merges)
    write_text(path, _document(pairs))


def convert_hub_tokenizer(source: Path, target: Path) -> None:
    """Write the tokeniser of a Hugging Face CLIP repository's ``tokenizer.json`` to ``target``.

    Only the merges are taken over: the ids follow from them, the rest is not quite what open_clip does.

    Raises:
        ModelUnavailable: ``source`` is missing or not CLIP's.
        ExportError: ``target`` cannot be written.
    """
    try:
        merges = json.loads(_read(source))["model"]["merges"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _refused(source, "is not CLIP's tokeniser") from error
    write_text(target, _document(_checked(merges, source)))


def _document(merges: Merges) -> str:
    import tokenizers

    known = _vocabulary(())
    for first, second in merges:
        if first not in known or second not in known:
            raise ValueError(f"merge {first!r} {second!r} joins what no earlier one made; give the merges by rank")
        known[first + second] = 0
    model = tokenizers.models.BPE(_vocabulary(merges), list(merges), end_of_word_suffix=_WORD_END)
    return str(tokenizers.Tokenizer(model).to_str())


def _vocabulary(merges: Merges) -> dict[str, int]:
    """Token -> id: bytes, printable ones first; the same at the end of a word; merges by rank; start; end."""
    letters = sorted(_byte_characters())
    tokens = [*letters, *(letter + _WORD_END for letter in letters), *("".join(pair) for pair in merges), START, END]
    return {token: number for number, token in enumerate(tokens)}


def _byte_characters() -> list[str]:
    """A printable character for every byte: itself where it is one, else the next from U+0100 on, as in GPT-2."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _packed_merges(path: Path) -> list[tuple[str, str]]:
    import gzip
    import zlib

    try:
        lines = gzip.decompress(_read(path)).decode().split("\n")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _refused(path, f"is not CLIP's vocabulary: {error}") from error
    # The first line is a header; the file goes on with merges that CLIP does not use.
    return _checked(lines[1 : _MERGES + 1], path)


def _checked(merges: Any, path: Path) -> list[tuple[str, str]]:
    """Merges given as ``"a b"`` or ``["a", "b"]``, proven to be CLIP's."""
    try:
        pairs = [(first, second) for first, second in (m.split(" ") if isinstance(m, str) else m for m in merges)]
        digest = _digest(pairs)
    except (TypeError, ValueError):
        digest = ""
    if digest != _CLIP_MERGES:
        raise _refused(path, "holds other merges than CLIP's")
    return pairs


def _digest(merges: Merges) -> str:
    """sha256 of the merges, one ``first second`` a line."""
    return hashlib.sha256("\n".join(" ".join(pair) for pair in merges).encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        check_regular(path)
        return path.read_bytes()
    except InputError as error:
        raise ModelUnavailable(str(error)) from error
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror or error}") from error


def _refused(path: Path, reason: str) -> ModelUnavailable:
    return ModelUnavailable(f"{shown(path)}: {shown(reason)}; pull or export the model again")
