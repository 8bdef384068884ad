"""Options of the core's tests: another core, new expected outputs, a larger budget."""

import importlib.util
from pathlib import Path

import pytest

from raftkv.raft import make_core
from tests.raft.group import CoreMaker


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("raft")
    group.addoption("--core", metavar="FILE.py:CLASS", help="run the core's tests on this class")
    group.addoption("--rewrite", action="store_true", help="write the scenarios' outputs anew")
    group.addoption("--long", action="store_true", help="forty times more random schedules")


def load_core(target: str) -> CoreMaker:
    """Return the class named ``FILE.py:CLASS``."""
    file, _, name = target.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None, f"{target} is not FILE.py:CLASS"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    core: CoreMaker = getattr(module, name)
    return core


@pytest.fixture(scope="session")
def make(request: pytest.FixtureRequest) -> CoreMaker:
    """The core under test: the reference one, or that of ``--core``."""
    target = request.config.getoption("--core", default=None)
    return load_core(target) if target else make_core


@pytest.fixture(scope="session")
def rewrite(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite", default=False))


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long", default=False))
