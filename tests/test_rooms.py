"""The house: a room imports those above it, never one below, and no module imports itself through others."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bayesgc

ROOT = Path(bayesgc.__file__).parent
FLOORS = [
    {"validate", "plugins", "verification", "copies", "moments", "correlated", "intervals"},
    {"task"},
    {"models"},
    {"inference"},
    {"analysis"},
    {"settings", "progress", "hiding", "searches", "api"},
    {"options"},
    {"experiments"},
    {"cli"},
]
"""From the ground up; `testing` and the package's own names stand outside."""


def modules() -> dict[str, Path]:
    return {
        ".".join(("bayesgc", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
    }


def imported(path: Path, *, at_import: bool) -> set[str]:
    """What a module imports of the package; with ``at_import`` only what runs when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    nodes = list(_at_import(tree)) if at_import else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bayesgc"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("bayesgc")}
    return found


def _at_import(tree: ast.AST):
    """The statements of a module outside of functions and of what is for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _at_import(node)


MODULES = modules()


def floor_of(module: str) -> int | None:
    room = module.split(".")[1] if "." in module else ""
    return next((place for place, rooms in enumerate(FLOORS) if room in rooms), None)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_room_imports_one_below_it(module):
    own = floor_of(module)
    if own is None:
        return
    below = {each for each in imported(MODULES[module], at_import=False) if (floor_of(each) or 0) > own}
    assert not below, f"{module} imports {', '.join(sorted(below))}"


def test_no_module_imports_itself_through_others():
    graph = {name: imported(path, at_import=True) - {name} for name, path in MODULES.items()}
    # A package's own file gathers names of its modules, which do not ask it for any.
    graph = {name: needs for name, needs in graph.items() if MODULES[name].name != "__init__.py"}
    try:
        TopologicalSorter({name: needs & graph.keys() for name, needs in graph.items()}).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_a_wrong_import_would_be_found(tmp_path):
    """The negative control of both."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def late():\n    from bayesgc.cli.app import run\n\nfrom bayesgc.api import infer\n")
    assert imported(wrong, at_import=False) == {"bayesgc.cli.app", "bayesgc.api"}
    assert imported(wrong, at_import=True) == {"bayesgc.api"}
    assert floor_of("bayesgc.cli.app") > floor_of("bayesgc.task.files")


SUBROOMS = {
    "models.transports": set(),
    "models.priors": {"models.transports"},
    "models.factorization": {"models.transports", "models.priors"},
    "models.networks": {"models.transports", "models.priors"},
    "inference.islands": set(),
    "inference.collapsed": {"inference.islands"},
    "inference.descent": set(),
}
"""The rooms within a room, and which of their neighbours each may import."""


def subroom_of(module: str) -> str:
    return ".".join(module.split(".")[1:3])


@pytest.mark.parametrize("module", sorted(name for name in MODULES if subroom_of(name) in SUBROOMS))
def test_rooms_within_a_room_import_one_way(module):
    own = subroom_of(module)
    beside = {each for each in SUBROOMS if each != own and each.split(".")[0] == own.split(".")[0]}
    others = beside & {subroom_of(each) for each in imported(MODULES[module], at_import=False)}
    assert others <= SUBROOMS[own]
