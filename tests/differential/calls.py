"""Requests, written shortly: keys and values are plain text here and base64 on the wire."""

import base64
import json
from typing import Any

from tests.differential.steps import Call

ALL = "\0"
"""As a range_end: every key from the first one on."""

BYTES = {"key", "range_end", "value", "name"}
ZERO_ENDED = {"range_end"}


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode("latin-1") if isinstance(text, str) else text).decode()


def call(path: str, body: Any = None, **more: Any) -> Call:
    """A POST of ``body`` in JSON as it is."""
    return Call(f"/v3/{path}", "{}" if body is None else json.dumps(body), **more)


def raw(path: str, body: str | bytes, **more: Any) -> Call:
    """A POST of ``body`` as it is written."""
    return Call(f"/v3/{path}", body, **more)


def get(path: str, method: str = "GET", **more: Any) -> Call:
    return Call(path, method=method, **more)


def coded(fields: dict[str, Any]) -> dict[str, Any]:
    """Write the members that hold bytes in base64; ``key_`` is left as it is and named ``key``."""
    return {
        name.rstrip("_"): b64(value) if name in BYTES and isinstance(value, str | bytes) else value
        for name, value in fields.items()
    }


def ranged(key: str, range_end: str | None, more: dict[str, Any]) -> dict[str, Any]:
    return coded({"key": key, **({} if range_end is None else {"range_end": range_end}), **more})


def put_of(key: str, value: str = "", **more: Any) -> dict[str, Any]:
    return coded({"key": key, **({"value": value} if value else {}), **more})


def put(key: str, value: str = "", **more: Any) -> Call:
    return call("kv/put", put_of(key, value, **more))


def range_(key: str, range_end: str | None = None, **more: Any) -> Call:
    return call("kv/range", ranged(key, range_end, more))


def delete(key: str, range_end: str | None = None, **more: Any) -> Call:
    return call("kv/deleterange", ranged(key, range_end, more))


def everything(**more: Any) -> Call:
    return range_(ALL, ALL, **more)


def op_put(key: str, value: str = "", **more: Any) -> dict[str, Any]:
    return {"request_put": put_of(key, value, **more)}


def op_range(key: str, range_end: str | None = None, **more: Any) -> dict[str, Any]:
    return {"request_range": ranged(key, range_end, more)}


def op_delete(key: str, range_end: str | None = None, **more: Any) -> dict[str, Any]:
    return {"request_delete_range": ranged(key, range_end, more)}


def op_txn(*compare: Any, then: tuple[Any, ...] = (), other: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"request_txn": txn_of(*compare, then=then, other=other)}


def txn_of(*compare: Any, then: tuple[Any, ...] = (), other: tuple[Any, ...] = ()) -> dict[str, Any]:
    lists = {"compare": compare, "success": then, "failure": other}
    return {name: list(items) for name, items in lists.items() if items}


def txn(*compare: Any, then: tuple[Any, ...] = (), other: tuple[Any, ...] = ()) -> Call:
    return call("kv/txn", txn_of(*compare, then=then, other=other))


def compare(key: str, **more: Any) -> dict[str, Any]:
    """A Compare: ``compare("k", target="MOD", result="LESS", mod_revision=5)``."""
    return coded({"key": key, **more})


def compact(revision: Any, **more: Any) -> Call:
    return call("kv/compaction", {"revision": revision, **more})
