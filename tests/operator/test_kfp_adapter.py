"""The operator's adapter against the real pipelines server, and against servers that misbehave."""

import asyncio
import re
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import kfp_server_api as kfp
import mooring_pipelines
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.storage import content_digest
from mooring_operator.adapters.documents import StoredDocuments
from mooring_operator.adapters.pipelines import PipelinesRefused, PipelinesUnavailable
from mooring_operator.adapters.pipelines.kfp import KfpPipelines
from mooring_operator.adapters.pipelines.kfp_client import KfpSettings
from mooring_operator.cli import main
from mooring_operator.planning.runs.run import OwnPipeline, RunOwner, RunRequest, Trainer
from onnx import TensorProto, helper

from tests.operator.test_kfp_server import SECONDS, Server, refusal

OWNER = RunOwner("mooring.dev/v1alpha1", "ModelDeployment", "digits", "9a1f2f6e-0000-4000-8000-000000000000")
MODEL_CI = Path(mooring_pipelines.__file__).parent / "compiled" / "model-ci.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("kfp")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a model that predicts its second feature's sign, and data it gets 3 of 4 rows right on."""
    folder = tmp_path_factory.mktemp("model")
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.0, 0.0, -1.0, 1.0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        [weights],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx"
    )
    rows = {"a": [0.0] * 4, "b": [1.0, 1.0, -1.0, -1.0], "label": np.array([1, 1, 0, 1])}
    pq.write_table(pa.table(rows), folder / "test.parquet")
    return folder


def adapter(host, **options):
    return KfpPipelines(KfpSettings(host=host, **options), {"model-ci": MODEL_CI})


def request(model, tmp_path, *, gates=(), run_id=None, **changes):
    run_id = run_id or str(uuid.uuid4())
    parameters = {
        "model_uri": f"file://{model}/m.onnx",
        "test_data_uri": f"file://{model}/test.parquet",
        "verdict_uri": f"file://{tmp_path}/{run_id}.json",
        "run_id": run_id,
        "gates": list(gates),
        **changes,
    }
    return RunRequest(run_id, "digits-ci", "model-ci", parameters, "team", OWNER, timedelta(minutes=5))


async def finished(pipelines, run_id):
    deadline = time.monotonic() + SECONDS
    while (state := await pipelines.get("team", run_id)).phase in ("Pending", "Running"):
        assert time.monotonic() < deadline, f"still {state} after {SECONDS} s"
        await asyncio.sleep(0.1)
    return state


async def test_a_violated_gate_is_a_succeeded_run_whose_verdict_rejects(server, model, tmp_path):
    pipelines = adapter(server.host)
    gates = [{"metric": "accuracy", "min": 0.9}, {"metric": "latencyP99Ms", "max": 1000}]
    run = request(model, tmp_path, gates=gates)
    await pipelines.launch(run)
    state = await finished(pipelines, run.run_id)
    assert (state.run_id, state.phase, state.message) == (run.run_id, "Succeeded", "")
    verdict = await StoredDocuments().verdict(run.parameters["verdict_uri"])
    assert (verdict.passed, verdict.run_id) == (False, run.run_id)
    assert [v.message for v in verdict.violations] == ["accuracy 0.75 is below the minimum 0.9"]
    assert verdict.metrics["accuracy"] == 0.75
    assert {"latencyP95Ms", "modelSizeMB", "f1", "rows"} <= set(verdict.metrics)


async def test_an_error_is_a_failed_run_that_names_the_task_and_the_reason(server, model, tmp_path):
    pipelines = adapter(server.host)
    run = request(model, tmp_path, label_column="target")
    await pipelines.launch(run)
    state = await finished(pipelines, run.run_id)
    assert state.phase == "Failed"
    assert state.message.startswith("evaluate-quality: label_column 'target' is not in ")
    # The real server names the step alone, and not the reason: a step leaves it where the verdict would be.
    left = await StoredDocuments().verdict(run.parameters["verdict_uri"])
    assert (left.run_id, left.error.reason) == (run.run_id, "InvalidInput")
    assert left.error.message.startswith("evaluate-quality: label_column 'target' is not in ")


