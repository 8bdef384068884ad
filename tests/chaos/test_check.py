"""Recorded runs are checked again from their files, and what is wrong in these is found."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raftkv.chaos.check import check_again
from raftkv.chaos.convergence import MODEL, difference, finding
from raftkv.chaos.folder import Folder, write_folder
from raftkv.chaos.record import NodeEnd, Record, RunVerdict
from raftkv.chaos.runner import UNTOLD, found_one, unchecked, verdict_of
from raftkv.checkers.history import HistoryError
from raftkv.checkers.verdict import Validity, Verdict
from raftkv.cli.main import main
from raftkv.workloads.port import Finding
from tests.chaos.records import EVIL, a_record


def written(folder: Path, record: Record) -> Path:
    write_folder(folder / "run", record)
    return folder / "run"


def change_line(file: Path, number: int, **values: Any) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | values)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = a_record(EVIL)
    found = Folder(written(tmp_path, record)).record()
    record.findings, record.histories = [], {}
    assert found == record


def test_a_sound_run_stays_weak_and_is_not_more_than_that(tmp_path: Path) -> None:
    record = check_again(written(tmp_path, a_record()))
    assert record.verdict is RunVerdict.WEAK
    assert all(one.verdict.validity is Validity.VALID for one in record.findings)
    assert {one.model for one in record.findings} == {"cas-register", "witnesses", "convergence"}
    assert (tmp_path / "run" / "report.html").exists()


def test_a_planted_wrong_answer_is_found_with_its_time(tmp_path: Path) -> None:
    folder = written(tmp_path, a_record())
    history = folder / "history-cas-register.jsonl"
    [line] = [
        number
        for number, text in enumerate(history.read_text().splitlines())
        if '"ok"' in text and '"value":"20"' in text and '"read"' in text
    ]
    change_line(history, line, value="18")
    record = check_again(folder)
    assert record.verdict is RunVerdict.FAILED
    [found] = [one for one in record.findings if one.model == "cas-register"]
    assert found.verdict.validity is Validity.INVALID
    assert 2.1 in [one.call for one in found.verdict.refused]
    assert '"wrong":true' in (folder / "report.html").read_text()
    assert main(["chaos", "check", str(folder)]) == 1


def test_who_reads_no_more_of_it_does_not_change_the_exit_code(tmp_path: Path) -> None:
    record = a_record()
    record.findings.append(found_one("crashes", "crash", "n1 ended by itself"))
    words = [sys.executable, "-m", "raftkv", "chaos", "check", str(written(tmp_path, record))]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 1


def test_nodes_that_told_different_changes_are_found(tmp_path: Path) -> None:
    record = a_record()
    record.changes.append({**record.changes[0], "nodes": ["n3"], "changes": [["cjE=", "OQ==", 2, 1, 0]]})
    found = check_again(written(tmp_path, record))
    assert found.verdict is RunVerdict.FAILED
    [wrong] = [one for one in found.findings if one.verdict.validity is Validity.INVALID]
    assert wrong.model == "witnesses"
    assert "n1 and n2 told: put b'r1' b'0', and n3 told: put b'r1' b'9'" in wrong.verdict.reason


def test_the_order_of_the_lines_hides_nothing(tmp_path: Path) -> None:
    record = a_record()
    folder = written(tmp_path, record)
    lines = (folder / "changes.jsonl").read_text().splitlines()
    (folder / "changes.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    assert check_again(folder).verdict is RunVerdict.WEAK


def test_nodes_that_ended_differently_are_found(tmp_path: Path) -> None:
    record = a_record()
    record.ends[1] = record.ends[1]._replace(contents="other")
    assert check_again(written(tmp_path, record)).verdict is RunVerdict.FAILED


def test_what_no_file_shows_is_kept_as_it_was_found(tmp_path: Path) -> None:
    record = a_record()
    record.findings.append(found_one("crashes", "crash", "n1 ended by itself"))
    found = check_again(written(tmp_path, record))
    assert found.verdict is RunVerdict.FAILED
    assert found.findings[-1].verdict.reason == "n1 ended by itself"


def test_a_write_that_was_lost_is_kept_although_the_history_by_itself_is_fine(tmp_path: Path) -> None:
    record = a_record()
    record.findings = [found_one("cas-register", "durability", "write r1 8 was acknowledged, and never made")]
    found = check_again(written(tmp_path, record))
    assert found.verdict is RunVerdict.FAILED
    assert len([one for one in found.findings if one.model == "cas-register"]) == 1


def test_a_false_alarm_of_an_older_search_goes_away(tmp_path: Path) -> None:
    record = a_record()
    refused = Verdict(Validity.INVALID, 1, "no order", refused=(a_record_operation(),))
    record.findings = [Finding("cas-register", refused, 41)]
    assert check_again(written(tmp_path, record)).verdict is RunVerdict.WEAK


def a_record_operation() -> Any:
    from tests.chaos.records import operations

    return operations()[0]


def test_that_changes_are_missing_stays_a_reason(tmp_path: Path) -> None:
    record = a_record()
    record.reasons = [UNTOLD, "something that is measured again"]
    reasons = check_again(written(tmp_path, record)).reasons
    assert UNTOLD in reasons
    assert "something that is measured again" not in reasons


def test_a_history_that_is_not_there_any_more_is_no_sound_one(tmp_path: Path) -> None:
    folder = written(tmp_path, a_record())
    (folder / "history-cas-register.jsonl").unlink()
    with pytest.raises(HistoryError, match="history-cas-register"):
        check_again(folder)
    assert main(["chaos", "check", str(folder)]) == 2


def test_a_write_changed_afterwards_is_not_in_the_list_of_changes(tmp_path: Path) -> None:
    folder = written(tmp_path, a_record())
    history = folder / "history-cas-register.jsonl"
    lines = [one.replace('"value":"38"', '"value":"97"') for one in history.read_text().splitlines()]
    history.write_text("\n".join(lines) + "\n")
    found = check_again(folder)
    assert found.verdict is RunVerdict.FAILED
    assert "acknowledged, and never written" in found.findings[0].verdict.reason


def test_a_run_whose_checks_had_nothing_to_check_says_nothing() -> None:
    fine = Verdict(Validity.VALID, 0)
    assert unchecked([Finding("convergence", fine, 3)]) == [
        "no history of what clients were told was checked"
    ]
    assert unchecked([Finding("election", fine, 0), Finding("mvcc-kv", fine, 7)]) == [
        "election: there was nothing to check"
    ]
    assert unchecked([Finding("mvcc-kv", fine, 7), Finding("convergence", fine, 0)]) == []


def test_findings_taken_out_of_a_folder_do_not_make_it_sound(tmp_path: Path) -> None:
    record = a_record()
    record.histories, record.findings = {}, []
    assert (
        "no history of what clients were told was checked" in check_again(written(tmp_path, record)).reasons
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', '{"format": "raftkv-chaos/1"}'])
def test_what_is_no_folder_of_a_run_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(HistoryError):
        check_again(tmp_path)
    assert main(["chaos", "check", str(tmp_path)]) == 2
    assert main(["chaos", "check", str(tmp_path / "nothing")]) == 2


def test_nodes_that_are_equal_have_the_same_hash_and_compaction_if_they_tell() -> None:
    ends = [NodeEnd("n1", 9, 1, 5, "x"), NodeEnd("n2", 9, 1, 5, "x"), NodeEnd("n3", 9, -1, 0, "x")]
    assert difference(ends) == ""
    assert "hashes differ" in difference([*ends, NodeEnd("n4", 9, 3, 5, "x")])
    assert "compacted to n1: 5, n2: 5, n4: 7" in difference([*ends, NodeEnd("n4", 9, 1, 7, "x")])
    assert "revisions" in difference([ends[0], ends[1]._replace(revision=8)])


def test_nodes_that_never_answer_are_a_finding() -> None:
    assert finding([], "n1: no answer").verdict.anomalies[0].name == "liveness"
    different = [NodeEnd("n1", 9, 1, 5, "x"), NodeEnd("n2", 9, 1, 5, "y")]
    found = finding(different, difference(different))
    assert (found.model, found.verdict.anomalies[0].name) == (MODEL, "divergence")


def test_what_was_found_counts_more_than_that_the_run_broke_off() -> None:
    wrong, fine = found_one("crashes", "crash", "x"), Finding("kv", Verdict(Validity.VALID, 1), 1)
    unknown = Finding("kv", Verdict(Validity.UNKNOWN, 1, "budget"), 1)
    assert verdict_of([fine, wrong], "broke", ["few"]) is RunVerdict.FAILED
    assert verdict_of([fine], "broke", ["few"]) is RunVerdict.ERROR
    assert verdict_of([fine], "", ["few"]) is RunVerdict.WEAK
    assert verdict_of([fine], "", []) is RunVerdict.PASSED
    assert verdict_of([unknown], "", ["kv: no answer"]) is RunVerdict.WEAK
