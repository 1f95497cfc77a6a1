"""The samples in docs/: the API server would take them, the models read them, and KServe's predictors follow."""

import re
import runpy
from pathlib import Path

import onnx
import pytest
import yaml
from mooring_artifacts.run_documents import parse_verdict
from mooring_operator.adapters.routers.inference_services.manifest import components, predictor, scaling
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.cli.main import run
from mooring_operator.cli.validation.check import check_document
from mooring_operator.cli.validation.source import read_objects
from mooring_operator.planning import identity

DOCS = Path(__file__).parents[4] / "docs"
SAMPLES = sorted((DOCS / "samples").glob("*.yaml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_is_valid_and_gives_a_predictor(sample):
    [document] = read_objects(sample.read_text())
    report = check_document(document)
    assert (report.kind, report.problems, report.warnings) == ("ModelDeployment", [], [])
    spec = ModelDeploymentSpec.model_validate(yaml.safe_load(sample.read_text())["spec"])
    revision = Revision(
        revision="0123456789",
        model_uri=spec.model.uri,
        storage_uri=spec.model.uri,
        format=spec.model.format,
        serving=identity.serving_snapshot(spec.serving),
    )
    made = {**predictor(revision), **scaling(revision.serving_spec)}
    assert ("model" in made) != spec.serving.is_custom
    assert set(components(revision)) == ({"transformer"} if spec.serving.transformer else set())


@pytest.mark.parametrize(
    "sample", sorted((DOCS / "samples" / "templates").glob("*.yaml")), ids=lambda it: it.stem
)
def test_a_sample_of_a_template_is_valid(sample):
    [document] = read_objects(sample.read_text())
    report = check_document(document)
    assert (report.kind, report.problems, report.warnings) == (document.value["kind"], [], [])
    assert report.kind in ("AnalysisTemplate", "ClusterAnalysisTemplate")


TESTED = [sample for sample in SAMPLES if "ci" in yaml.safe_load(sample.read_text())["spec"]]


@pytest.mark.parametrize("sample", TESTED, ids=lambda sample: sample.stem)
def test_a_sample_with_a_test_passes_it_here_by_the_command_that_it_shows(sample, monkeypatch, capsys):
    monkeypatch.chdir(DOCS.parent)
    (command,) = re.findall(r"^# mooring (ci run .*)$", sample.read_text(), re.MULTILINE)
    code = run([*command.split(), "-o", "json"])
    verdict = parse_verdict(capsys.readouterr().out.encode())
    gates = ModelDeploymentSpec.model_validate(yaml.safe_load(sample.read_text())["spec"]).ci.gates
    assert (code, verdict.passed, verdict.violations) == (0, True, [])
    assert {gate.metric for gate in gates} <= verdict.metrics.keys()
    assert verdict.metrics["rows"] == 75


def test_there_is_a_sample_with_a_test():
    assert "iris" in {sample.stem for sample in TESTED}


def test_the_files_of_the_sample_are_what_its_program_writes(tmp_path):
    place = DOCS / "samples" / "iris"
    runpy.run_path(str(place / "train.py"))["write"](tmp_path)
    for name in ("test.csv", "model/features.json"):
        assert (tmp_path / name).read_bytes() == (place / name).read_bytes()
    made, kept = (onnx.load(folder / "model" / "model.onnx").graph for folder in (tmp_path, place))
    assert [node.op_type for node in made.node] == [node.op_type for node in kept.node]
    (made,), (kept,) = (
        [
            attribute.floats
            for node in graph.node
            for attribute in node.attribute
            if attribute.name == "coefficients"
        ]
        for graph in (made, kept)
    )
    # What solves for them may round otherwise on another machine.
    assert list(made) == pytest.approx(list(kept), rel=1e-2, abs=1e-3)


def test_there_is_a_sample_of_each_kind_of_server():
    assert {sample.stem for sample in SAMPLES} >= {"vllm", "sklearn", "triton", "custom"}


PARTS = [
    pytest.param(page, block, id=f"{page}-{index}")
    for page in ("strategies", "rollouts", "routers", "checks", "analysis", "kserve")
    for index, block in enumerate(
        re.findall(r"^```yaml\n(.*?)^```", (DOCS / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)
    )
]


@pytest.mark.parametrize(("page", "block"), PARTS)
def test_a_part_that_a_page_shows_is_valid(page, block):
    part = yaml.safe_load(block)
    if not {"spec", "rollout"} & set(part):
        part = {"rollout": part}
    spec = {"model": {"uri": "s3://models/digits/v2", "format": "onnx"}, **part.get("spec", part)}
    whole = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "digits"}}
    [document] = read_objects(yaml.safe_dump({**whole, "spec": spec}))
    report = check_document(document)
    assert (report.problems, report.warnings) == ([], [])


def test_there_is_a_part_for_each_strategy_with_settings():
    shown = {page_and_block.values[1] for page_and_block in PARTS if page_and_block.values[0] == "strategies"}
    assert all(
        any(f"strategy: {name}" in block for block in shown) for name in ("BlueGreen", "Shadow", "ABTest")
    )
