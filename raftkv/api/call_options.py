"""What a client may say about a call in headers: a deadline, and that a leader has to be known."""

import re
from collections.abc import Mapping

from raftkv.errors import InvalidRequest

SHORTEST_SECONDS = 1e-5
"""A deadline shorter than this is over already."""

_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT = re.compile(r"([+-]?[0-9]{1,18})([HMSmun])")


def timeout_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of the ``Grpc-Timeout`` header, None without one or for zero.

    Raises InvalidRequest with etcd's text.
    """
    text = headers.get("Grpc-Timeout")
    if not text:
        return None
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"invalid grpc-timeout: {text}")
    return int(match[1]) * _SECONDS[match[2]] or None


def check_begins(seconds: float | None) -> None:
    """Raise TimeoutError for a deadline that is over before the call could begin: then it must not."""
    if seconds is not None and seconds < SHORTEST_SECONDS:
        raise TimeoutError


def requires_leader(headers: Mapping[str, str]) -> bool:
    """Whether the call is to be refused if this member knows no leader."""
    return headers.get("Grpc-Metadata-hasleader") == "true"
