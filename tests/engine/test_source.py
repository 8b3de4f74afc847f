from __future__ import annotations

import os

import pytest

from bestshot_trt.errors import InputError
from bestshot_trt.source import fingerprint

MIB = 1 << 20


def write(path, size, changes=()):
    data = bytearray(b"\x07" * size)
    for offset in changes:
        data[offset] ^= 0xFF
    path.write_bytes(data)
    return fingerprint(path)


def test_a_copy_has_the_same_fingerprint_and_a_name_does_not_count(tmp_path):
    assert write(tmp_path / "a", 5 * MIB) == write(tmp_path / "b", 5 * MIB)


@pytest.mark.parametrize("size", [1, 300_000, 4 * MIB, 4 * MIB + 1, 9 * MIB])
def test_the_first_and_last_byte_and_the_size_count(tmp_path, size):
    prints = [write(tmp_path / "a", size), write(tmp_path / "a", size + 1), write(tmp_path / "a", size, [0])]
    prints.append(write(tmp_path / "a", size + 1, [size]))
    assert len(set(prints)) == 4


@pytest.mark.parametrize("offset", [0, 1, 262_143, 262_144, 2 * MIB, 4 * MIB - 1])
def test_up_to_4_mib_every_byte_counts(tmp_path, offset):
    assert write(tmp_path / "a", 4 * MIB) != write(tmp_path / "a", 4 * MIB, [offset])


def test_an_empty_file_has_one_too(tmp_path):
    assert write(tmp_path / "a", 0).startswith("sha256-blocks:")


def test_only_a_bounded_share_of_a_large_file_is_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 40 << 30)
    assert fingerprint(path) == fingerprint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4: cannot be read: No such file"):
        fingerprint(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match="cannot be read"):
        fingerprint(tmp_path)
