"""What docs/benchmarks.md tells people to run: each command is there, and writes its figures to a file where asked."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = re.findall(
    r"python (?:-m (tests\.benchmarks[\w.]*)|(tests/benchmarks/\w+)\.py)",
    (ROOT / "docs/benchmarks.md").read_text(),
)
MODULES = sorted({(dotted or path).replace(".", "/") for dotted, path in COMMANDS})


def source(module: str) -> str:
    file = ROOT / f"{module}.py"
    return (file if file.exists() else ROOT / module / "__main__.py").read_text()


def test_the_document_names_commands():
    assert "tests/benchmarks/serving" in MODULES
    assert "tests/benchmarks/reconcile" in MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_benchmark_writes_its_figures_to_a_file_where_asked(module):
    assert 'add_argument("--json"' in source(module)
