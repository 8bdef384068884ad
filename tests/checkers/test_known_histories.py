"""Every recorded history gets the verdict that is known of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from raftkv.checkers import Validity, check, examine_file, read_history

FOLDER = Path(__file__).parent / "histories"
SINGLE = ("cas-register", "kv-append", "mvcc-kv")


def recorded(*models: str) -> list[dict[str, Any]]:
    """Every recorded history of these models, or of those of single operations: file, model and verdict."""
    return [known for known in everything() if known["model"] in (models or SINGLE)]


def everything() -> list[dict[str, Any]]:
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
    recorded("mvcc-kv"),
    ids=lambda known: known["path"].name,
)
def test_the_search_alone_comes_to_the_same_verdict(known: dict[str, Any]) -> None:
    check_recorded(known, by_revision=False)


@pytest.mark.parametrize("known", recorded("list-append"), ids=lambda known: known["file"])
def test_transactions_have_the_known_anomalies(known: dict[str, Any]) -> None:
    found = examine_file(known["path"], known["model"])
    names = [one.name for one in found.verdict.anomalies]
    assert names == sorted(known["anomalies"] + known.get("also", []))
    assert (found.verdict.validity is Validity.VALID) == known["valid"]
    assert found.facts == {"serializable": known["serializable"], "strict_serializable": known["valid"]}
    assert found.operations == known["operations"]


def test_no_history_is_left_out() -> None:
    files = {path for path in FOLDER.rglob("*") if path.suffix in (".log", ".txt", ".jsonl")}
    assert files == {known["path"] for known in everything()}
    assert len(recorded()) == 34 + 2 + 31
    assert len(recorded("list-append")) == 15
