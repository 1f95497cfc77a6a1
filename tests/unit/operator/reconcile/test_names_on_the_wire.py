"""No text of a spec reaches a path, a selector, a key or another namespace, checked by the API server or not."""

import asyncio
import json
import re
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mooring_operator.api import forms
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.serving import ServingSpec

from tests.unit.operator.reconcile.recorded import NAME, NAMESPACE, ApiServer, Recorded, resource, unchecked
from tests.unit.spec_table_names import TRAVERSALS

OURS = re.compile(
    rf"/apis/[a-z0-9.]+/v[a-z0-9]+/namespaces/{NAMESPACE}/[a-z]+(/[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/status)?)?"
    rf"|/api/v1/namespaces/{NAMESPACE}/pods"
    r"|/apis/[a-z0-9.]+/v[a-z0-9]+(/clustermodelpolicies)?"
    r"|/apis/apiextensions\.k8s\.io/v1/customresourcedefinitions/httproutes\.gateway\.networking\.k8s\.io"
)
QUERY = re.compile(
    r"(fieldManager=mooring|force=true|limit=[0-9]+|(label|field)Selector=[A-Za-z0-9%._-]+|&)*"
)
RUN = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

DOCUMENT = re.compile(rf"s3://runs/mooring/{NAMESPACE}/{NAME}/(ci/{RUN}/verdict|drift/{RUN}/report)\.json")

texts = st.one_of(
    st.sampled_from(TRAVERSALS),
    st.text(max_size=30),
    st.text("ab./%?#:@\\ \n\x00", max_size=12),
    st.sampled_from(["", "../", "x/../../", "/", "%2e%2e%2f", "?"]).flatmap(
        lambda start: st.sampled_from(["y", "team-b/modeldeployments/fraud", ".."]).map(
            lambda end: start + end
        )
    ),
    st.sampled_from(["house-rules", "onnx", "a.b"]),
)
addresses = st.one_of(
    texts.map(lambda text: f"models:/{text}"),
    st.tuples(texts, texts).map("@".join).map(lambda text: f"models:/{text}"),
    texts.map(lambda text: f"hf://{text}"),
)
resources = st.dictionaries(texts, st.just("1"), max_size=2)
deployment_specs = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries(
            {"uri": addresses, "digest": texts, "format": texts.filter(bool), "formatVersion": texts}
        )
    },
    optional={
        "policies": st.lists(texts, max_size=2),
        "ci": st.fixed_dictionaries(
            {
                "testData": st.fixed_dictionaries({"uri": texts, "labelColumn": texts}),
                "gates": st.lists(st.fixed_dictionaries({"metric": texts, "min": st.just(0.5)}), max_size=1),
                "serviceAccountName": texts,
                "credentialsSecret": texts,
            }
        ),
        "serving": st.fixed_dictionaries(
            {},
            optional={
                "runtime": texts,
                "serviceAccountName": texts,
                "nodeSelector": st.dictionaries(texts, texts, max_size=2),
                "tolerations": st.lists(st.fixed_dictionaries({"key": texts, "value": texts}), max_size=1),
                "env": st.lists(st.fixed_dictionaries({"name": texts, "value": texts}), max_size=1),
                "gpu": st.fixed_dictionaries({"count": st.just(1), "resourceName": texts}),
                "resources": st.fixed_dictionaries({"requests": resources, "limits": resources}),
            },
        ),
        "batch": st.fixed_dictionaries(
            {
                "schedule": texts,
                "timeZone": texts,
                "input": texts,
                "output": texts,
                "idColumn": texts,
                "credentialsSecret": texts,
            }
        ),
        "stream": st.fixed_dictionaries(
            {"source": texts, "sink": texts, "deadLetters": texts, "group": texts, "credentialsSecret": texts}
        ),
    },
)
monitor_specs = st.fixed_dictionaries(
    {
        "target": st.fixed_dictionaries({"name": texts}),
        "baseline": st.fixed_dictionaries({"uri": texts}),
        "window": st.fixed_dictionaries({"uri": texts}),
        "features": st.lists(texts, max_size=2),
        "serviceAccountName": texts,
        "credentialsSecret": texts,
    }
)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@contextmanager
def everything_let_in():
    """The second line of defence has to hold alone."""
    with ExitStack() as stack:
        for model in (ModelDeploymentSpec, ServingSpec, DriftMonitorSpec):
            let_in = partial(unchecked, model)
            stack.enter_context(patch.object(model, "model_validate", let_in))
        yield


def reconcile(kind, spec, *, passes=4, others=None):
    plural = {"ModelDeployment": "modeldeployments", "DriftMonitor": "driftmonitors"}[kind]
    world = Recorded(ApiServer(resource(kind, spec), plural, others or {}))

    async def run():
        reconciler = world.deployments() if kind == "ModelDeployment" else world.monitors()
        for _ in range(passes):
            await reconciler.reconcile(NAMESPACE, NAME)

    asyncio.run(run())
    return world


