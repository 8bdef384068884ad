"""The models of ``raftkv history check``: by name, what reads a history of the model and checks it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from raftkv.checkers.bank import check_bank
from raftkv.checkers.counter import check_counter
from raftkv.checkers.election_checks import check_elections
from raftkv.checkers.formats import parse_history, read_text
from raftkv.checkers.history import HistoryError
from raftkv.checkers.lease_checks import check_leases
from raftkv.checkers.linearizability import MAX_STEPS, check
from raftkv.checkers.list_append import check_list_append, is_serializable
from raftkv.checkers.lock_checks import check_locks
from raftkv.checkers.models import CasRegister, KvAppend
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.checkers.records import BANK, COUNTER, LIST_APPEND, SET, parse_records
from raftkv.checkers.run_files import read_elections, read_leases, read_locks
from raftkv.checkers.sets import check_set, count_set
from raftkv.checkers.verdict import Validity, Verdict
from raftkv.checkers.watch_checks import check_watches
from raftkv.checkers.watch_lines import read_watches


class Examined(NamedTuple):
    """What was found in a file.

    ``operations`` is how many it has of what the model checks: operations, transactions, watches. ``facts``
    are more things worth telling, by name, of what JSON has.
    """

    verdict: Verdict
    operations: int
    facts: Mapping[str, Any] = {}


Examine = Callable[[str, str, int], Examined]
"""Takes the text of a file, the file's name for messages, and the most steps to search; a model whose check
is no search leaves those alone. Raises ``HistoryError`` for what is no history of the model."""


def _examine_linearizable(text: str, name: str, max_steps: int, *, model: str) -> Examined:
    operations, found = parse_history(text, model, name)
    return Examined(check(operations, found, max_steps=max_steps), len(operations))


def _number(header: Mapping[str, Any], field: str, name: str) -> int | None:
    value = header.get(field)
    if value is not None and type(value) is not int:
        raise HistoryError(f"{name}:1", f"{field} is no whole number: {value!r}")
    return value


def _names(header: Mapping[str, Any], field: str, name: str) -> list[str] | None:
    value = header.get(field)
    if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        raise HistoryError(f"{name}:1", f"{field} is no list of names: {value!r}")
    return value


def _examine_list_append(text: str, name: str, _max_steps: int) -> Examined:
    operations, _ = parse_records(text, LIST_APPEND, name)
    verdict = check_list_append(operations)
    facts = {
        "serializable": is_serializable(verdict.anomalies),
        "strict_serializable": verdict.validity is Validity.VALID,
    }
    return Examined(verdict, len(operations), facts)


def _examine_bank(text: str, name: str, _max_steps: int) -> Examined:
    operations, header = parse_records(text, BANK, name)
    verdict = check_bank(
        operations,
        total=_number(header, "total", name),
        accounts=_names(header, "accounts", name),
        negative_balances=bool(header.get("negative_balances")),
    )
    return Examined(verdict, len(operations))


def _examine_set(text: str, name: str, _max_steps: int) -> Examined:
    operations, _ = parse_records(text, SET, name)
    return Examined(check_set(operations), len(operations), count_set(operations))


def _examine_counter(text: str, name: str, _max_steps: int) -> Examined:
    operations, header = parse_records(text, COUNTER, name)
    return Examined(check_counter(operations, initial=_number(header, "initial", name) or 0), len(operations))


def _examine_watches(text: str, name: str, _max_steps: int) -> Examined:
    run = read_watches(text, name)
    return Examined(check_watches(run), len(run.streams))


def _examine_leases(text: str, name: str, _max_steps: int) -> Examined:
    run = read_leases(text, name)
    return Examined(check_leases(run), len(run.operations))


def _examine_locks(text: str, name: str, _max_steps: int) -> Examined:
    run = read_locks(text, name)
    return Examined(check_locks(run), len(run.operations), {"fenced": run.fenced})


def _examine_elections(text: str, name: str, _max_steps: int) -> Examined:
    run = read_elections(text, name)
    return Examined(check_elections(run), len(run.operations))


MODELS: dict[str, Examine] = {
    **{
        model.name: partial(_examine_linearizable, model=model.name)
        for model in (CasRegister, KvAppend, MvccKv)
    },
    LIST_APPEND: _examine_list_append,
    BANK: _examine_bank,
    SET: _examine_set,
    COUNTER: _examine_counter,
    "watch": _examine_watches,
    "lease": _examine_leases,
    "lock": _examine_locks,
    "election": _examine_elections,
}
"""All models, in the order of the documentation."""


def examine_file(path: Path, model: str, max_steps: int = MAX_STEPS) -> Examined:
    """Read a file as a history of a model of ``MODELS``, and check it.

    Raises ``HistoryError`` with file and line for what is no such history, ``OSError`` when the file can't
    be read.
    """
    try:
        return MODELS[model](read_text(path), str(path), max_steps)
    except HistoryError as error:
        if error.place.startswith(str(path)):
            raise
        raise HistoryError(f"{path}: {error.place}", error.reason) from None
