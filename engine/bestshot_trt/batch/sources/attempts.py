"""Asking a store again where its fault may pass, and saying in one line why not where it does not."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from typing import TypeVar

from ...errors import InputError, shown
from .uris import shown_uri

_PIP = 'pip install "bestshot-trt[remote]"'
_ATTEMPTS = 5
_FIRST_WAIT_S = 0.5
NO_RANGES = "support range requests"
"""In fsspec's words where a server sends only whole files."""
_GONE, _REFUSED = (404, 410), (401, 403)
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"}
_PASSING = (408, 425, 429)
"""Answers of a client's fault that another attempt may not get."""

Result = TypeVar("Result")
Pause = Callable[[float], object]
"""Called with seconds to wait; raises to give up."""


class Unfetched(InputError):
    """A remote file cannot be had; trying again at once is of no use."""


class DiskRefused(OSError):
    """The disk here does not take what came; told apart from what the network does."""


def attempted(uri: str, work: Callable[[], Result], pause: Pause, doing: str = "fetched") -> Result:
    """``work``, again after a pause that doubles where the fault may pass.

    Raises:
        Unfetched: it cannot be ``doing``, as ``fetched`` or ``written``.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except (InputError, DiskRefused):
            raise
        except Exception as error:  # each store's library has errors of its own
            reason = _final(error, doing)
            if reason is None and attempt + 1 < _ATTEMPTS:
                pause(_FIRST_WAIT_S * 2**attempt)
                continue
            raise Unfetched(f"{shown_uri(uri)}: {reason or _said(error, doing)}") from error
    raise AssertionError


def _final(error: Exception, doing: str) -> str | None:
    """Why another attempt is of no use; None where it may be."""
    cause = error.__cause__
    # On the web every fault is called that; of S3 its cause has no status, but a response.
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and not hasattr(cause, "response"):
        error = cause
    status = getattr(error, "status", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ImportError):
        reason = f"the library for this kind of store is not installed: {_PIP}"
    elif isinstance(error, ValueError) and "rotocol not known" in str(error):
        reason = "this kind of URI is not known; s3://, gs://, http:// and https:// are"
    elif isinstance(error, ValueError) and NO_RANGES in str(error):
        reason = "the server sends only whole files; raise --stage-space"
    elif isinstance(error, FileNotFoundError) or status in _GONE:
        reason = f"no such {'bucket' if doing == 'written' else 'file'}; check the name"
    elif kinds & _NO_CREDENTIALS:
        reason = "no credentials for this store; set them as its own tools take them (docs/batch.md)"
    elif isinstance(error, PermissionError) or status in _REFUSED:
        reason = "the store refuses access; check the credentials and what they allow"
    elif isinstance(status, int) and 400 <= status < 500 and status not in _PASSING:
        reason = f"the server answers {status}"
    elif isinstance(error, OSError) and error.errno == errno.EINVAL:
        reason = f"the store refuses the name: {shown(error.strerror or error)}"
    else:
        return None
    return reason


def _said(error: Exception, doing: str) -> str:
    text = (str(error).splitlines() or [""])[0][:200]
    # Some name the address with all that is in it.
    text = re.sub(r"\?\S+", "?...", text)
    return f"cannot be {doing} after {_ATTEMPTS} attempts: {shown(text) or type(error).__name__}"
