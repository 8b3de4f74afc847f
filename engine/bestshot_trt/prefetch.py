"""The one piece of concurrency a stage needs: run a generator ahead on a thread, within a bound."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar, cast

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    error: BaseException | None


def prefetch(items: Iterable[Item], depth: int) -> Generator[Item]:
    """Yield ``items``, computed up to ``depth`` items ahead on another thread, which is at work when this returns.

    ``depth`` 0 is no bound.

    An error raised there is raised here. Closing this generator stops the thread.
    """
    ahead = _ahead(items, depth)
    # As far as its first yield: only a generator that has begun does its last words when it is closed.
    next(ahead)
    return cast("Generator[Item]", ahead)


def _ahead(items: Iterable[Item], depth: int) -> Generator[Item | None]:
    """None once the thread has been started, then ``items``."""
    ready: queue.Queue[Item | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: Item | _End) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as caught:
            error = caught
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        put(_End(error))

    worker = threading.Thread(target=work, name="prefetch", daemon=True)
    worker.start()
    try:
        yield None
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        worker.join()
