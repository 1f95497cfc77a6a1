"""The command line as a whole: help, exit codes, bad input, what needs no cluster."""

import io
import json
import subprocess
import sys

import pytest
import yaml
from mooring_operator.cli.help import paragraphs
from mooring_operator.cli.main import make_app, run
from typer.main import get_command

from tests.unit.cli_world import MANIFEST, invoke

COMMANDS = sorted(get_command(make_app()).commands)


def test_every_command_of_the_documentation_is_there():
    assert COMMANDS == [
        "abort", "adopt", "analyse", "approve", "audit", "ci", "crds", "data", "demo", "drift", "list", "pause",
        "pipelines", "promote", "rehearse", "resume", "retry", "rollback", "schema", "status", "validate", "version",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in COMMANDS),
        ["pipelines", "serve"],
        ["schema", "infer"],
        ["ci", "run"],
        ["data", "push"],
        [],
    ],
)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help(capsys, command, flag):
    code, out, err = invoke(capsys, *command, flag)
    assert (code, err) == (0, "")
    assert "Usage:" in out
    if command not in (["pipelines"], ["schema"], ["ci"], ["data"]):
        assert "Examples:" in out


@pytest.mark.parametrize(
    "command", ["validate", "rehearse", "status", "drift", "list", "audit", "crds", "version"]
)
def test_what_shows_something_also_writes_json(capsys, command):
    assert "json" in invoke(capsys, command, "-h")[1]


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from mooring_operator.cli.main import run; run(['--help']); "
        "heavy = {'pydantic', 'lightkube', 'celpy', 'jsonschema', 'yaml', 'httpx2'} & set(sys.modules); "
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["validate"], ["status"], ["list", "--colour"]])
def test_wrong_usage_is_2(capsys, arguments):
    code, out, err = invoke(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Usage:" in err


def test_lines_in_a_pipe_end_with_their_text(capsys, write):
    _, out, _ = invoke(capsys, "rehearse", write(MANIFEST))
    assert "What happens\n" in out
    assert [line for line in out.splitlines() if line.endswith(" ")] == []


def test_version_is_a_command_and_an_option(capsys):
    said = invoke(capsys, "version")
    assert said == invoke(capsys, "--version")
    assert (said[0], said[1].startswith("mooring ")) == (0, True)


def test_help_of_the_pipelines_server_keeps_it_on_this_machine(capsys):
    """Whoever reaches its port can run programs."""
    _, out, _ = invoke(capsys, "pipelines", "serve", "--help")
    assert "0.0.0.0" not in out
    assert "can run programs" in " ".join(out.replace("│", " ").split())


def test_crds_are_what_the_repository_holds(capsys):
    _, out, _ = invoke(capsys, "crds")
    kinds = [document["spec"]["names"]["kind"] for document in yaml.safe_load_all(out)]
    assert kinds == [
        "ModelDeployment",
        "DriftMonitor",
        "ModelPolicy",
        "ClusterModelPolicy",
        "AnalysisTemplate",
        "ClusterAnalysisTemplate",
    ]
    items = json.loads(invoke(capsys, "crds", "-o", "json")[1])["items"]
    assert items == list(yaml.safe_load_all(out))


def test_version(capsys):
    assert invoke(capsys, "version")[1].endswith(" (mooring.dev/v1alpha1)\n")
    assert set(json.loads(invoke(capsys, "version", "-o", "json")[1])) == {"version", "apiVersion"}


def test_the_demo_needs_a_checkout(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = invoke(capsys, "demo", "--anything", "x")
    assert code == 2
    assert err.startswith("error: the demo runs from a checkout of Mooring")


def test_pipelines_without_their_packages(capsys, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="uvicorn")

    monkeypatch.setattr("importlib.import_module", missing)
    code, _, err = invoke(capsys, "pipelines", "serve")
    assert code == 2
    assert err == (
        "error: serving pipelines needs a package that is not installed: uvicorn\n"
        "hint: install kube-mooring with its extras pipelines and components\n"
    )


def test_rows_are_not_read_without_the_packages_that_read_them(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    for name in [name for name in sys.modules if name.startswith("mooring_components.validation")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, err = invoke(capsys, "schema", "infer", "rows.parquet")
    assert code == 2
    assert err == (
        "error: reading rows needs a package that is not installed: polars\n"
        "hint: install kube-mooring with its extra components\n"
    )


def test_pipelines_are_served_with_the_options(capsys, monkeypatch):
    served = []

    class Server:
        @staticmethod
        def serve(*arguments, **options):
            served.append((arguments, options))

    monkeypatch.setattr("importlib.import_module", lambda name: Server)
    assert (
        invoke(
            capsys, "pipelines", "serve", "--port", "9", "--data", "d", "--concurrency", "3", "--keep", "9"
        )[0]
        == 0
    )
    ((host, port, data), options) = served[0]
    assert (host, port, str(data), options) == ("127.0.0.1", 9, "d", {"concurrency": 3, "keep": 9})


def test_a_server_that_gives_up_says_why(capsys, monkeypatch):
    class Server:
        @staticmethod
        def serve(*arguments, **options):
            raise SystemExit("another server uses the data directory 'd'")

    monkeypatch.setattr("importlib.import_module", lambda name: Server)
    code, _, err = invoke(capsys, "pipelines", "serve")
    assert (code, err) == (2, "error: another server uses the data directory 'd'\n")


def test_paragraphs_wrap_and_examples_do_not():
    assert paragraphs("One\nline.\n\nAnother.", "a", "b") == (
        "One line.\n\nAnother.\n\n[bold]Examples:[/bold]\n\n  a\n  b"
    )


# --- mooring validate --------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="iris.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write_file


def test_a_valid_file(capsys, write):
    path = write(MANIFEST)
    assert invoke(capsys, "validate", path) == (0, f"{path}:1: ModelDeployment iris is valid\n", "")


def test_a_wrong_file(capsys, write):
    path = write(MANIFEST.replace("setWeight: 100", "setWeight: 5").replace("format:", "formt:"))
    code, out, err = invoke(capsys, "validate", path)
    assert code == 1
    assert out.splitlines() == [
        f"{path}:8: spec.model.formt: unknown field; did you mean format?",
        f"{path}:6: spec.model.format: is required",
    ] or out.splitlines() == [
        f"{path}:6: spec.model.format: is required",
        f"{path}:8: spec.model.formt: unknown field; did you mean format?",
    ]
    assert err == "2 problems in 1 document\n"


def test_a_broken_rule_is_at_its_field(capsys, write):
    path = write(MANIFEST.replace("setWeight: 100", "setWeight: 5"))
    code, out, _ = invoke(capsys, "validate", path)
    assert code == 1
    assert out.startswith(f"{path}:13: spec.rollout.steps: the weights must ascend and end at 100, got ")


def test_what_cannot_be_checked_is_said_when_asked(capsys, write):
    _, out, _ = invoke(capsys, "validate", "-v", write(MANIFEST))
    assert "spec.serving.mode: its rule compares with the object in the cluster: not checked here\n" in out


def test_folders_and_other_kinds(capsys, write, tmp_path):
    write(MANIFEST, "deploy/iris.yaml")
    other = write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n", "deploy/other.yml")
    code, out, _ = invoke(capsys, "validate", str(tmp_path / "deploy"))
    assert code == 0
    assert f"{other}:1: skipped: ConfigMap of v1 is not Mooring's\n" in out


def test_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MANIFEST.encode())))
    assert invoke(capsys, "validate", "-")[1] == "<stdin>:1: ModelDeployment iris is valid\n"


def test_findings_for_machines(capsys, write):
    path = write(MANIFEST.replace("setWeight: 100", "setWeight: 5"))
    code, out, _ = invoke(capsys, "validate", path, "-o", "json")
    assert code == 1
    (finding,) = json.loads(out)
    (problem,) = finding.pop("problems")
    assert (problem["line"], problem["field"]) == (13, "spec.rollout.steps")
    assert problem["message"].startswith("spec.rollout.steps: the weights must ascend and end at 100")
    assert finding == (
        {
            "file": path,
            "line": 1,
            "kind": "ModelDeployment",
            "name": "iris",
            "valid": False,
            "skipped": "",
            "warnings": [],
            "notChecked": ["spec.serving.mode"],
        }
    )


POLICY = """\
apiVersion: mooring.dev/v1alpha1
kind: ClusterModelPolicy
metadata: {name: production}
spec:
  requireCI: true
  allowedSources: ["s3://team-a"]
"""


def test_what_cluster_policies_demand_is_said_with_line_numbers(capsys, write, tmp_path):
    path = write(
        "apiVersion: mooring.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: iris}\nspec:\n"
        "  model:\n    uri: s3://team-ab/iris\n    format: onnx\n"
    )
    policies = tmp_path / "policies.yaml"
    policies.write_text(POLICY)
    code, out, _ = invoke(capsys, "validate", path, "--policies", str(policies))
    assert code == 1
    assert out.splitlines() == [
        f"{path}:4: spec.ci: is missing: models have to be tested (ClusterModelPolicy production)",
        f"{path}:6: spec.model.uri: 's3://team-ab/iris' does not lie in s3://team-a (ClusterModelPolicy production)",
    ]
    policies.write_text(POLICY.replace("s3://team-a", "s3://team-ab").replace("true", "false"))
    assert invoke(capsys, "validate", path, "--policies", str(policies))[0] == 0


def test_whether_a_registered_model_lies_in_a_source_is_known_when_it_is_resolved(capsys, write, tmp_path):
    path = write(
        "apiVersion: mooring.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: iris}\nspec:\n"
        "  model: {uri: 'models:/iris/1', format: onnx}\n  ci: {testData: {uri: s3://d/t}}\n"
    )
    policies = tmp_path / "policies.yaml"
    policies.write_text(POLICY)
    code, out, _ = invoke(capsys, "validate", path, "--policies", str(policies))
    assert code == 0
    assert f"{path}:5: warning: spec.model.uri: 'models:/iris/1' does not lie in s3://team-a" in out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: [", "not YAML"),
        ("a: b", "there is no ClusterModelPolicy in it"),
        (POLICY.replace("true", "maybe"), ":1: ClusterModelPolicy production is not valid"),
    ],
)
def test_policies_that_cannot_be_used_are_said(capsys, write, tmp_path, text, says):
    path = write(POLICY)
    policies = tmp_path / "policies.yaml"
    policies.write_text(text)
    code, _, err = invoke(capsys, "validate", path, "--policies", str(policies))
    assert code == 2
    assert says in err


