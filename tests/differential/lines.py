"""The list of what is to be the same (``lines.toml``), and which tests prove what of it."""

import tomllib
from importlib import import_module
from pathlib import Path

from tests.differential import sections
from tests.differential.cases import crashes

FILE = Path(__file__).with_name("lines.toml")
NOT_COVERED = "not covered"
TESTS = ("test_backups", "test_pages", "test_clusters", "test_learners", "test_sockets", "test_sequences")
"""Modules of tests that are no table of cases; each names what it proves in ``LINES``."""


def listed() -> dict[str, str]:
    """Return every line with its words."""
    sections_ = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        line: words
        for name, lines in sections_.items()
        if name != NOT_COVERED
        for line, words in lines.items()
    }


def excused() -> dict[str, str]:
    """Return the lines that no test proves, with the reason."""
    found: dict[str, str] = tomllib.loads(FILE.read_text(encoding="utf-8"))[NOT_COVERED]
    return found


def proved() -> set[str]:
    """Return the lines that the tests name."""
    named = [one.lines for _, one in sections.named(sections.ALL)]
    named += [import_module(f"tests.differential.{name}").LINES for name in TESTS]
    return {line for lines in named for line in lines.split()} | set(crashes.CASES)
