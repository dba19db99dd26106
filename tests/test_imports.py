"""The order of the wings: each module imports only wings below its own, and no circle exists."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxper"

# From the ground up; wings of one floor do not import each other.
FLOORS = [
    {"lowering", "checks"},
    {"storage", "tree"},
    {"sum_tree", "sharding", "stream"},
    {"views"},
    {"replay"},
    {"transfer"},
    {"saving"},
    {"checkpoint"},
    {"__init__"},
]
FLOOR = {wing: floor for floor, wings in enumerate(FLOORS) for wing in wings}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def wing_of(module):
    return module.split(".")[0]


def name_of(path):
    return ".".join(path.with_suffix("").parts)


def imported_by(path):
    """The modules of jaxper that a file imports, also those that only type checkers see."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_module(name) else str(node.module) for name in whole}
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError(f"{path} has a relative import")
    return {name.removeprefix("jaxper.") for name in found if name.split(".")[0] == "jaxper"}


def is_module(name):
    path = PACKAGE.parent / Path(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_wings_below_its_own(path):
    own = wing_of(name_of(path))
    for module in imported_by(path):
        wing = wing_of(module)
        below = FLOOR[wing] < FLOOR[own]
        assert below or wing == own, f"{path} imports {module}, which is not below it"


def test_no_import_circle_within_a_wing():
    graph = {name_of(path): imported_by(path) for path in MODULES}
    done, under_way = set(), []

    def visit(module):
        assert module not in under_way, f"a circle: {' -> '.join([*under_way, module])}"
        if module in done or module not in graph:
            return
        under_way.append(module)
        for other in graph[module]:
            visit(other)
        done.add(under_way.pop())

    for module in graph:
        visit(module)


def test_every_wing_has_a_floor():
    assert {wing_of(name_of(path)) for path in MODULES} == set(FLOOR)


@pytest.mark.parametrize(
    ("above", "unknown"),
    [("storage", "tree"), ("stream", "tree"), ("tree", "storage"), ("checks", "replay")],
)
def test_wings_that_know_nothing_of_each_other(above, unknown):
    for path in MODULES:
        if wing_of(name_of(path)) == above:
            assert unknown not in {wing_of(module) for module in imported_by(path)}


def test_algorithms_say_nothing_about_the_compiler():
    """Words that belong into `lowering` alone."""
    calls = ("scratch", "platform_dependent", "optimization_barrier", "prefetch", "custom_vmap")
    words = re.compile(rf"\b(XLA|GPU|CPU)\b|{'|'.join(calls)}")
    for path in MODULES:
        if wing_of(name_of(path)) not in ("lowering", "checkpoint"):
            assert not words.findall((PACKAGE / path).read_text()), path
