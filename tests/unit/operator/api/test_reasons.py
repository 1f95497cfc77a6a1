"""Reasons are constants, documented, and used: no literal of one is left in the operator."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mooring_operator.api import reasons, reasons_page

ROOT = Path(__file__).parents[4]
OPERATOR = ROOT / "operator" / "mooring_operator"
COMPONENTS = ROOT / "components" / "mooring_components"
VALUES = {name: value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}

PHASES = {
    *("Pending", "Testing", "Deploying", "Canary", "AwaitingApproval", "Paused", "Promoting", "Promoted"),
    *("RolledBack", "Failed", "Superseded", "Suspended", "Watching", "Drifted"),
    # Condition types.
    "PoliciesMet",
    "SchemaChanged",
}
"""Words that are also phases, outcomes or conditions: a literal of one is a reason only where a reason stands."""

FOREIGN = {
    ("adapters/routers/kserve.py", "ProgressDeadlineExceeded"),
    ("adapters/routers/inference_services/revision_reading.py", "InvalidSpec"),
    ("adapters/routers/inference_services/status.py", "InvalidSpec"),
    ("planning/runs/job_states.py", "DeadlineExceeded"),
    ("planning/drift/schema_changes.py", "SchemaChanged"),
    ("cli/rehearsal.py", "Waiting"),
    ("cli/rehearsal_view.py", "Waiting"),
    ("cli/styles.py", "Waiting"),
}
"""What happens to be called like a reason of ours: reasons of other controllers, a condition, a rehearsal's end."""


def sources(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        if path != Path(reasons.__file__):
            yield str(path.relative_to(folder)), ast.parse(path.read_text())


def literals(node: ast.expr | None) -> Iterator[ast.Constant]:
    """Strings that an expression can be: those of a conditional too, not those that it computes from."""
    match node:
        case ast.Constant(value=str()):
            yield node
        case ast.IfExp():
            yield from [*literals(node.body), *literals(node.orelse)]
        case ast.BoolOp():
            for value in node.values:
                yield from literals(value)
        case ast.Tuple() | ast.List() | ast.Set():
            for element in node.elts:
                yield from literals(element)


def reason_parameters(trees: list[ast.Module]) -> dict[str, set[int]]:
    """Where functions, methods and dataclasses take a reason, by name; `self` does not count."""
    places: dict[str, set[int]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
                names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
                if "reason" in names:
                    places.setdefault(node.name, set()).add(names.index("reason"))
            elif isinstance(node, ast.ClassDef):
                fields = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign)]  # type: ignore[union-attr]
                init = next(
                    (s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None
                )
                names = [a.arg for a in init.args.args[1:]] if init else fields
                if "reason" in names:
                    places.setdefault(node.name, set()).add(names.index("reason"))
    return places


def reason_literals(tree: ast.Module, places: dict[str, set[int]]) -> Iterator[ast.Constant]:
    """Literals that stand for a reason: passed as one, or compared with one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rsplit(".", 1)[-1]
            for place in places.get(name, ()):
                yield from literals(node.args[place] if place < len(node.args) else None)
            for keyword in node.keywords:
                if keyword.arg == "reason":
                    yield from literals(keyword.value)
        elif isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("reason"):
            for compared in node.comparators:
                yield from literals(compared)


def test_no_literal_of_a_reason_is_left_in_the_operator():
    trees = dict(sources(OPERATOR))
    places = reason_parameters(list(trees.values()))
    assert {"settle", "reject", "Notify", "NoFindings", "ModelNotFound", "Unresolved"} <= places.keys()
    found = []
    for path, tree in trees.items():
        found += [(path, n.lineno, n.value) for n in reason_literals(tree, places) if n.value]
        found += [
            (path, node.lineno, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and node.value in set(VALUES.values()) - PHASES
            and (path, node.value) not in FOREIGN
        ]
    assert found == []


def test_the_scan_sees_literals():
    tree = ast.parse(
        "draft.settle('Failed', 'Old', 'why')\n"
        "Notify('Warning', reason='Odd', message='')\n"
        "if status.reason in ('A', 'B') or status.reason == 'C': pass\n"
        "draft.settle('Failed', 'D' if late else reasons.E, 'why')\n"
    )
    found = [node.value for node in reason_literals(tree, {"settle": {1}, "Notify": {1}})]
    assert sorted(found) == ["A", "B", "C", "D", "Odd", "Old"]


def test_reasons_of_evaluations_are_documented():
    """Evaluations run elsewhere, and import nothing of the operator: their words are the same."""
    trees = dict(sources(COMPONENTS))
    places = reason_parameters(list(trees.values()))
    found = {node.value for tree in trees.values() for node in reason_literals(tree, places)} - {""}
    assert "InsufficientData" in found
    assert found <= set(VALUES.values())


def test_every_reason_is_used():
    used = {
        node.attr
        for _, tree in sources(OPERATOR)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "reasons"
    }
    trees = dict(sources(COMPONENTS))
    places = reason_parameters(list(trees.values()))
    elsewhere = {node.value for tree in trees.values() for node in reason_literals(tree, places)}
    assert [name for name, value in VALUES.items() if name not in used and value not in elsewhere] == []


def test_reasons_are_camel_case_and_said_once():
    for name, value in VALUES.items():
        assert re.fullmatch(r"([A-Z][a-z]+|CI)+", value), value
        assert name == re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=CI)(?=[A-Z])", "_", value).upper()
    assert len(set(VALUES.values())) == len(VALUES)


def test_every_reason_is_documented_with_a_sentence():
    documented = reasons_page.documented()
    assert {reason.constant: reason.value for reason in documented} == VALUES
    for reason in documented:
        assert reason.section, reason.constant
        assert reason.when.endswith("."), reason.constant


def test_a_reason_without_docstring_is_no_reason(monkeypatch):
    monkeypatch.setattr(reasons_page.inspect, "getsource", lambda module: 'A = "A"\nB = "B"\n"""Why."""\n')
    with pytest.raises(ValueError, match="A has no docstring"):
        reasons_page.documented()


def test_the_page_in_docs_is_the_generated_one(tmp_path):
    page, crds = tmp_path / "reasons.md", tmp_path / "crds"
    shutil.copytree(ROOT / "crds", crds)
    shutil.copy(ROOT / "docs" / "reasons.md", page)
    command = [sys.executable, "-m", "mooring_operator.api", str(crds), str(page), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    page.write_text(page.read_text().replace("NoDrift", "NoDraft"))
    stale = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (stale.returncode, "reasons.md: differs" in stale.stdout) == (1, True)
