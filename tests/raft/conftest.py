"""Options of the core's tests: another core, new expected outputs."""

import importlib.util
from pathlib import Path

import pytest

from raftkv.raft import Part, make_core
from raftkv.raft.core import Raft
from tests.raft.group import CoreMaker, parts_of


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("raft")
    group.addoption("--core", metavar="FILE.py:CLASS", help="ask this class what any core must do")
    group.addoption("--rewrite", action="store_true", help="write the scenarios' outputs anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*parts): a claim about parts that a core may do without")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is not asked of another core."""
    target = config.getoption("--core", default=None)
    if not target:
        return []
    core = load_core(target)
    lacks = ", ".join(sorted(part.value for part in frozenset(Part) - parts_of(core))) or "none"
    outputs = (
        "compared" if tells_the_same(core) else "left out: their outputs are those of the reference core"
    )
    return [f"core: {target}; parts it does without: {lacks}", f"stories: {outputs}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out claims about parts that the core under test does not have, and what is not about it."""
    target = config.getoption("--core", default=None)
    core: CoreMaker = load_core(target) if target else make_core
    asked = [item for item in items if is_asked(item, core, other=bool(target))]
    kept = {id(item) for item in asked}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = asked


def is_asked(item: pytest.Item, core: CoreMaker, *, other: bool) -> bool:
    """Whether a test is about ``core``; about one that is not the reference core only those that take it."""
    needed = {part for mark in item.iter_markers("needs") for part in mark.args}
    fixtures: list[str] = getattr(item, "fixturenames", [])
    if other and ("make" not in fixtures or ("rewrite" in fixtures and not tells_the_same(core))):
        return False
    return needed <= parts_of(core)


def tells_the_same(core: CoreMaker) -> bool:
    """Whether the stories' outputs are to be expected of it: it is a kind of reference core."""
    return isinstance(core, type) and issubclass(core, Raft)


def load_core(target: str) -> CoreMaker:
    """Return the class named ``FILE.py:CLASS``."""
    file, _, name = target.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        raise pytest.UsageError(f"--core {target}: give FILE.py:CLASS, with a file that is there")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None, "a file of Python has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    core: CoreMaker | None = getattr(module, name, None)
    if core is None:
        raise pytest.UsageError(f"--core {target}: there is no {name} in {file}")
    return core


@pytest.fixture(scope="session")
def make(request: pytest.FixtureRequest) -> CoreMaker:
    """The core under test: the reference one, or that of ``--core``."""
    target = request.config.getoption("--core", default=None)
    return load_core(target) if target else make_core


@pytest.fixture(scope="session")
def rewrite(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite", default=False))
