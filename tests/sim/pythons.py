"""The other Pythons of this computer that raftkv supports, and what the simulator needs under them.

One is found as ``python3.X`` on PATH, or among pyenv's versions. What is not installed is left out; what is
there and does not work raises ``BrokenPython``, so that no comparison is lost unnoticed.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
NEEDED = ("msgpack",)
"""What ``raftkv.sim`` imports that is not of the standard library: no web server, no event loop in C."""

STARTUP_SECONDS = 60
INSTALL_SECONDS = 300


class BrokenPython(Exception):
    """An interpreter is installed and can't be used."""


class Python(NamedTuple):
    """An interpreter, and the folder that holds packages for it (None: it has them)."""

    version: str
    executable: str
    packages: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return this process's environment, with the packages."""
        return {**os.environ, **({"PYTHONPATH": str(self.packages)} if self.packages else {})}


def this_python() -> Python:
    """Return the interpreter that runs."""
    return Python(".".join(map(str, sys.version_info[:3])), sys.executable)


def installed_pythons(folder: Path) -> list[Python]:
    """Return one interpreter of each other supported version, made ready with packages in that folder."""
    return [with_packages(python, folder / python.version) for python in other_pythons()]


def other_pythons() -> list[Python]:
    """Return one installed interpreter of each supported version, without that of this process."""
    own = ".".join(map(str, sys.version_info[:2]))
    found = [installed(minor) for minor in SUPPORTED if minor != own]
    return [python for python in found if python is not None]


def versions(pythons: Iterable[Python]) -> str:
    """Return the versions as a list to read."""
    return ", ".join(python.version for python in pythons)


def installed(minor: str) -> Python | None:
    """Return the first interpreter of a version such as ``3.12`` that starts; None when there is none."""
    broken: list[str] = []
    for path in [*on_path(f"python{minor}"), *of_pyenv(minor)]:
        program = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
        done = run([str(path), "-c", program], STARTUP_SECONDS)
        found = done.stdout.strip()
        if done.returncode == 0 and found.startswith(minor + "."):
            return Python(found, str(path))
        # A version manager puts a script for every name that any of its versions has into this folder.
        if path.parent.name != "shims":
            broken.append(f"{path} is there and does not work as Python {minor}: {told(done)}")
    if broken:
        raise BrokenPython("\n".join(broken))
    return None


def on_path(name: str) -> list[Path]:
    """Return every program of that name, in the order of PATH."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return [folder / name for folder in folders if os.access(folder / name, os.X_OK)]


def of_pyenv(minor: str) -> list[Path]:
    """Return pyenv's releases of a version, the newest first."""
    if shutil.which("pyenv") is None:
        return []
    done = run(["pyenv", "root"], STARTUP_SECONDS)
    if done.returncode != 0:
        raise BrokenPython(f"'pyenv root' failed: {told(done)}")
    release = re.compile(re.escape(minor) + r"\.(\d+)")
    folders = Path(done.stdout.strip(), "versions").glob(f"{minor}.*")
    releases = sorted((int(fit[1]), folder) for folder in folders if (fit := release.fullmatch(folder.name)))
    return [folder / "bin" / f"python{minor}" for _, folder in reversed(releases)]


def with_packages(python: Python, folder: Path) -> Python:
    """Install what the simulator needs into a new folder, for that interpreter, in the versions used here.

    pip works for the other interpreter but is this one's: many a system's Python has neither pip nor venv.
    """
    wanted = [f"{name}=={version(name)}" for name in NEEDED]
    pip = [sys.executable, "-m", "pip", "--python", python.executable, "install", "--target", str(folder)]
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
    done = run([*pip, *options, *wanted], INSTALL_SECONDS, PIP_REQUIRE_VIRTUALENV="0", PIP_USER="0")
    if done.returncode != 0:
        raise BrokenPython(
            f"Python {python.version} is installed ({python.executable}) but can't be compared:"
            f" pip did not install {' '.join(wanted)} for it: {told(done)}"
        )
    return python._replace(packages=folder)


def run(command: list[str], seconds: float, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command; one that can't be run or takes too long ends with -1."""
    environment = {**os.environ, **settings}
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, -1, "", str(error))


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return how a command ended and the end of what it said."""
    return f"exit code {done.returncode}\n{(done.stdout + done.stderr).strip()[-1500:]}"
