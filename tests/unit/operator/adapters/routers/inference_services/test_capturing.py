"""What the model's container is told about capture, and that Mooring's runtime reads it so."""

import pytest
from mooring_inference.capture.settings import Bucket, Drop, Hmac
from mooring_inference.settings import parse_settings
from mooring_operator.adapters.routers.inference_services.manifest import predictor
from mooring_operator.api.runtimes import PinnedRuntime

from tests.unit.operator.adapters.routers.inference_services.test_fields import expanded
from tests.unit.operator.adapters.routers.inference_services.test_manifest import executed
from tests.unit.operator.adapters.routers.revisions import revision

STORE = "s3://captured/team-a"
ALL = {
    "store": STORE,
    "sample": 0.1,
    "features": ["x[0]", "{{.Name}} $(TOKEN)", "a=b"],
    "mask": {"a=b": "bucket:18,30.5", "x[0]": "hmac", "größe": "drop"},
    "retention": "90m",
}
KEY = {"envFrom": [{"secretRef": {"name": "capture"}}]}


def runtime(server_type):
    return PinnedRuntime(kind="ClusterServingRuntime", name="runtime", server_type=server_type, spec={})


def on(server_type, **serving):
    return revision(**serving).model_copy(update={"runtime": runtime(server_type)})


def variables_of(container):
    return {one["name"]: one["value"] for one in container.get("env", [])}


def captures(made):
    """Say whether anything of a predictor is about capture."""
    return "CAPTURE" in str(made) or "mooring-capture" in str(made)


@pytest.mark.parametrize("of", [revision, lambda **serving: on("mooring-inference", **serving)])
def test_the_runtime_reads_what_the_resource_says(of):
    """KServe executes the container as a template, and the kubelet expands its variables."""
    written = variables_of(predictor(of(capture=ALL, **KEY))["model"])
    environ = {name: expanded(executed(text)) for name, text in written.items()}
    capture = parse_settings(["--model_name=digits", "--model_dir=/m"], environ).capture
    assert (capture.uri, capture.sample, capture.retention_hours) == (STORE, 0.1, 1.5)
    assert capture.features == ("x[0]", "{{.Name}} $(TOKEN)", "a=b")
    assert capture.masks == {
        "a=b": Bucket((18, 30.5), ("<18", "[18,30.5)", ">=30.5")),
        "x[0]": Hmac(),
        "größe": Drop(),
    }


def test_the_least_that_can_be_said_keeps_everything_for_ever():
    capture = parse_settings(
        ["--model_name=digits", "--model_dir=/m"],
        variables_of(predictor(revision(capture={"store": STORE}))["model"]),
    ).capture
    assert (capture.sample, capture.features, capture.masks, capture.retention_hours) == (1, None, {}, None)


def test_files_wait_in_a_folder_that_can_be_written_and_outlives_the_container():
    """The runtime's root is read-only."""
    made = predictor(revision(capture=ALL, **KEY))
    [volume] = made["volumes"]
    [mount] = made["model"]["volumeMounts"]
    assert volume == {"name": "mooring-capture", "emptyDir": {"sizeLimit": "2Gi"}}
    assert mount["name"] == volume["name"]
    assert variables_of(made["model"])["MOORING_CAPTURE_SPOOL_DIR"] == mount["mountPath"]


def test_another_server_is_told_nothing():
    assert not captures(predictor(on("mlserver", capture=ALL, **KEY)))
    assert not captures(predictor(on("", capture=ALL, **KEY)))
    assert not captures(predictor(on("mooring-inference")))


def test_no_template_and_no_variable_sends_requests_elsewhere():
    elsewhere = [{"name": "MOORING_CAPTURE_URI", "value": "s3://elsewhere"}]
    template = {
        "volumes": [
            {"name": "mooring-capture", "hostPath": {"path": "/"}},
            {"name": "cache", "emptyDir": {}},
        ],
        "model": {
            "env": elsewhere,
            "volumeMounts": [
                {"name": "cache", "mountPath": "/var/spool/mooring-capture"},
                {"name": "cache", "mountPath": "/cache"},
            ],
        },
    }
    made = predictor(revision(capture={"store": STORE}, env=elsewhere, template=template))
    assert [v["value"] for v in made["model"]["env"] if v["name"] == "MOORING_CAPTURE_URI"] == [STORE]
    assert {volume["name"]: [*volume][1] for volume in made["volumes"]} == {
        "mooring-capture": "emptyDir",
        "cache": "emptyDir",
    }
    assert {mount["mountPath"]: mount["name"] for mount in made["model"]["volumeMounts"]} == {
        "/cache": "cache",
        "/var/spool/mooring-capture": "mooring-capture",
    }


def test_a_container_of_the_templates_is_told_too_and_no_other_is():
    own = {"containers": [{"name": "side", "image": "s"}, {"name": "kserve-container", "image": "own"}]}
    model, side = predictor(revision(capture=ALL, template=own))["containers"]
    assert variables_of(model)["MOORING_CAPTURE_URI"] == STORE
    assert not captures(side)