def check(world):
    for target in world.server.targets:
        path, _, query = target.partition("?")
        assert OURS.fullmatch(path), target
        assert QUERY.fullmatch(query), target
    for request in world.server.requests:
        # Nothing but its own objects is ever written: they are named after it.
        if request.method != "GET":
            assert re.fullmatch(
                rf".*/(events|[a-z]+|[a-z]+/{NAME}(-batch|-stream)?(/status)?)", request.url.path
            )
    for target in world.registry:
        assert re.fullmatch(
            r"/api/2\.0/mlflow/(registered-models/alias|model-versions/get-download-uri)\?[^/]*", target
        )
    for run in world.runs:
        namespace, run_id = run if isinstance(run, tuple) else (run.namespace, run.run_id)
        assert namespace == NAMESPACE
        assert re.fullmatch(RUN, run_id)
        if not isinstance(run, tuple):
            assert re.fullmatch(rf"{NAMESPACE}/{NAME} ([0-9a-f]{{10}}|drift)", run.name)
            assert run.owner.name == NAME
            assert DOCUMENT.fullmatch(run.parameters.get("verdict_uri") or run.parameters["report_uri"])
    for uri in world.documents:
        assert DOCUMENT.fullmatch(uri)


@many
@given(deployment_specs)
def test_names_of_an_unchecked_deployment_reach_no_path(spec):
    with everything_let_in():
        world = reconcile("ModelDeployment", spec)
    check(world)
    if not all(forms.OBJECT_NAME.fits(name) for name in spec.get("policies", [])):
        assert world.status["reason"] in ("InvalidSpec", "ModelNotFound", "ModelAddressInvalid")


@many
@given(deployment_specs)
def test_names_of_a_deployment_reach_no_path(spec):
    world = reconcile("ModelDeployment", spec)
    check(world)
    assert world.status["phase"]


@many
@given(monitor_specs)
def test_names_of_an_unchecked_monitor_reach_no_path(spec):
    with everything_let_in():
        world = reconcile("DriftMonitor", spec)
    check(world)
    if not forms.OBJECT_NAME.fits(spec["target"]["name"]):
        assert world.status["reason"] == "InvalidSpec"
        assert all("/driftmonitors/" in target for target in world.server.targets if "/namespaces/" in target)
        assert world.runs == []


@many
@given(monitor_specs)
def test_names_of_a_monitor_reach_no_path(spec):
    world = reconcile("DriftMonitor", spec)
    check(world)
    assert world.status["phase"]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_target_elsewhere_is_refused_with_a_condition(name):
    spec = {"target": {"name": name}, "baseline": {"uri": "s3://b/a"}, "window": {"uri": "s3://b/w"}}
    checked = reconcile("DriftMonitor", spec)
    with everything_let_in():
        let_in = reconcile("DriftMonitor", spec)
    for world in (checked, let_in):
        assert (world.status["phase"], world.status["reason"]) == ("Failed", "InvalidSpec")
        assert world.status["message"].startswith("spec.target")
        assert repr(name)[:80] in world.status["message"]
        conditions = {entry["type"]: entry for entry in world.status["conditions"]}
        assert conditions["Stalled"]["reason"] == "InvalidSpec"
        assert not any("modeldeployments" in target for target in world.server.targets)


@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_policy_elsewhere_is_refused_with_a_condition(name):
    spec = {"model": {"uri": "hf://m/fraud", "format": "onnx"}, "policies": [name]}
    checked = reconcile("ModelDeployment", spec)
    with everything_let_in():
        let_in = reconcile("ModelDeployment", spec)
    for world in (checked, let_in):
        assert (world.status["phase"], world.status["reason"]) == ("Failed", "InvalidSpec")
        assert repr(name)[:80] in world.status["message"]
        assert not any("/modelpolicies" in target for target in world.server.targets)


@pytest.mark.parametrize("name", [name for name in TRAVERSALS if name])
def test_a_predictor_that_somebody_named_so_is_read_nowhere_and_put_right(name):
    owner = resource("ModelDeployment", {})["metadata"]
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": "u-2",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": "ModelDeployment", "uid": owner["uid"], "controller": True}],
        },
        "spec": {"predictor": {"name": name}},
    }
    spec = {"model": {"uri": "hf://m/fraud", "format": "onnx"}}
    world = reconcile("ModelDeployment", spec, others={f"inferenceservices/{NAME}": service})
    check(world)
    assert world.status["phase"] == "Deploying"
    applied = [json.loads(r.content) for r in world.server.requests if r.method == "PATCH"]
    named = [body["spec"]["predictor"]["name"] for body in applied if isinstance(body, dict)]
    assert named
    assert all(re.fullmatch("r[0-9a-f]{8}", one) for one in named)


def test_the_world_of_these_tests_serves_a_model():
    """Else nothing above would get as far as writing anything."""
    spec = {
        "model": {"uri": "models:/fraud@champion", "format": "onnx"},
        "policies": [],
        "batch": {"schedule": "0 3 * * *", "input": "s3://d/rows", "output": "s3://d/scores"},
    }
    world = reconcile("ModelDeployment", spec)
    assert world.status["phase"] == "Deploying"
    assert any(
        request.method == "POST" and "inferenceservices" in request.url.path
        for request in world.server.requests
    )
    assert len(world.registry) == 2
