"""Every session in the documentation is run as it is written.

Each ``console`` and ``python`` block of README.md and docs/ runs, in order, against a cluster of its own.
``./cluster.sh`` is the real one, in a folder where the virtual environment is already made. What differs from
the text: the cluster's ports are free ones, which RAFTKV_PORTS tells ``up`` and which replace the usual ones
in the text; and the output is compared after numbers, roles and spaces are made equal, ``...`` standing
for anything. What a program prints stands as a comment behind each of its prints, or is not compared.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from raftkv.cli.flags import FLAGS
from raftkv.local import LocalCluster, NoCluster, free_ports
from raftkv.local.layout import DEFAULT_PORTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NOT_RUN = {"mermaid"}
"""Languages of blocks that are pictures, not sessions."""


class Step(NamedTuple):
    """One command or program, and the output that the text shows (None: shows none)."""

    command: list[str]
    text: str
    shown: str | None


def blocks(page: Path) -> list[tuple[str, str]]:
    return FENCE.findall(page.read_text(encoding="utf-8"))


def steps(page: Path) -> Iterator[Step]:
    for language, content in blocks(page):
        if language == "console":
            yield from console_steps(content)
        elif language == "python":
            yield Step([sys.executable, "-c", content], content, printed(content))


def console_steps(content: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", content, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        yield Step(["/bin/sh", "-c", command], command, shown)


def printed(program: str) -> str | None:
    """Return what the comments behind the prints of a program say that it prints; None without any."""
    comments = re.findall(r"^ *print\(.*\)(?:  # (.+))?$", program, re.M)
    return "\n".join(comments) if any(comments) else None


def commands_written(page: Path) -> int:
    """Count the commands and programs in a page, without the parsing that ``steps`` does."""
    count = 0
    for language, content in blocks(page):
        lines = content.splitlines()
        count += (
            sum(line.startswith("$ ") for line in lines) if language == "console" else language == "python"
        )
    return count


def normal(text: str) -> list[str]:
    """Return the lines without what differs from run to run."""
    text = re.sub(r"\b(leader|follower)\b", "ROLE", text)
    lines = [re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip() for line in text.splitlines()]
    return [line for line in lines if line]


def fits(shown: str, output: str) -> bool:
    """Tell whether the output is what the text shows; ``...`` stands for anything."""
    wanted, got = "\n".join(normal(shown)), "\n".join(normal(output))
    pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
    return re.fullmatch(pattern, got, re.S) is not None


class Checkout(NamedTuple):
    """A folder with cluster.sh, whose cluster is on ports of its own."""

    folder: Path
    ports: tuple[int, ...]

    def localise(self, text: str) -> str:
        for usual, own in zip(DEFAULT_PORTS, self.ports, strict=False):
            text = re.sub(rf"\b{usual}\b", str(own), text)
        return text

    def run(self, step: Step) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.localise(word) for word in step.command],
            cwd=self.folder,
            env=self.environment(step),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def environment(self, step: Step) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RAFTKV_")}
        size = int(found[1]) if (found := re.search(r" up -n (\d)", step.text)) else 3
        if step.text.startswith("./cluster.sh up") and not (self.folder / ".raftkv").exists():
            environ["RAFTKV_PORTS"] = ",".join(map(str, self.ports[: 2 * size]))
        return environ


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    prepare_checkout(tmp_path)
    yield Checkout(tmp_path, tuple(free_ports(6)))
    with contextlib.suppress(NoCluster):  # the session has cleaned up itself
        LocalCluster.open(tmp_path / ".raftkv").down()


def prepare_checkout(folder: Path) -> None:
    """Make a folder in which cluster.sh finds everything installed."""
    for name in ("cluster.sh", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(sys.executable)
    command = scripts / "raftkv"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m raftkv "$@"\n')
    command.chmod(0o755)
    project = (folder / "pyproject.toml").read_bytes()
    sums = subprocess.run(["cksum"], input=project, capture_output=True, check=True).stdout.decode()
    (folder / ".venv" / ".installed-run").write_text(f"{sums.strip()} {folder}")


@pytest.mark.e2e
@pytest.mark.parametrize("page", [page for page in PAGES if any(steps(page))], ids=lambda page: page.name)
def test_every_session_works_as_written(
    page: Path, checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = 0
    for step in steps(page):
        done = checkout.run(step)
        assert done.returncode == 0, f"{step.text}\n{done.stdout}"
        if step.shown is not None:
            shown = checkout.localise(step.shown)
            assert fits(shown, done.stdout), f"$ {step.text}\nshown:\n{shown}\ngot:\n{done.stdout}"
        ran += 1
    written = commands_written(page)
    with capsys.disabled():
        sys.stdout.write(f"\n{page.name}: {ran} commands run, skipped: {written - ran}\n")
    assert ran == written


def test_every_fenced_block_is_run_or_is_a_picture() -> None:
    kinds = {language for page in PAGES for language, _ in blocks(page)}
    assert kinds - {"console", "python"} - NOT_RUN - {"text"} == set()


def test_the_comparison_of_outputs_can_fail() -> None:
    assert fits("n1 leader  5 ...\n", "n1   follower 17 anything\nmore\n")
    assert not fits("n1 leader 5\n", "n1 leader 5\nmore\n")
    assert not fits("OK, revision 3\n", "KO, revision 3\n")


def test_what_a_program_prints_is_read_from_its_comments() -> None:
    assert printed("print(1)\nprint(2)\n") is None
    assert printed("if x:\n    print(1 + 1)  # 2\nprint(f())  # [b'a'] None\n") == "2\n[b'a'] None"
    assert not fits(printed("print('a')  # b") or "", "a\n")


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_page_of_commands_lists_every_flag_of_serve_with_its_default() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = {found[1]: found[2] for found in re.finditer(r"^\| `--([\w-]+)` \| `([^`]*)` \|", page, re.M)}
    assert rows == {flag.name: flag.default for flag in FLAGS}
