"""The models of ``raftkv history check``: by name, what reads a history of the model and checks it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from raftkv.checkers.formats import parse_history, read_text
from raftkv.checkers.linearizability import MAX_STEPS, check
from raftkv.checkers.models import CasRegister, KvAppend
from raftkv.checkers.mvcc_kv import MvccKv
from raftkv.checkers.verdict import Verdict


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


MODELS: dict[str, Examine] = {
    **{
        model.name: partial(_examine_linearizable, model=model.name)
        for model in (CasRegister, KvAppend, MvccKv)
    },
}
"""All models, in the order of the documentation."""


def examine_file(path: Path, model: str, max_steps: int = MAX_STEPS) -> Examined:
    """Read a file as a history of a model of ``MODELS``, and check it.

    Raises ``HistoryError`` with file and line for what is no such history, ``OSError`` when the file can't
    be read.
    """
    return MODELS[model](read_text(path), str(path), max_steps)
