"""What Go's request multiplexer does to a path before it looks for a handler."""

import posixpath
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

_SAFE = "/:@!$&'()*+,;=~-._"


class Target(NamedTuple):
    """A request target: the decoded path, and the query with its question mark or empty."""

    path: str
    query: str


def parse(raw: str) -> Target:
    """Take a request target apart; ``/v3beta/`` is an old name of ``/v3/``."""
    if not raw.startswith("/"):
        raw = _origin_form(raw)
    path, mark, query = raw.partition("?")
    return Target(unquote(path).replace("/v3beta/", "/v3/", 1), mark + query)


def _origin_form(raw: str) -> str:
    """Return the path and query of an absolute URL; anything else stays as it is."""
    try:
        url = urlsplit(raw)
    except ValueError:
        return raw
    if not url.scheme:
        return raw
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def clean(path: str) -> str:
    """Return ``path`` without empty, ``.`` and ``..`` parts; a slash at its end stays."""
    cleaned = "/" + posixpath.normpath(f"/{path}").lstrip("/")
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def location(target: Target) -> str:
    """Return ``target`` as it goes into a Location header."""
    return quote(target.path, safe=_SAFE) + target.query