async def test_data_that_violates_its_schema_leaves_what_is_wrong(server, model, tmp_path):
    pipelines = adapter(server.host)
    schema = "columns:\n- {name: label, type: integer, max: 0}\nextraColumns: Allow\n"
    run = request(model, tmp_path, data_schema=schema, validates_data=True)
    await pipelines.launch(run)
    assert (await finished(pipelines, run.run_id)).phase == "Failed"
    left = await StoredDocuments().verdict(run.parameters["verdict_uri"])
    assert left.error.message == "validate-data: column label has 3 values above 0.0, such as '1' in row 0"


async def test_launching_one_id_twice_and_at_once_makes_one_run(server, model, tmp_path):
    run = request(model, tmp_path)
    first, second = adapter(server.host), adapter(server.host)
    await first.launch(run)
    await first.launch(run)
    await second.launch(run)
    twin = request(model, tmp_path)
    # One of these may lose the race between GET and POST; what it must not do is make a second run.
    for outcome in await asyncio.gather(
        *(p.launch(twin) for p in (first, second) * 3), return_exceptions=True
    ):
        assert outcome is None or isinstance(outcome, PipelinesUnavailable)
    await first.launch(twin)
    listed = server.runs.run_service_list_runs(page_size=200).runs
    ids = {run.run_id, twin.run_id}
    assert sorted(r.run_id for r in listed if r.run_id in ids) == sorted(ids)
    for run_id in (run.run_id, twin.run_id):
        assert (await finished(first, run_id)).phase == "Succeeded"


async def test_the_pipeline_is_uploaded_once_for_each_content(server, model, tmp_path):
    changed = tmp_path / "model-ci.yaml"
    changed.write_text(MODEL_CI.read_text() + "\n# another comment\n")
    for source in (MODEL_CI, MODEL_CI, changed):
        pipelines = KfpPipelines(KfpSettings(host=server.host), {"uploads": source})
        run = request(model, tmp_path)
        run = replace(run, pipeline="uploads")
        await pipelines.launch(run)
        await pipelines.terminate("team", run.run_id)
    pipeline = server.pipelines.pipeline_service_get_pipeline_by_name("uploads")
    page = server.pipelines.pipeline_service_list_pipeline_versions(pipeline.pipeline_id)
    assert len({version.name for version in page.pipeline_versions}) == page.total_size == 2


async def test_steps_run_in_the_image_that_the_operator_is_told(server, model, tmp_path):
    image = f"registry.example/mooring/components@sha256:{'5' * 64}"
    settings = KfpSettings(host=server.host, image=image)
    pipelines = KfpPipelines(settings, {"by-digest": MODEL_CI})
    run = replace(request(model, tmp_path), pipeline="by-digest")
    await pipelines.launch(run)
    await pipelines.terminate("team", run.run_id)
    pipeline = server.pipelines.pipeline_service_get_pipeline_by_name("by-digest")
    page = server.pipelines.pipeline_service_list_pipeline_versions(pipeline.pipeline_id)
    (version,) = page.pipeline_versions
    executors = version.pipeline_spec["deploymentSpec"]["executors"].values()
    assert len(executors) == 7
    assert {executor["container"]["image"] for executor in executors} == {image}


async def test_what_a_person_deletes_in_kfp_is_made_again(server, model, tmp_path):
    pipelines = adapter(server.host, experiment="of-a-person")
    first = request(model, tmp_path)
    await pipelines.launch(first)
    reference = server.runs.run_service_get_run(first.run_id).pipeline_version_reference
    versions = f"pipelines/{reference.pipeline_id}/versions/{reference.pipeline_version_id}"
    experiment = server.runs.run_service_get_run(first.run_id).experiment_id
    for path in (versions, f"experiments/{experiment}"):
        assert server.delete(path) == 200
        run = request(model, tmp_path)
        await pipelines.launch(run)
        assert (await finished(pipelines, run.run_id)).phase == "Succeeded"
    await finished(pipelines, first.run_id)


async def test_an_experiment_whose_name_differs_by_case_is_the_one(server, model, tmp_path):
    server.experiments.experiment_service_create_experiment(kfp.V2beta1Experiment(display_name="Shouted"))
    run = request(model, tmp_path)
    pipelines = adapter(server.host, experiment="SHOUTED")
    await pipelines.launch(run)
    await pipelines.terminate("team", run.run_id)
    assert await finished(pipelines, run.run_id)


async def test_terminating_an_unknown_or_finished_run_is_no_error(server, model, tmp_path):
    pipelines = adapter(server.host)
    await pipelines.terminate("team", str(uuid.uuid4()))
    run = request(model, tmp_path)
    await pipelines.launch(run)
    await pipelines.terminate("team", run.run_id)
    state = await finished(pipelines, run.run_id)
    assert (state.phase, state.message) == ("Failed", "the run failed; KFP does not say why, its page does")
    await pipelines.terminate("team", run.run_id)
    assert await pipelines.get("team", run.run_id) == state


