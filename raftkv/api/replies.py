"""HTTP replies with etcd's headers."""

from contextvars import ContextVar
from http import HTTPStatus
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from raftkv.api.status import Status
from raftkv.schema.json_codec import quote

ALL_ORIGINS: Final = "*"

origin_allowed: ContextVar[str | None] = ContextVar("origin_allowed", default=ALL_ORIGINS)
"""The origin whose pages may read the answer to the request being handled; None: nobody's."""

_CORS = {
    "Access-Control-Allow-Headers": "accept, content-type, authorization",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE",
    "Access-Control-Allow-Origin": ALL_ORIGINS,
}
_COMMON = {
    **_CORS,
    # aiohttp would name itself and its version
    "Server": "raftkv",
}
_EMPTY = CIMultiDict(_COMMON)
_JSON = CIMultiDict(_COMMON | {"Content-Type": "application/json"})
_GRPC_JSON = CIMultiDict(
    _COMMON | {"Content-Type": "application/json", "Grpc-Metadata-Content-Type": "application/grpc"}
)
_TEXT = CIMultiDict(_COMMON | {"Content-Type": "text/plain; charset=utf-8"})
_TEXT_ERROR = CIMultiDict(
    _COMMON | {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
)
_EVENTS = CIMultiDict(_COMMON | {"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
_HTML = CIMultiDict(_COMMON | {"Content-Type": "text/html; charset=utf-8"})
_HTML_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})


def message(body: bytes) -> web.Response:
    """Answer a call with its response message."""
    return web.Response(body=body, headers=_GRPC_JSON)


def message_stream() -> web.StreamResponse:
    """Answer a call with response messages that are written bit by bit (chunked, as etcd does it)."""
    return fit_to_origin(web.StreamResponse(headers=_GRPC_JSON))


def fit_to_origin(response: web.StreamResponse) -> web.StreamResponse:
    """Return the response, which names only the origin whose pages may read it."""
    origin = origin_allowed.get()
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        return response
    return without_origin(response)


def without_origin(response: web.StreamResponse) -> web.StreamResponse:
    """Return the response, which no page of another origin may read."""
    for name in _CORS:
        response.headers.pop(name, None)
    return response


def no_messages() -> web.StreamResponse:
    """Answer a call for a stream that ended without any message, which has no header of gRPC's then."""
    return web.StreamResponse(headers=_JSON)


def error(status: Status) -> web.Response:
    """Answer a call that failed."""
    return web.Response(status=status.http, body=error_body(status), headers=_JSON)


def error_body(status: Status) -> bytes:
    """Return what a call that failed is answered with."""
    text = quote(status.text)
    return b'{"error":%s,"code":%d,"message":%s}' % (text, status.code, text)


def json(body: bytes, status: int = 200) -> web.Response:
    """Answer with JSON that is no response message."""
    return web.Response(status=status, body=body, headers=_JSON)


def text(body: bytes) -> web.Response:
    """Answer with plain text."""
    return web.Response(body=body, headers=_TEXT)


def event_stream() -> web.StreamResponse:
    """Answer with server-sent events (HTML Living Standard, 9.2)."""
    return fit_to_origin(web.StreamResponse(headers=_EVENTS))


def download(size: int, name: str) -> web.StreamResponse:
    """Answer with a file of ``size`` bytes, to be kept under ``name``."""
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return fit_to_origin(web.StreamResponse(headers=CIMultiDict(_COMMON | headers)))


def empty() -> web.Response:
    """Answer with nothing but the CORS headers."""
    return web.Response(headers=_EMPTY)


def text_error(status: int, line: str, **headers: str) -> web.Response:
    """Refuse with one line of plain text, as Go's ``http.Error`` does."""
    body = f"{line}\n".encode("utf-8", "replace")  # it may repeat what is no text
    response = web.Response(status=status, body=body, headers=_TEXT_ERROR)
    response.headers.update(headers)
    return response


def bare_error(status: int, phrase: str) -> web.Response:
    """Refuse what is no proper HTTP with its status as the body, and close the connection."""
    response = web.Response(
        status=status,
        body=f"{status} {phrase}".encode(),
        headers={"Content-Type": "text/plain; charset=utf-8", "Server": "raftkv"},
    )
    response.force_close()
    return response


def not_allowed(**headers: str) -> web.Response:
    """Refuse a method."""
    return text_error(405, HTTPStatus.METHOD_NOT_ALLOWED.phrase, **headers)


def moved(method: str, location: str) -> web.Response:
    """Send the client to the clean form of its path; only GET and HEAD are told so in HTML."""
    shown = method in ("GET", "HEAD")
    link = location.translate(_HTML_ESCAPES)
    response = web.Response(
        status=301,
        body=f'<a href="{link}">Moved Permanently</a>.\n\n'.encode() if shown else b"",
        headers=_HTML if shown else _EMPTY,
    )
    response.headers["Location"] = location
    return response