def test_an_expression_that_cannot_be_read_is_a_warning(capsys, write):
    """The API server takes it; the operator would find it unmet for ever."""
    path = write(
        "apiVersion: mooring.dev/v1alpha1\nkind: ModelPolicy\nmetadata: {name: p}\nspec:\n  rules:\n"
        "  - name: good\n    expression: metrics.f1 > 0.5\n"
        "  - name: bad\n    expression: metrics.f1 >\n"
    )
    assert invoke(capsys, "validate", path) == (
        0,
        f'{path}:9: warning: spec.rules[1].expression: "metrics.f1 >" is never met: the expression cannot be '
        "read: line 1, column 13: Syntax error: mismatched input '<EOF>'\n"
        f"{path}:1: ModelPolicy p is valid\n",
        "",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1\nb: {", ":2: not YAML: while parsing a flow sequence: expected ',' or ']', but got ':'"),
        ("just text", ':1: must be a mapping with apiVersion and kind, got "just text"'),
    ],
)
def test_what_is_no_manifest(capsys, write, text, says):
    code, out, _ = invoke(capsys, "validate", write(text))
    assert code == 1
    assert says in out


def test_an_empty_file(capsys, write):
    path = write("# nothing\n")
    assert invoke(capsys, "validate", path)[:2] == (0, f"{path}:1: skipped: the file is empty\n")


def test_files_that_cannot_be_read(capsys, tmp_path):
    assert invoke(capsys, "validate", "nowhere.yaml") == (2, "", "error: nowhere.yaml: no such file\n")
    (tmp_path / "empty").mkdir()
    code, _, err = invoke(capsys, "validate", str(tmp_path / "empty"))
    assert (code, err) == (2, f"error: {tmp_path}/empty: no .yaml, .yml, .json file in this folder\n")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00a")
    assert invoke(capsys, "validate", str(tmp_path / "bytes.yaml"))[2].endswith("is no UTF-8 text\n")


def test_kubectl_names_itself(monkeypatch, capsys):
    assert run(["validate"], "kubectl mooring") == 2
    assert "Usage: kubectl mooring validate" in capsys.readouterr().err
