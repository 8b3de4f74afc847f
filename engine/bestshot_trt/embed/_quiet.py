"""Keeping what libraries have to say to their developers from the user."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings and no log records while the block lasts; errors are raised as ever.

    Standard output and error are not redirected, since another thread draws progress there.
    """
    before = logging.root.manager.disable
    # With no handler at all, logging.warning would install one for good.
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(handler)
