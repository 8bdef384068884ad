"""A seed is a whole run: the same bits in every process, and in every Python that is installed.

``--long`` takes 1,000 whole runs for the 50 shortened ones.
"""

import random
import sys
from pathlib import Path

import pytest

from raftkv.sim.network import SimNetwork
from tests.sim.digests import compare, differences, digest_of, digests_elsewhere
from tests.sim.pythons import (
    BrokenPython,
    Python,
    installed,
    installed_pythons,
    this_python,
    versions,
    with_packages,
)


def test_seeds_give_the_same_digests_in_two_processes_and_in_every_python(
    long: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each process has a hash seed of its own."""
    seeds, short = (range(1000), False) if long else (range(50), True)
    pythons = [this_python(), this_python(), *installed_pythons(tmp_path)]
    found = compare(seeds, pythons, short=short)
    with capsys.disabled():
        kind = "shortened" if short else "whole"
        sys.stdout.write(f"\ndigests of {len(seeds)} {kind} seeds, Python {versions(pythons)}: ")
        sys.stdout.write(f"{len(found)} differ\n")
    assert found == []


def test_different_seeds_give_different_digests() -> None:
    assert digest_of(1).split()[1] != digest_of(2).split()[1]


def test_seeds_give_the_same_digests_where_msgpack_is_pure_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is where nobody has compiled it; members understand each other there as well."""
    here = [digest_of(seed) for seed in range(3)]
    monkeypatch.setenv("MSGPACK_PUREPYTHON", "1")
    assert digests_elsewhere(this_python(), range(3), 1) == here


def test_a_run_that_depends_on_more_than_its_seed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance that is not drawn from the seed shows in the digest, though every check holds."""
    honest = SimNetwork._carry

    def carry(self: SimNetwork, *arguments: object) -> None:
        if random.random() < 0.01:
            honest(self, *arguments)  # type: ignore[arg-type]
        honest(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SimNetwork, "_carry", carry)
    one, other = digest_of(3), digest_of(3)
    assert one.endswith("passed") and other.endswith("passed")
    assert differences([one], [other]) != []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, beside that of the shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    return folder


def put_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_python_that_is_not_installed_is_left_out(place: Path) -> None:
    assert installed("3.99") is None


def test_a_python_on_the_path_is_found(place: Path) -> None:
    put_program(place / "python3.99", "echo 3.99.4")
    found = installed("3.99")
    assert found is not None
    assert (found.version, found.executable) == ("3.99.4", str(place / "python3.99"))


def test_a_python_that_does_not_start_is_told(place: Path) -> None:
    put_program(place / "python3.99", "echo no library; exit 4")
    with pytest.raises(BrokenPython, match=r"(?s)python3\.99 .*exit code 4.*no library"):
        installed("3.99")


def test_the_script_of_a_version_manager_is_no_python(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there for any version, and refuses when that one is not chosen."""
    put_program(tmp_path / "shims" / "python3.99", "exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{place}:/bin")
    assert installed("3.99") is None
    put_program(place / "pyenv", f"echo {tmp_path}")
    for release in ("3.99.9", "3.99.10", "3.99.11rc1", "3.98.20"):
        put_program(tmp_path / "versions" / release / "bin" / "python3.99", f"echo {release}")
    found = installed("3.99")
    assert found is not None and found.version == "3.99.10"


def test_a_python_that_packages_cannot_be_installed_for_is_told(tmp_path: Path, place: Path) -> None:
    put_program(place / "python3.99", "echo 3.99.4")
    python = installed("3.99")
    assert python is not None
    put_program(place / "python3.99", "echo no pip can run here; exit 1")
    with pytest.raises(BrokenPython, match=r"(?s)Python 3\.99\.4 is installed .*pip did not install msgpack"):
        with_packages(python, tmp_path / "packages")


def test_a_digest_that_differs_names_the_python_and_the_seed(place: Path) -> None:
    put_program(place / "other", "echo 0 0123456789abcdef passed")
    other = Python("3.99.4", str(place / "other"))
    (one,) = compare(range(1), [this_python(), other])
    assert one.startswith("Python 3.99.4: 0 ") and one.endswith(", and then 0 0123456789abcdef passed")


def test_a_process_that_fails_is_told(place: Path) -> None:
    put_program(place / "other", "echo broken >&2; exit 3")
    with pytest.raises(RuntimeError, match=r"(?s)Python 3\.99\.4 .*broken"):
        compare(range(1), [this_python(), Python("3.99.4", str(place / "other"))])