async def test_an_unknown_run_is_none(server):
    assert await adapter(server.host).get("team", str(uuid.uuid4())) is None


async def test_parameters_that_do_not_fit_are_refused_and_make_no_run(server, model, tmp_path):
    pipelines = adapter(server.host)
    run = request(model, tmp_path, model_url="typo")
    with pytest.raises(PipelinesRefused, match=r"400: parameter.* not required by pipeline: model_url"):
        await pipelines.launch(run)
    assert refusal(server.runs.run_service_get_run, run.run_id)[0] == 404


async def test_a_pipeline_that_is_not_shipped_is_refused_by_name(server, model, tmp_path):
    run = request(model, tmp_path)
    with pytest.raises(PipelinesRefused, match="pipeline 'retrain' is not one of model-ci"):
        await adapter(server.host).launch(replace(run, pipeline="retrain"))


def test_the_link_leads_to_the_runs_page():
    assert (
        adapter("http://api/", ui="https://kfp/ui/").url("team", "r1") == "https://kfp/ui/#/runs/details/r1"
    )
    assert adapter("http://api/").url("team", "r1") == "http://api/#/runs/details/r1"


def test_the_adapters_import_neither_the_sdk_nor_numpy():
    program = (
        "import sys, mooring_operator.adapters.pipelines.kfp, mooring_operator.adapters.documents;"
        "print(*({'kfp', 'numpy', 'pyarrow', 'kubernetes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b""


OWN = """
from kfp import compiler, dsl

@dsl.component(install_kfp_package=False)
def judge(model_uri: str, run_id: str, verdict_uri: str, least: float):
    import json
    from urllib.request import url2pathname
    verdict = {
        "schemaVersion": 1, "runId": run_id, "modelUri": model_uri, "modelDigest": "sha256:" + "0" * 64,
        "passed": True, "metrics": {"accuracy": least}, "violations": [],
    }
    with open(url2pathname(verdict_uri.removeprefix("file://")), "w") as file:
        json.dump(verdict, file)

@dsl.pipeline(name="own-ci")
def own_ci(model_uri: str, run_id: str, verdict_uri: str, least: float = 0.25):
    judge(model_uri=model_uri, run_id=run_id, verdict_uri=verdict_uri, least=least)

@dsl.pipeline(name="own-ci")
def lacks_a_verdict(model_uri: str, run_id: str, epochs: int, verdict_uri: str = ""):
    judge(model_uri=model_uri, run_id=run_id, verdict_uri="", least=0.5)

compiler.Compiler().compile(own_ci, "own.yaml")
compiler.Compiler().compile(lacks_a_verdict, "broken.yaml")
"""


@pytest.fixture(scope="module")
def own(server, tmp_path_factory):
    """Pipeline own-ci with version v1, which tests models, and the newer v2, which does not."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "write.py").write_text(OWN)
    subprocess.run([sys.executable, "write.py"], cwd=folder, check=True, capture_output=True)
    made = server.pipelines.pipeline_service_create_pipeline(
        kfp.V2beta1Pipeline(name="own-ci", display_name="own-ci")
    )

    def upload(file, name):
        return server.uploads.upload_pipeline_version(
            str(folder / f"{file}.yaml"), name=name, pipelineid=made.pipeline_id
        )

    first, last = upload("own", "v1"), upload("broken", "v2")
    # Times are in whole seconds.
    while last.created_at <= first.created_at:
        server.pipelines.pipeline_service_delete_pipeline_version(made.pipeline_id, last.pipeline_version_id)
        last = upload("broken", "v2")
    return folder


async def test_a_pipeline_of_the_users_tests_a_model(server, own, model, tmp_path):
    pipelines = adapter(server.host)
    run = replace(request(model, tmp_path), own=OwnPipeline("own-ci", "v1"))
    await pipelines.launch(run)
    await pipelines.launch(run)
    assert (await finished(pipelines, run.run_id)).phase == "Succeeded"
    verdict = await StoredDocuments().verdict(run.parameters["verdict_uri"])
    assert (verdict.run_id, verdict.metrics) == (run.run_id, {"accuracy": 0.25})


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (OwnPipeline("own-ci"), "parameter epochs is none that Mooring gives: give it a default; parameter verdict_uri "
         "is given to no step"),
        (OwnPipeline("own-ci", "v1", ("champion_uri",)), "parameter champion_uri is missing, which gates"),
        (OwnPipeline("own-ci", "v1", ("endpoint",)), "parameter endpoint is missing, which spec.ci.target"),
        (OwnPipeline("own-ci", "v9"), "has no version 'v9'"),
        (OwnPipeline("another"), "there is no pipeline 'another' in Kubeflow Pipelines"),
    ],
)  # fmt: skip
async def test_a_pipeline_that_cannot_test_a_model_is_refused_and_makes_no_run(
    server, own, model, tmp_path, named, said
):
    pipelines = adapter(server.host)
    run = replace(request(model, tmp_path), own=named)
    with pytest.raises(PipelinesRefused, match=re.escape(said)):
        await pipelines.launch(run)
    assert await pipelines.get("team", run.run_id) is None


def test_the_command_line_says_beforehand_whether_a_pipeline_can_test_models(own, capsys):
    assert main.run(["ci", "check", str(own / "own.yaml")]) == 0
    said = capsys.readouterr().out
    assert said.replace("\n", " ").strip().endswith("it is given model_uri, verdict_uri, run_id")
    assert main.run(["ci", "check", str(own / "broken.yaml")]) == 1
    lines = " ".join(capsys.readouterr().out.split())
    assert "parameter epochs is none that Mooring gives" in lines
    assert "parameter verdict_uri is given to no step" in lines
    assert main.run(["ci", "check", str(own / "write.py")]) == 2


TRAIN = """
import json, sys
from pathlib import Path
told = json.loads(sys.argv[-1])
folder = Path(told["modelUri"].removeprefix("file://"))
folder.mkdir(parents=True)
(folder / "model.txt").write_text(f"{sys.argv[1:-1]} {told['rows']}")
"""
COMPILED = {name: MODEL_CI.parent / f"{name}.yaml" for name in ("retrain", "register-model")}


def training(tmp_path, **fields):
    run_id = str(uuid.uuid4())
    told = {"modelUri": f"file://{tmp_path}/models/{run_id}", "rows": {"window": {"uri": "s3://a/b"}}}
    run = RunRequest(run_id, "training", "retrain", {"training": told}, "team", OWNER, timedelta(minutes=5))
    trainer = Trainer("registry.example.com/train:1", **fields)
    return replace(run, trainer=trainer)


async def test_a_container_of_the_users_trains_and_what_it_left_is_found(server, tmp_path):
    pipelines = KfpPipelines(KfpSettings(host=server.host), COMPILED)
    run = training(tmp_path, command=(sys.executable, "-c", TRAIN), args=("--epochs", "3"))
    await pipelines.launch(run)
    await pipelines.launch(run)
    state = await finished(pipelines, run.run_id)
    assert (state.phase, state.message) == ("Succeeded", "")
    [left] = (tmp_path / "models" / run.run_id).iterdir()
    assert left.read_text() == "['--epochs', '3'] {'window': {'uri': 's3://a/b'}}"
    verdict_uri = f"file://{tmp_path}/verdict.json"
    parameters = {
        "model_uri": run.parameters["training"]["modelUri"],
        "registration": {},
        "verdict_uri": verdict_uri,
        "run_id": str(uuid.uuid4()),
    }
    found = replace(
        run, run_id=parameters["run_id"], pipeline="register-model", parameters=parameters, trainer=None
    )
    await pipelines.launch(found)
    assert (await finished(pipelines, found.run_id)).phase == "Succeeded"
    verdict = await StoredDocuments().verdict(verdict_uri)
    assert (verdict.run_id, verdict.model_digest) == (found.run_id, content_digest(parameters["model_uri"]))


async def test_each_container_is_a_version_of_the_pipeline_that_trains(server, tmp_path):
    pipelines = KfpPipelines(KfpSettings(host=server.host), {"trains": COMPILED["retrain"]})
    for command in (("one",), ("two",), ("one",)):
        run = replace(training(tmp_path, command=command), pipeline="trains")
        await pipelines.launch(run)
        await pipelines.terminate("team", run.run_id)
    pipeline = server.pipelines.pipeline_service_get_pipeline_by_name("trains")
    page = server.pipelines.pipeline_service_list_pipeline_versions(pipeline.pipeline_id)
    containers = [
        version.pipeline_spec["deploymentSpec"]["executors"]["exec-train"]["container"]
        for version in page.pipeline_versions
    ]
    assert sorted(container["command"] for container in containers) == [["one"], ["two"]]


async def test_a_container_without_a_command_is_refused_and_makes_no_run(server, tmp_path):
    pipelines = KfpPipelines(KfpSettings(host=server.host), COMPILED)
    run = training(tmp_path)
    with pytest.raises(PipelinesRefused, match=r"spec\.retrain\.command is missing"):
        await pipelines.launch(run)
    assert await pipelines.get("team", run.run_id) is None


OWN_TRAINING = """
from kfp import compiler, dsl

@dsl.component(install_kfp_package=False)
def fit(training: dict, model_uri: str):
    from pathlib import Path
    folder = Path(model_uri.removeprefix("file://"))
    folder.mkdir(parents=True)
    (folder / "model.txt").write_text(training["monitor"])

@dsl.pipeline(name="own-training")
def own_training(training: dict, model_uri: str, epochs: int = 3):
    fit(training=training, model_uri=model_uri)

compiler.Compiler().compile(own_training, "own.yaml")
"""


@pytest.fixture
def own_training(tmp_path):
    (tmp_path / "write.py").write_text(OWN_TRAINING)
    subprocess.run([sys.executable, "write.py"], cwd=tmp_path, check=True, capture_output=True)


async def test_a_pipeline_of_the_users_trains_a_model(server, own_training, tmp_path, capsys):
    assert main.run(["ci", "check", str(tmp_path / "own.yaml"), "--trains"]) == 0
    assert "it is given training, model_uri" in " ".join(capsys.readouterr().out.split())
    assert main.run(["ci", "check", str(MODEL_CI), "--trains"]) == 1
    made = server.pipelines.pipeline_service_create_pipeline(
        kfp.V2beta1Pipeline(name="own-training", display_name="own-training")
    )
    server.uploads.upload_pipeline_version(str(tmp_path / "own.yaml"), name="v1", pipelineid=made.pipeline_id)
    run = training(tmp_path)
    model_uri = run.parameters["training"]["modelUri"]
    parameters = {"training": {"monitor": "traffic"}, "model_uri": model_uri, "run_id": run.run_id}
    own = OwnPipeline("own-training", purpose="Training")
    pipelines = adapter(server.host)
    await pipelines.launch(replace(run, parameters=parameters, own=own, trainer=None))
    assert (await finished(pipelines, run.run_id)).phase == "Succeeded"
    assert (tmp_path / "models" / run.run_id / "model.txt").read_text() == "traffic"


async def test_people_score_rows_by_a_pipeline_that_the_command_line_prints(server, model, tmp_path, capsys):
    image = "registry.example.com/mooring/components:1"
    assert main.run(["pipelines", "show", "batch-score", "--image", image]) == 0
    (tmp_path / "batch-score.yaml").write_text(capsys.readouterr().out)
    assert f"image: {image}" in (tmp_path / "batch-score.yaml").read_text()
    made = server.uploads.upload_pipeline(str(tmp_path / "batch-score.yaml"), name="batch-score")
    version = server.pipelines.pipeline_service_list_pipeline_versions(made.pipeline_id).pipeline_versions[0]
    parameters = {
        "model_uri": f"file://{model}/m.onnx",
        "data_uri": f"file://{model}/test.parquet",
        "output_uri": f"file://{tmp_path}/scores",
        "arguments": ["--columns=a,b"],
    }
    reference = kfp.V2beta1PipelineVersionReference(made.pipeline_id, version.pipeline_version_id)
    run = server.runs.run_service_create_run(
        kfp.V2beta1Run(
            display_name="scores",
            pipeline_version_reference=reference,
            runtime_config=kfp.V2beta1RuntimeConfig(parameters=parameters),
        )
    )
    state = await finished(adapter(server.host), run.run_id)
    assert (state.phase, state.message) == ("Succeeded", "")
    assert pq.read_table(tmp_path / "scores", ignore_prefixes=["_"]).num_rows == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobodys", "--image", "a/b"], "pipeline 'nobodys' is not one of batch-score, drift-evaluation"),
        (["model-ci", "--image", "a b"], "--image 'a b' is not the name of an image"),
    ],
)
def test_a_pipeline_that_cannot_be_printed_is_told(arguments, said, capsys):
    assert main.run(["pipelines", "show", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
