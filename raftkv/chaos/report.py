"""What is made of a run for others: report.json, junit.xml and the page."""

from pathlib import Path

from raftkv.chaos.record import Record


def write_reports(folder: Path, record: Record) -> None:
    """Write all of them."""
