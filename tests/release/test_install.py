"""What docs/install.md says, done in a copy of the checkout."""

import re
import tomllib

from tests.release.checkout import copy_checkout, sources
from tests.release.documented import ROOT, Terminal, commands

MANIFEST = """\
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata: {name: digits}
spec:
  model: {uri: s3://models/digits/v2, format: onnx}
"""


def test_command_line_comes_from_a_checkout_as_documented(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(MANIFEST)
    bad.write_text(MANIFEST.replace("format: onnx", "formt: onnx"))
    terminal = Terminal(tmp_path / "home", copy_checkout(tmp_path / "checkout"))
    lines = commands("install.md", "The command line, from a checkout")
    done = terminal.run(lines)
    assert done.returncode == 0, done.stderr
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert done.stdout.splitlines()[-1] == f"mooring {version} (mooring.dev/v1alpha1)"
    activate = next(line for line in lines if line.startswith(". "))
    assert terminal.run([activate, f"mooring validate {good}"]).returncode == 0
    refused = terminal.run([activate, f"mooring validate {bad}"])
    assert refused.returncode == 1
    assert "formt" in refused.stdout + refused.stderr
    # Mooring is there by its own name, and nobody else's program of the name that it had.
    listed = terminal.run([activate, "pip list --format=freeze"]).stdout
    assert re.search(rf"^kube-mooring=={re.escape(version)}", listed, re.MULTILINE)
    assert not re.search(r"^mooring==", listed, re.MULTILINE)
    assert terminal.run([activate, "pip check"]).returncode == 0


def test_nothing_tells_anybody_to_install_another_projects_program():
    told = re.compile(
        rb"(?m)(^|[^-_./\w])mooring\[(?!\.\])|(pip|uv|pipx) (tool )?install (-U )?['\"]?mooring\b"
    )
    names = [name for name in sources() if not name.startswith("tests/release/")]
    assert {"docs/install.md", "pyproject.toml", "inference/mooring_inference/main.py"} <= set(names)
    assert [name for name in names if told.search((ROOT / name).read_bytes())] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "kube-mooring"
    extras = project["optional-dependencies"].values()
    own = [entry for extra in extras for entry in extra if "mooring" in entry]
    assert own
    assert all(entry.startswith("kube-mooring[") for entry in own)


def test_roles_that_are_documented_have_requirements():
    page = (ROOT / "docs" / "install.md").read_text()
    rows = re.findall(r"^\| [^|`]+\| ((?:`[a-z-]+`(?: and )?)+) \|", page, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert named == {"cli", "inference", "inference-cuda", "pipelines", "components", "operator"}
    for name in named:
        assert (ROOT / "requirements" / f"{name}.txt").is_file()
