"""The source read as data: what linters do not hold."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "raftkv"
SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERYTHING = sorted(path for folder in ("raftkv", "tests", "bench") for path in (ROOT / folder).rglob("*.py"))

LONGEST = 60
"""Lines of a function, its docstring included."""

LONG_FUNCTIONS: dict[str, int] = {}
"""Function -> its lines, for those above ``LONGEST``. A ratchet: numbers only go down."""

NOT_IMPORTED = {
    "raftkv.__main__": "started, not imported",
    "raftkv.raft.figure2": "a core to read and to hold against the claims",
}
"""Modules that no other one imports, and why."""

CITATION = re.compile(r"thesis (?P<what>§|figure|fig\.|table|section|chapter)\s*(?P<number>[\d.]*\d)?", re.I)
LAST_CHAPTER = 11
ORDERED_PACKAGES = ("raft", "node", "mvcc")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{module_name(path)}:{node.name}", node.end_lineno - node.lineno + 1


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def iterates_over_a_set(node: ast.AST) -> bool:
    """Tell whether a loop or comprehension walks a set written in place: its order is not fixed."""
    if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        walked = node.iter
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("list", "tuple"):
        walked = node.args[0] if node.args else node
    else:
        return False
    if isinstance(walked, ast.BinOp):
        return is_set(walked.left) or is_set(walked.right)
    return is_set(walked)


def is_set(node: ast.AST) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return named and node.func.id in ("set", "frozenset")


def sets_of(module: ast.Module) -> set[str]:
    """Names and attributes that are annotated as sets or given one."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.AnnAssign):
            if re.match(r"(frozen)?set\b", ast.unparse(node.annotation)):
                names.add(ast.unparse(node.target))
        elif isinstance(node, ast.Assign) and is_set(node.value):
            names.update(ast.unparse(target) for target in node.targets)
    return names


def walks_over_sets(module: ast.Module) -> Iterator[int]:
    """Lines of the loops and comprehensions whose order depends on hashes."""
    names = sets_of(module)
    for node in ast.walk(module):
        named = isinstance(node, ast.For | ast.comprehension) and ast.unparse(node.iter) in names
        if named or iterates_over_a_set(node):
            place = node.iter if isinstance(node, ast.comprehension) else node
            yield getattr(place, "lineno", 0)


def test_no_function_is_longer_than_a_screen_and_the_list_of_exceptions_only_shrinks() -> None:
    long = {name: lines for path in SOURCES for name, lines in functions(path) if lines > LONGEST}
    assert long == LONG_FUNCTIONS


def test_nine_functions_of_ten_have_at_most_thirty_lines() -> None:
    lengths = [lines for path in SOURCES for _, lines in functions(path)]
    short = sum(lines <= 30 for lines in lengths)
    assert short >= 0.9 * len(lengths), f"{short} of {len(lengths)}"


def test_the_median_file_is_below_250_lines() -> None:
    lengths = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES)
    assert lengths[len(lengths) // 2] < 250


def test_every_module_is_imported_by_another_one() -> None:
    imported = {name for path in SOURCES for name in imported_modules(path)}
    packages = {module_name(path) for path in SOURCES if path.name == "__init__.py"}
    modules = {module_name(path) for path in SOURCES} - packages
    script = "raftkv.cli.main"  # pyproject.toml's console command
    assert sorted(modules - imported - set(NOT_IMPORTED) - {script}) == []


def test_no_note_to_self_is_left() -> None:
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in EVERYTHING
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("package", ORDERED_PACKAGES)
def test_nothing_that_must_be_reproducible_walks_over_a_set(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((PACKAGE / package).rglob("*.py"))
        for line in walks_over_sets(tree(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: pass",
        "y = [x for x in set(data)]",
        "z = list({1} | other)",
        "names: set[int] = f()\nfor name in names: pass",
    ],
)
def test_a_walk_over_a_set_is_noticed(source: str) -> None:
    assert len(list(walks_over_sets(ast.parse(source)))) == 1


def test_a_sorted_walk_over_a_set_is_fine() -> None:
    assert list(walks_over_sets(ast.parse("for x in sorted({1, 2}): pass"))) == []


def test_every_citation_of_the_thesis_names_a_section_that_exists() -> None:
    wrong, seen = [], 0
    for path in SOURCES:
        for found in CITATION.finditer(path.read_text(encoding="utf-8")):
            seen += 1
            number = found["number"] or ""
            parts = number.split(".")
            fits = all(part.isdigit() and int(part) > 0 for part in parts) and int(parts[0]) <= LAST_CHAPTER
            if not fits or len(parts) > 3:
                wrong.append(f"{path.relative_to(ROOT)}: {found[0]!r}")
    assert wrong == []
    assert seen >= 10
