"""InferenceServices that serve by a container of their own."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.restoring import undone
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.adoption.inference_services import adopt_inference_service
from mooring_operator.cli.adoption.serving import revision_of
from mooring_operator.cli.adoption.writing import to_yaml
from mooring_operator.cli.commands.validate import check_manifest
from mooring_operator.cli.errors import RefusedError
from mooring_operator.cli.files import Manifest

UID = "6d6f6f72-696e-4067-8000-6d6f6f72696e"
ADDRESS = {"name": "STORAGE_URI", "value": "s3://m/iris"}
OWN = {"name": "kserve-container", "image": "ours:1", "env": [ADDRESS]}


def isvc(*containers, **predictor):
    return {
        "kind": "InferenceService",
        "metadata": {
            "name": "iris",
            "uid": UID,
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {"predictor": {"containers": copy.deepcopy([*containers]), **predictor}},
    }


def adopt(item, uri="", model_format="sklearn"):
    return adopt_inference_service(item, uri, model_format)


def problems(adopted):
    found = check_manifest(Manifest("adopted", to_yaml(adopted.manifest)))
    return [problem for finding in found for problem in finding["problems"]]


def test_a_container_becomes_a_template_and_is_taken_over_as_it_runs():
    own = {**OWN, "args": ["--x"], "ports": [{"containerPort": 8080}], "resources": {"limits": {"cpu": "1"}}}
    adopted = adopt(isvc(own, {"name": "beside", "image": "b"}, nodeSelector={"a": "b"}, minReplicas=2))
    assert adopted.left_out == ()
    assert adopted.takes_over == f"iris/{UID}"
    assert adopted.spec["model"] == {"uri": "s3://m/iris", "format": "sklearn"}
    assert adopted.spec["serving"] == {
        "minReplicas": 2,
        "nodeSelector": {"a": "b"},
        "args": ["--x"],
        "resources": {"limits": {"cpu": "1"}},
        "template": {
            "containers": [
                {"name": "kserve-container", "image": "ours:1", "ports": [{"containerPort": 8080}]},
                {"name": "beside", "image": "b"},
            ]
        },
    }
    assert problems(adopted) == []


def test_the_only_container_needs_no_name():
    adopted = adopt(isvc({**OWN, "name": ""}))
    assert adopted.left_out == ()
    assert adopted.spec["serving"]["template"] == {
        "containers": [{"name": "kserve-container", "image": "ours:1"}]
    }


@pytest.mark.parametrize(
    ("containers", "uri", "model_format", "says"),
    [
        ([OWN], "", "", "does not say which model that is: say it by --format"),
        (
            [{**OWN, "env": []}],
            "",
            "onnx",
            "it has no variable STORAGE_URI, by which KServe loads one; say it by --uri",
        ),
        ([{**OWN, "env": []}], "", "", "say it by --uri and --format"),
        ([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}], "", "x", "modelFormat is missing"),
    ],
)
def test_a_model_that_nobody_names_is_refused_with_the_way_out(containers, uri, model_format, says):
    with pytest.raises(RefusedError, match=says):
        adopt(isvc(*containers), uri, model_format)


def test_a_model_within_an_image_is_not_taken_over_and_it_is_told():
    adopted = adopt(isvc({**OWN, "env": []}), "s3://m/x")
    assert adopted.takes_over == ""
    assert adopted.left_out == ("spec.predictor.containers.kserve-container.env.STORAGE_URI: is new",)
    assert problems(adopted) == []


@pytest.mark.parametrize(
    ("texts", "said", "left_out"),
    [
        (["--a=$$b"], ["--a=$b"], ()),
        (["a$b", "{{x}}"], ["a$b", "{{x}}"], ()),
        (
            ["--port=$(PORT)"],
            ["--port=$(PORT)"],
            (
                "spec.predictor.containers.kserve-container.args: ['--port=$(PORT)'] becomes ['--port=$$(PORT)']",
            ),
        ),
    ],
)
def test_arguments_reach_the_container_as_they_did_or_are_named(texts, said, left_out):
    adopted = adopt(isvc({**OWN, "args": texts}))
    assert adopted.spec["serving"]["args"] == said
    assert adopted.left_out == left_out


def test_fields_that_no_template_takes_are_named():
    adopted = adopt(isvc({**OWN, "unheardOf": 1}, {"name": "b", "image": "b", "unheardOf": 1}))
    assert [line.partition(": ")[0] for line in adopted.left_out] == [
        "spec.predictor.containers.kserve-container.unheardOf",
        "spec.predictor.containers.b",
    ]
    assert problems(adopted) == []


texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=9) | st.sampled_from(
    ["$$", "$(A)", "$$(A)", "a$b", "{{.Name}}"]
)
names = st.from_regex(r"[a-z]([a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)


def container(name):
    return st.fixed_dictionaries(
        {"name": name, "image": names},
        optional={
            "command": st.lists(texts, min_size=1, max_size=2),
            "ports": st.just([{"containerPort": 8080}]),
            "volumeMounts": st.just([{"name": "v", "mountPath": "/v"}]),
        },
    )


servings = st.fixed_dictionaries(
    {
        "template": st.fixed_dictionaries(
            {
                "containers": st.tuples(
                    container(st.just("kserve-container")), container(st.just("beside"))
                ).map(list)
            },
            optional={"volumes": st.just([{"name": "v", "emptyDir": {}}])},
        )
    },
    optional={
        "args": st.lists(texts, min_size=1, max_size=2),
        "env": st.lists(
            st.builds(lambda name, value: {"name": name.upper(), "value": value}, names, texts),
            max_size=2,
            unique_by=lambda one: one["name"],
        ),
        "resources": st.just({"limits": {"cpu": "1"}}),
        "gpu": st.just({"count": 1}),
        "minReplicas": st.integers(1, 3),
    },
)


@given(servings)
def test_what_the_builder_makes_of_a_spec_is_adopted_as_that_spec(serving):
    model = {"uri": "s3://m/iris", "format": "sklearn"}
    parsed = ModelDeploymentSpec.model_validate({"model": model, "serving": serving})
    predictor = {**manifests.predictor(revision_of(serving, model)), **manifests.scaling(parsed.serving)}
    item = isvc()
    item["spec"]["predictor"] = predictor
    adopted = adopt(item)
    assert adopted.left_out == ()
    assert problems(adopted) == []
    revision = revision_of(adopted.spec["serving"], adopted.spec["model"])
    assert manifests.predictor(revision) == manifests.predictor(revision_of(serving, model))
    assert undone(item, revision) == {}
