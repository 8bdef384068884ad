"""Operations of leases, locks and elections, in short."""

from typing import Any

from raftkv.checkers import Change, Operation, Outcome, Verdict


def ok(call: float, returned: float, *words: Any, told: tuple[Any, ...]) -> Operation:
    return Operation(0, call, returned, words, told)


def unknown(call: float, *words: Any) -> Operation:
    return Operation(0, call, None, words, None, Outcome.UNKNOWN)


def failed(call: float, returned: float, *words: Any) -> Operation:
    return Operation(0, call, returned, words, None, Outcome.FAIL)


def put(revision: int, key: bytes, value: bytes = b"v", lease: int = 0, create: int = 0) -> Change:
    return Change(revision, key, value, create or revision, 1, lease)


def deleted(revision: int, *keys: bytes) -> list[Change]:
    return [Change(revision, key, None) for key in keys]


def names(verdict: Verdict) -> set[str]:
    return {anomaly.name for anomaly in verdict.anomalies}
