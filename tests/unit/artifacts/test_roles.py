"""Programs that are there without the packages of their role."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from mooring_artifacts.roles import packages_of

ROOT = Path(__file__).parents[3]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
LACKING = {
    "mooring": ("typer", "cli"),
    "kubectl-mooring": ("typer", "cli"),
    "mooring-operator": ("kopf", "operator"),
    "mooring-inference": ("uvloop", "inference"),
}


@pytest.mark.parametrize("program", SCRIPTS)
def test_a_program_says_which_package_it_lacks(program):
    package, role = LACKING[program]
    module, function = SCRIPTS[program].split(":")
    code = f"import sys; sys.modules[{package!r}] = None; from {module} import {function} as run; run()"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        rf"error: [a-z-]+ needs the package {package}, which is not installed; install requirements/{role}\.txt, "
        rf"or kube-mooring with its extra {role} \(docs/install\.md\)\n",
        done.stderr,
    )
    assert (ROOT / "requirements" / f"{role}.txt").is_file()


@pytest.mark.parametrize("missing", ["mooring_operator.gone", ""])
def test_a_mistake_of_ours_is_no_missing_package(missing):
    with pytest.raises(ModuleNotFoundError), packages_of("cli", "mooring"):
        raise ModuleNotFoundError("No module", name=missing or None)
