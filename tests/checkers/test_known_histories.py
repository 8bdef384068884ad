"""Every recorded history gets the verdict that is known of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from raftkv.checkers import Validity, check, read_history

FOLDER = Path(__file__).parent / "histories"


def recorded() -> list[dict[str, Any]]:
    """Every recorded history: file, model and verdict."""
    found = []
    for verdicts in sorted(FOLDER.glob("*/verdicts.json")):
        for known in json.loads(verdicts.read_text(encoding="utf-8")):
            found.append(known | {"path": verdicts.parent / known["file"]})
    return found


def check_recorded(known: dict[str, Any], *, by_revision: bool = True) -> None:
    operations, model = read_history(known["path"], known["model"])
    verdict = check(operations, model, by_revision=by_revision)
    assert verdict.validity is (Validity.VALID if known["linearizable"] else Validity.INVALID), known["file"]
    assert len(operations) == known["operations"]
    if verdict.validity is Validity.INVALID:
        assert verdict.refused, "an invalid history names what could not be placed"


@pytest.mark.parametrize("known", recorded(), ids=lambda known: known["path"].name)
def test_the_verdict_is_the_known_one(known: dict[str, Any]) -> None:
    check_recorded(known)


@pytest.mark.parametrize(
    "known",
    [known for known in recorded() if known["model"] == "mvcc-kv"],
    ids=lambda known: known["path"].name,
)
def test_the_search_alone_comes_to_the_same_verdict(known: dict[str, Any]) -> None:
    check_recorded(known, by_revision=False)


def test_no_history_is_left_out() -> None:
    files = {path for path in FOLDER.rglob("*") if path.suffix in (".log", ".txt", ".jsonl")}
    assert files == {known["path"] for known in recorded()}
    assert len(files) == 34 + 2 + 31
