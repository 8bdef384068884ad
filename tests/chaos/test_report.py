"""The page, the JSON and the JUnit of a run: harmless whatever a system says, and with all that matters."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from raftkv.chaos.page import render
from raftkv.chaos.record import Record, RunVerdict
from raftkv.chaos.report import junit, write_reports
from raftkv.chaos.report_data import document, lanes, quantile, series
from raftkv.chaos.system import NodeState
from tests.chaos.records import EVIL, a_failed_record, a_record


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.policy = ""
        self.addresses: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        assert not [name for name in values if name.startswith("on") or name == "style"]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def page_of(record: Record) -> tuple[Page, dict[str, Any]]:
    text = render(document(record, Path("run")))
    text.encode("ascii")
    page = Page()
    page.feed(text)
    assert len(page.scripts) == 2
    return page, json.loads(page.scripts[0])


@pytest.mark.parametrize("record", [a_record(), a_record(EVIL), a_failed_record(), a_failed_record(EVIL)])
def test_the_page_is_harmless_and_asks_for_nothing(record: Record) -> None:
    page, found = page_of(record)
    assert page.addresses == []
    assert "default-src 'none'" in page.policy
    assert len(re.findall(r"sha256-", page.policy)) == 2
    assert page.scripts[1].startswith('"use strict";')
    assert found["verdict"] == record.verdict.value


def test_the_page_says_the_verdict_first_and_how_to_run_it_again() -> None:
    _, found = page_of(a_failed_record())
    assert found["sentence"] == "The system did what it must not."
    assert found["commands"][0][1] == "raftkv chaos wrong"
    assert found["commands"][1][1] == "raftkv chaos check run"
    assert [one["verdict"] for one in found["findings"]] == ["invalid", "invalid"]


def test_the_page_says_that_a_lock_without_fencing_is_expected_to_fail() -> None:
    record = a_record()
    record.facts["workload"] = "unfenced"
    assert any("expected to fail" in reason for reason in page_of(record)[1]["reasons"])


def test_what_happened_around_a_wrong_operation_is_shown_with_it() -> None:
    _, found = page_of(a_failed_record())
    wrong = found["wrong"]
    marked = [one for one in wrong["operations"] if one["wrong"]]
    assert [one["call"] for one in marked] == [1.1]
    assert wrong["begin"] < 1.1 < wrong["end"]
    assert len(wrong["operations"]) > len(marked)
    assert all(one["call"] <= wrong["end"] for one in wrong["operations"])


def test_a_cycle_is_shown_with_its_transactions() -> None:
    _, found = page_of(a_failed_record())
    assert found["cycle"]["name"] == "G-single"
    assert len(found["cycle"]["nodes"]) == 2
    assert page_of(a_record())[1]["cycle"] is None


def test_each_second_has_its_counts_and_latencies() -> None:
    everything, *kinds = series(a_record().operations, 4.0)
    assert everything["name"] == "all"
    assert {one["name"] for one in kinds} == {"write", "read"}
    assert everything["ok"] == [10, 10, 10, 10]
    assert everything["p50"][0] == pytest.approx(50.0)
    assert everything["max"][0] == pytest.approx(50.0)
    assert quantile([], 0.5) is None
    assert quantile([1.0, 2.0, 3.0], 0.99) == 3.0


def test_nodes_have_stretches_of_role_and_term() -> None:
    first, second = lanes(a_record("n2").looks)
    assert [one[2:] for one in first["stretches"]] == [["leader", 2], ["leader", 3]]
    assert [one[2] for one in second["stretches"]] == ["silent", "down"]
    assert second["stretches"][1][:2] == [1.0, 3.9]
    assert lanes([]) == []
    assert NodeState("n1", True).role == ""


def test_a_run_without_anything_has_a_page_too() -> None:
    record = Record({"system": "etcd", "workload": "kv", "faults": "all", "seed": 1, "time": 60.0})
    record.error = "it did not start"
    _, found = page_of(record)
    assert found["sentence"].endswith("it did not start")


def test_junit_has_a_case_a_check_and_one_for_the_figures() -> None:
    suite = ElementTree.fromstring(junit(a_failed_record(EVIL)))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    assert [case.get("name") for case in suite] == ["cas-register", "list-append", "enough happened"]
    assert "alert(1)" in (suite[0][0].text or "")
    weak = a_record()
    weak.reasons = ["too few"]
    suite = ElementTree.fromstring(junit(weak))
    assert suite.get("failures") == "1"
    assert suite[1][0].get("message") == "too few"
    weak.verdict, weak.error = RunVerdict.ERROR, "broke"
    assert ElementTree.fromstring(junit(weak)).get("errors") == "1"


def test_all_reports_are_written(tmp_path: Path) -> None:
    write_reports(tmp_path, a_failed_record())
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["verdict"] == "failed"
    assert found["checks"] == {"cas-register": "invalid", "list-append": "invalid"}
    assert (tmp_path / "report.html").read_bytes().startswith(b"<!DOCTYPE html>")
    assert (tmp_path / "junit.xml").read_bytes().startswith(b"<?xml")
