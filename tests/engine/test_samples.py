"""Measuring and embedding with results that come late: all of them, in order, and no more at once than allowed."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
from types import SimpleNamespace

import numpy as np
import pytest

from bestshot_kernels.frame_stats import frame_stats
from bestshot_trt.backends import Backend
from bestshot_trt.embed import Embedded
from bestshot_trt.errors import BackendUnavailable
from bestshot_trt.frames import FrameBatch
from bestshot_trt.measuring import measured
from bestshot_trt.samples import Samples


class Way:
    """Counts results on their way, and refuses to give them out of order or outside the working context."""

    def __init__(self):
        self.queued, self.given, self.most, self.inside = 0, 0, 0, 0

    @contextlib.contextmanager
    def working(self):
        self.inside += 1
        yield
        self.inside -= 1

    def later(self, result):
        assert self.inside
        number = self.queued
        self.queued += 1
        self.most = max(self.most, self.queued - self.given)

        def wait():
            assert self.inside and number == self.given
            self.given += 1
            return result

        return wait


def slow_backend(ahead, batch_size):
    """A backend whose every result has to be waited for, and its two ways: of measures and of embeddings."""
    measures, embeddings = Way(), Way()

    @contextlib.contextmanager
    def working():
        with measures.working(), embeddings.working():
            yield

    embedder = SimpleNamespace(
        batch_size=batch_size,
        prepare=lambda batch: batch.pixels[:, 0, 0, :1].astype(np.float32),
        embed=lambda prepared: embeddings.later(Embedded(prepared.copy(), prepared[:, 0].copy())),
    )
    backend = Backend(
        name="slow",
        fallback_reason=None,
        decoder=None,
        measure=lambda pixels: measures.later(frame_stats(pixels)),
        embedder=embedder,
        model_note=None,
        ahead=ahead,
        embeds_ahead=ahead,
        working=working,
    )
    return backend, measures, embeddings


def takes(count, size):
    """Batches of ``size`` flat pictures whose grey level is their number."""
    for first in range(0, count, size):
        numbers = np.arange(first, min(first + size, count))
        pixels = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 4, 6, 3)).astype(np.uint8)
        yield FrameBatch(pixels, numbers / 3.0, numbers.astype(np.int64))


@pytest.mark.parametrize("count", [1, 7, 24])
@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_every_sample_comes_out_once_and_in_order(count, ahead, batch_size):
    backend, measures, embeddings = slow_backend(ahead, batch_size)
    samples = Samples(backend)
    for batch in measured(backend, takes(count, 3)):
        samples.add(batch)
    track = samples.track(SimpleNamespace(duration=count))
    assert track.times.tolist() == [number / 3.0 for number in range(count)]
    assert track.pts.tolist() == list(range(count))
    assert track.embedding[:, 0].tolist() == track.aesthetic.tolist() == list(range(count))
    assert track.exposure_penalty.tolist() == [float(number <= 2) for number in range(count)]
    for way in (measures, embeddings):
        assert way.given == way.queued
        assert way.most <= ahead + 1


def embeddings_of(count):
    backend, _, _ = slow_backend(0, 5)
    samples = Samples(backend)
    for batch in measured(backend, takes(count, 3)):
        samples.add(batch)
    return samples.track(SimpleNamespace(duration=count)).embedding[:, 0].tolist()


@pytest.mark.parametrize("most", [1, 30, 40])
@pytest.mark.parametrize("count", [4, 5, 24, 60])
def test_embeddings_that_wait_in_a_file_come_back_in_order(monkeypatch, most, count):
    monkeypatch.setattr("bestshot_trt.columns._SPOOL_BYTES", most)
    assert embeddings_of(count) == list(range(count))


class FullDisk(io.FileIO):
    """Takes so many bytes; of the write that goes beyond, a part and then nothing, or nothing at all."""

    def __init__(self, path, room, partly):
        super().__init__(path, "w+")
        self._room, self._partly = room, partly

    def write(self, data):
        room = self._room - self.tell()
        if room >= len(data.cast("B")):
            return super().write(data)
        if not self._partly:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data.cast("B")[:room])


@pytest.mark.parametrize("partly", [True, False])
@pytest.mark.parametrize("room", [0, 20, 50, 130])
def test_a_full_disk_leaves_embeddings_in_memory(monkeypatch, tmp_path, room, partly):
    monkeypatch.setattr("bestshot_trt.columns._SPOOL_BYTES", 1)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda buffering: FullDisk(tmp_path / "file", room, partly))
    assert embeddings_of(60) == list(range(60))


def test_a_disk_that_takes_no_file_leaves_embeddings_in_memory(monkeypatch, tmp_path):
    monkeypatch.setattr("bestshot_trt.columns._SPOOL_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert embeddings_of(60) == list(range(60))


@pytest.mark.parametrize("came", [1, 3, 8, 20])
def test_the_embedder_gets_the_same_batches_however_pictures_come(came):
    backend, _, _ = slow_backend(2, 8)
    embed, given = backend.embedder.embed, []

    def noting(pictures):
        given.append(pictures[:, 0].tolist())
        return embed(pictures)

    backend.embedder.embed = noting
    samples = Samples(backend)
    for batch in measured(backend, takes(20, came)):
        samples.add(batch)
    samples.track(SimpleNamespace(duration=20))
    assert given == [[*range(8)], [*range(8, 16)], [*range(16, 20)]]


def test_nothing_is_waited_for_sooner_than_need_be():
    backend, measures, _ = slow_backend(2, 1)
    batches = measured(backend, takes(24, 3))
    next(batches)
    assert (measures.queued, measures.given) == (3, 1)


@pytest.mark.parametrize("most", [1, 2])
def test_what_does_not_fit_in_memory_is_done_in_halves(most):
    backend, _, _ = slow_backend(2, 6)
    relieved = []

    def scarce(work):
        def run(pictures):
            if len(pictures) > most:
                raise MemoryError
            return work(pictures)

        return run

    backend.embedder.embed = scarce(backend.embedder.embed)
    scarce_backend = dataclasses.replace(
        backend, measure=scarce(backend.measure), relieve=lambda: relieved.append(True)
    )
    samples = Samples(scarce_backend)
    for batch in measured(scarce_backend, takes(17, 5)):
        samples.add(batch)
    track = samples.track(SimpleNamespace(duration=17))
    assert track.embedding[:, 0].tolist() == track.pts.tolist() == list(range(17))
    assert relieved


def test_memory_for_not_even_one_picture_is_said():
    backend, _, _ = slow_backend(0, 1)

    def none(pictures):
        raise MemoryError("0 bytes left")

    with pytest.raises(BackendUnavailable, match="backend slow: not enough memory for a single picture"):
        next(measured(dataclasses.replace(backend, measure=none), takes(3, 3)))
