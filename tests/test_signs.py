"""Signs that a rule stands in one place: no test of another room's classes, no method's name abroad, no flag below."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from test_rooms import MODULES, ROOT, floor_of

from bayesgc.inference import METHODS

CLASSES = {
    "bayesgc.settings": "Task: whether an argument is a task at all",
    "bayesgc.inference.descent.backpropagation": "MatrixFactorization: whose gradient is written by hand",
}
"""Where a class of another room is tested all the same, and why."""
NAMES = {
    ("bayesgc.api", "auto"): "the default of an argument",
    ("bayesgc.options.declared", "auto"): "the default of an option",
    ("bayesgc.inference.device", "auto"): "a device",
    ("bayesgc.analysis.tree.datatree", "importance"): "a group of the tree: draws with their weights",
    ("bayesgc.analysis.uncertainty", "importance"): "the same group",
}
"""Where a word that is a method's name is something else."""
FLAGS = {"bayesgc.analysis.report.rerun": "writes a command line"}
_FLAG, _OPEN = re.compile(r"(?<![-\w])--[a-z]"), re.compile(r"(?<![-\w])--$")


def classes_of(room: str) -> set[str]:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / room).rglob("*.py"))
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def asked_classes(tree: ast.AST) -> set[str]:
    """What `isinstance` and `issubclass` are asked about."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    asked = [call.args[1] for call in calls if call.func.id in ("isinstance", "issubclass")]
    named = [node for each in asked for node in ast.walk(each)]
    return {n.id for n in named if isinstance(n, ast.Name)} | {n.attr for n in named if isinstance(n, ast.Attribute)}


def texts(tree: ast.AST) -> set[str]:
    """Every string that is not documentation, and the parts of formatted ones."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone)
    return {node.value for node in nodes if isinstance(node.value, str)}


def flags(tree: ast.AST) -> set[str]:
    """Texts that name a flag, and parts of formatted ones that end where its name would be put in."""
    formatted = (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr))
    ends = {part.value for node in formatted for part in node.values[:-1] if isinstance(part, ast.Constant)}
    return {text for text in texts(tree) if _FLAG.search(text)} | {text for text in ends if _OPEN.search(text)}


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


ROOMS = {room: classes_of(room) for room in ("task", "models")}
BELOW = [each for each in sorted(MODULES) if floor_of(each) in range(floor_of("bayesgc.options"))]
HOMES = {name: method.__module__ for name, method in METHODS.items()}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_room_tests_the_classes_of_another(module):
    own = module.split(".")[1] if "." in module else ""
    others = set().union(*(classes for room, classes in ROOMS.items() if room != own))
    found = asked_classes(parsed(MODULES[module])) & others
    assert bool(found) == (module in CLASSES), f"{module} tests for {', '.join(sorted(found)) or 'none any more'}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_method_is_named_outside_its_file(module):
    found = {name for name in texts(parsed(MODULES[module])) & METHODS.keys() if HOMES[name] != module}
    allowed = {name for place, name in NAMES if place == module}
    assert found == allowed, f"{module} names {', '.join(sorted(found ^ allowed))}"


@pytest.mark.parametrize("module", BELOW)
def test_no_flag_below_the_options(module):
    found = flags(parsed(MODULES[module]))
    assert bool(found) == (module in FLAGS), f"{module} writes {', '.join(sorted(found)) or 'none any more'}"


def test_each_sign_would_be_found():
    """The negative control of all three."""
    wrong = ast.parse(
        'def f(task, name):\n    """Not --this."""\n    if isinstance(task, ArrayTask | task.LabelledTask):\n'
        '        name == "nuts"\n'
        '    return f"raise --{name} -- or --eps; a--b"'
    )
    assert asked_classes(wrong) == {"ArrayTask", "LabelledTask", "task"}
    assert asked_classes(wrong) & ROOMS["task"] == {"ArrayTask", "LabelledTask"}
    assert texts(wrong) & METHODS.keys() == {"nuts"}
    assert flags(wrong) == {"raise --", " -- or --eps; a--b"}
    assert not flags(ast.parse('x = "a -- b, a--b, ---", "--"'))
