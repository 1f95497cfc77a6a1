"""Who counts what revisions answer: chosen by what they run on, or asked for."""

import pytest
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.analysis.queries import PREDICTIONS, AnswerUnusableError
from mooring_operator.planning.analysis.sources import SOURCES, choose, choose_for_both, service_of

REVISION = "c0ffee0001"


def revision(name="bespoke", server_type="", *images, **fields):
    containers = [{"name": "kserve-container", "image": image} for image in images]
    runtime = {"kind": "ClusterServingRuntime", "name": name, "spec": {"containers": containers}}
    pinned = {**runtime, "serverType": server_type} if name else None
    known = {"revision": REVISION, "modelUri": "s3://m", "storageUri": "s3://m", "format": "onnx"}
    return Revision.model_validate({**known, "runtime": pinned, **fields})


RUNTIMES = {
    ("mooring-inference", ""): "Mooring",
    ("ours", "mooring-inference"): "Mooring",
    ("ours", "", "ghcr.io/acme/mooring-inference:1"): "Mooring",
    ("kserve-tritonserver", ""): "Triton",
    ("gpu", "", "nvcr.io/nvidia/tritonserver:24.05-py3"): "Triton",
    ("kserve-mlserver", "mlserver"): "MLServer",
    ("llm", "", "vllm/vllm-openai:v0.9"): "VLLM",
    ("kserve-sklearnserver", ""): "KServe",
    ("kserve-xgbserver", "", "kserve/xgbserver:v0.15"): "KServe",
    ("kserve-huggingfaceserver", ""): "KServe",
    ("bespoke", "", "acme/server"): "",
}


@pytest.mark.parametrize("runtime", RUNTIMES, ids=str)
def test_it_is_known_by_server_image_or_name(runtime):
    found = choose("Auto", revision(*runtime), None)
    assert ("" if found.problem else found.source.name) == RUNTIMES[runtime]
    if found.problem:
        assert "what runtime bespoke counts is not known" in found.problem
        assert all(name in found.problem for name in SOURCES)
    assert choose("Istio", revision(*runtime), None).source.name == "Istio"


def test_without_a_pinned_runtime_the_spec_names_it_and_ours_is_the_default():
    assert choose("Auto", None, None).source.name == "Mooring"
    assert choose("Auto", revision(""), "kserve-tritonserver").source.name == "Triton"


def test_what_is_counted_in_two_ways_is_not_compared():
    both = [revision("kserve-tritonserver"), revision("mooring-inference")]
    found = choose_for_both("Auto", both, None)
    assert "the new revision runs on Triton, the stable one on Mooring" in found.problem
    assert choose_for_both("Contour", both, None).source.name == "Contour"
    assert "bespoke" in choose_for_both("Auto", [both[0], revision()], None).problem


def test_a_service_is_named_as_routes_name_it():
    assert service_of("iris", revision(), transformed=False) == "iris-rc0ffee00-predictor"
    assert (
        service_of("iris", revision(workload="r1ac6bb23"), transformed=True) == "iris-r1ac6bb23-transformer"
    )
    asked = SOURCES["Contour"].question("errorRate", "ml", "iris", {REVISION: "iris-rc0ffee00-predictor"}, 10)
    assert 'envoy_cluster_name=~"ml_iris-rc0ffee00-predictor_80"' in asked.counts
    assert asked.named("ml_iris-rc0ffee00-predictor_80") == REVISION


def test_envoy_gateway_counts_by_the_clusters_that_its_routes_share():
    source = SOURCES["EnvoyGateway"]
    asked = source.question("errorRate", "ml", "iris", {REVISION: "iris-rc0ffee00-predictor"}, 10)
    assert 'envoy_cluster_name=~"service/ml/iris-rc0ffee00-predictor/80/http"' in asked.counts
    assert asked.named("service/ml/iris-rc0ffee00-predictor/80/http") == REVISION
    assert "mergeBackends" in source.needs


def test_every_source_asks_about_its_own_namespace():
    for source in SOURCES.values():
        for metric in source.counts:
            asked = source.question(metric, "ml", "iris", {REVISION: "iris-r1-predictor"}, 10)
            assert all("ml" in part for part in (asked.counts, asked.events))


@pytest.mark.parametrize("name", ["Mooring", "Contour", "EnvoyGateway", "Istio", "Knative"])
def test_the_runtime_counts_what_is_predicted_whoever_counts_requests(name):
    revisions = {"c0ffee0001": "a-service", "beef000002": "another"}
    question = SOURCES[name].question("predictionDrift", "team", "iris", revisions, 10)
    assert question.metric == PREDICTIONS
    assert question.values == tuple(revisions)
    assert question.counts.startswith(
        "sum by (revision, prediction) ((last_over_time(mooring_inference_predictions_total{"
    )
    assert 'namespace="team",model="iris"' in question.counts
    assert (question.pods.port, question.pods.model) == (8080, "iris")


@pytest.mark.parametrize("name", ["Triton", "MLServer", "VLLM", "KServe"])
def test_other_runtimes_count_no_predictions(name):
    with pytest.raises(
        AnswerUnusableError, match=f"{name} does not count what is predicted.*rates of a template"
    ):
        SOURCES[name].question("predictionDrift", "team", "iris", {"a": "", "b": ""}, 10)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "VLLM"])
@pytest.mark.parametrize("metric", ["firstToken", "tokenTime"])
def test_others_than_vllm_count_no_tokens(name, metric):
    with pytest.raises(AnswerUnusableError, match=f"{name} does not count it: vLLM knows its tokens"):
        SOURCES[name].question(metric, "team", "llm", {"a": "", "b": ""}, 10)
