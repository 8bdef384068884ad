"""Options of the core's tests: another core, new expected outputs, a larger budget."""

import importlib.util
from pathlib import Path

import pytest

from raftkv.raft import make_core
from tests.raft.group import CoreMaker, parts_of


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("raft")
    group.addoption("--core", metavar="FILE.py:CLASS", help="run the core's tests on this class")
    group.addoption("--rewrite", action="store_true", help="write the scenarios' outputs anew")
    group.addoption("--long", action="store_true", help="forty times more random schedules")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*parts): a claim about parts that a core may do without")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the claims about parts of Raft that the core under test does not have."""
    target = config.getoption("--core", default=None)
    parts = parts_of(load_core(target)) if target else parts_of(make_core)
    needed = {item: {part for mark in item.iter_markers("needs") for part in mark.args} for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not needed[item] <= parts])
    items[:] = [item for item in items if needed[item] <= parts]


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
