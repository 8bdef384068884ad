"""What is made of a run for others: report.json, junit.xml and the page."""

import json
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from raftkv.chaos.folder import fault_object, finding_object
from raftkv.chaos.page import render
from raftkv.chaos.record import Record, RunVerdict
from raftkv.chaos.report_data import document, summary
from raftkv.checkers.verdict import Validity

PAGE, SUMMARY, JUNIT = "report.html", "report.json", "junit.xml"


def write_reports(folder: Path, record: Record) -> None:
    """Write all of them."""
    (folder / PAGE).write_text(render(document(record, folder)), encoding="ascii")
    found = {
        **summary(record),
        "error": record.error,
        "reasons": record.reasons,
        "findings": [finding_object(one) for one in record.findings],
        "faults_done": [fault_object(one) for one in record.faults],
    }
    (folder / SUMMARY).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / JUNIT).write_bytes(junit(record))


def junit(record: Record) -> bytes:
    """Return the run as a JUnit suite: a case each check, and one for whether it says enough."""
    facts = record.facts
    name = f"chaos {facts['workload']} on {facts['system']} under {facts['faults']}"
    failures = sum(one.verdict.validity is not Validity.VALID for one in record.findings)
    too_little = record.error or "\n".join(record.reasons)
    suite = Element("testsuite", name=name, time=f"{facts['time']:g}")
    suite.set("tests", str(len(record.findings) + 1))
    suite.set("failures", str(failures + (record.verdict is RunVerdict.WEAK)))
    suite.set("errors", str(int(bool(record.error))))
    for finding in record.findings:
        case = SubElement(suite, "testcase", classname=name, name=finding.model)
        if finding.verdict.validity is not Validity.VALID:
            reason = _xml(finding.verdict.reason)
            SubElement(case, "failure", message=reason[:200]).text = reason
    case = SubElement(suite, "testcase", classname=name, name="enough happened")
    if too_little:
        kind = "error" if record.error else "failure"
        SubElement(case, kind, message=_xml(too_little)[:200]).text = _xml(too_little)
    encoded: bytes = tostring(suite, encoding="utf-8", xml_declaration=True)
    return encoded


def _xml(text: str) -> str:
    """Write what XML can't have, control characters and half characters, as escapes."""
    return "".join(
        one
        if one in "\n\t" or (one >= " " and not "\ud800" <= one <= "\udfff" and one < "\ufffe")
        else f"\\u{ord(one):04x}"
        for one in text
    )
