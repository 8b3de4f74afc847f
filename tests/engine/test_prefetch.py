from __future__ import annotations

import threading

import pytest

from bestshot_trt.prefetch import prefetch


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_items_come_in_order():
    assert list(prefetch(range(100), 3)) == list(range(100))
    assert list(prefetch([], 1)) == []


def test_items_are_computed_on_another_thread():
    idents = list(prefetch((threading.get_ident() for _ in range(3)), 2))
    assert threading.get_ident() not in idents


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_error_arrives_after_the_items_before_it(error):
    def items():
        yield 1
        yield 2
        raise error("broken")

    stream = prefetch(items(), 5)
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(error, match="broken"):
        next(stream)
    assert workers() == []


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_than_the_bound_is_computed_ahead(depth):
    made = []
    full = threading.Event()

    def items():
        for number in range(50):
            made.append(number)
            if len(made) == depth + 2:
                full.set()
            yield number

    stream = prefetch(items(), depth)
    assert next(stream) == 0
    # One handed over, `depth` waiting, one in the worker's hand.
    assert full.wait(300)
    stream.close()
    assert len(made) == depth + 2


def test_it_works_before_it_is_asked_and_closing_it_unasked_stops_it():
    begun, closed = threading.Event(), threading.Event()

    def items():
        begun.set()
        try:
            while True:
                yield 1
        finally:
            closed.set()

    stream = prefetch(items(), 2)
    assert begun.wait(300)
    stream.close()
    assert closed.is_set()
    assert workers() == []


def test_closing_stops_the_thread_and_closes_the_source():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    stream = prefetch(items(), 2)
    next(stream)
    assert workers()
    stream.close()
    assert closed.is_set()
    assert workers() == []


def test_finishing_closes_the_source_and_the_thread():
    closed = threading.Event()

    def items():
        try:
            yield 1
        finally:
            closed.set()

    assert list(prefetch(items(), 2)) == [1]
    assert closed.is_set()
    assert workers() == []
