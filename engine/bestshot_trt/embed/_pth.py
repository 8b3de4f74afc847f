"""The tensors of a ``.pth`` file that torch saved, without torch and without letting its pickle run anything."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, ModelUnavailable, shown
from ..files import check_regular

_LARGEST = 256 << 20
"""Bytes. The largest head known has 3.7 MB."""

_DTYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8"}

# What torch.save needs for a dict of tensors. Left out are all that call by other ways than REDUCE, extension
# codes, and memo slots beyond a byte or two, for which the unpickler would allocate memory up to the slot.
_OPCODES = re.compile(
    "PROTO|STOP|GLOBAL|REDUCE|BUILD|BINPERSID|MARK|EMPTY_(DICT|TUPLE|LIST)|TUPLE[123]?|SETITEMS?|APPENDS?|NONE"
    "|NEWTRUE|NEWFALSE|BININT[12]?|LONG1|BINFLOAT|BINUNICODE|(LONG_)?BIN(PUT|GET)"
)
_MEMO = 1 << 16


class _Refused(Exception):
    """The pickle wants more than tensors; the text says what."""


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every tensor of the state dict in ``path``, by name.

    Raises:
        ModelUnavailable: no such file, not a zip archive of torch's, damaged, or its pickle asks for anything
            but tensors of floats.
    """
    try:
        check_regular(path)
        if path.stat().st_size > _LARGEST:
            raise _Refused(f"is larger than {_LARGEST >> 20} MB")
        with zipfile.ZipFile(path) as archive:
            return _state_dict(archive)
    except InputError as error:
        raise ModelUnavailable(str(error)) from error
    except _Refused as error:
        raise ModelUnavailable(f"{shown(path)}: {error}, so it was not read; take the head from its source") from error
    # A damaged archive makes zipfile and pickle raise nearly anything.
    except Exception as error:
        raise ModelUnavailable(
            f"{shown(path)}: is not a state dict that torch 1.6 or later saved, or is damaged; download it again"
        ) from error


def _state_dict(archive: zipfile.ZipFile) -> dict[str, npt.NDArray[Any]]:
    (name,) = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")]
    root = name.removesuffix("data.pkl")
    if root + "byteorder" in archive.namelist() and _member(archive, root + "byteorder") != b"little":
        raise _Refused("holds big-endian numbers")
    pickled = _member(archive, name)
    _check_opcodes(pickled)
    state = _Unpickler(pickled, archive, root).load()
    if not isinstance(state, dict):
        raise _Refused(f"holds a {type(state).__name__} instead of a state dict")
    for key, value in dict.items(state):
        if type(key) is not str or type(value) is not np.ndarray:
            raise _Refused("holds more than tensors")
    return dict(dict.items(state))


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    # torch never compresses; what is stored cannot unpack to more than the file's size.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > _LARGEST:
        raise _Refused("is compressed, which torch never does")
    return archive.read(info)


def _check_opcodes(pickled: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(pickled):
        if not _OPCODES.fullmatch(opcode.name):
            raise _Refused(f"its pickle uses {opcode.name}, which no state dict needs")
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > _MEMO:
            raise _Refused("its pickle asks for too much memory")


class _Unpickler(pickle.Unpickler):
    """Admits ordered dicts and float tensors, and nothing else."""

    def __init__(self, pickled: bytes, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(pickled))
        self._archive = archive
        self._root = root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise _Refused(f"its pickle asks for {shown(module)}.{shown(name)}, which no state dict of floats needs")

    def persistent_load(self, pid: Any) -> npt.NDArray[Any]:
        kind, dtype, key, _, count = pid
        if kind != "storage" or dtype not in _DTYPES.values() or type(key) is not str:
            raise _Refused("refers to something that is no storage")
        stored = np.frombuffer(_member(self._archive, f"{self._root}data/{key}"), dtype)
        if len(stored) != count:
            raise ValueError(f"a storage holds {len(stored)} numbers instead of {count}")
        return stored


class _Rebuild:
    """Stands for ``torch._utils._rebuild_tensor_v2``; without attributes, so that the pickle can change nothing."""

    __slots__ = ()

    def __call__(self, stored: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
        if type(stored) is not np.ndarray or len(size) != len(stride) or min((offset, *size, *stride)) < 0:
            raise ValueError("a tensor of impossible shape")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 in size or math.prod(size) > len(stored) or last >= len(stored):
            raise ValueError("a tensor that is larger than its storage")
        steps = [step * stored.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(stored[offset:], size, steps).copy()
