"""Paths and selectors of the API: built in one place, which takes names alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.grants import Grant, Grants
from mooring_operator.adapters.api_server import collection_path, label_selector, object_path
from mooring_operator.adapters.cluster import InvalidName, Kind, Ref, Refused
from mooring_operator.adapters.mlflow import MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.registry import ModelNotFound
from mooring_operator.api.model_deployment import ModelSpec

from tests.unit.spec_table_names import TRAVERSALS

MONITORS = Kind("mooring.dev/v1alpha1", "DriftMonitor", "driftmonitors")
ALL = Grants((Grant(("*",), ("models:/",)),))
EVENTS = Kind("v1", "Event", "events")
NAMESPACES = Kind("v1", "Namespace", "namespaces", namespaced=False)
texts = st.one_of(st.sampled_from(TRAVERSALS), st.text(), st.text("a./%?#-\\ \n", max_size=8))


def test_paths_are_those_of_the_api():
    assert object_path(Ref(MONITORS, "ml", "iris")) == (
        "/apis/mooring.dev/v1alpha1/namespaces/ml/driftmonitors/iris"
    )
    assert collection_path("v1", "events", "ml") == "/api/v1/namespaces/ml/events"
    assert collection_path("apps/v1", "deployments", None) == "/apis/apps/v1/deployments"
    assert object_path(Ref(EVENTS, "ml", "iris.17a.b")) == "/api/v1/namespaces/ml/events/iris.17a.b"
    assert object_path(Ref(NAMESPACES, "", "ml")) == "/api/v1/namespaces/ml"


@pytest.mark.parametrize("name", [*TRAVERSALS, ".", "a..b", "-a", "A", "a" * 254, None])
def test_a_name_that_is_no_segment_is_refused(name):
    with pytest.raises(InvalidName, match="is not the name of a Kubernetes object"):
        object_path(Ref(MONITORS, "ml", name))


@pytest.mark.parametrize("namespace", [*TRAVERSALS, ".", "a.b", "a" * 64, ""])
def test_a_namespace_that_is_no_label_is_refused(namespace):
    with pytest.raises(InvalidName, match=r"namespace .* is not a DNS label"):
        object_path(Ref(MONITORS, namespace, "iris"))
    with pytest.raises(InvalidName):
        collection_path("v1", "events", namespace)


@pytest.mark.parametrize("version", ["v1/../../apis/x/v1", "x/y/v1", "../v1", "v1?a", "", "1"])
def test_a_version_that_is_none_is_refused(version):
    with pytest.raises(InvalidName, match="apiVersion"):
        collection_path(version, "events", "ml")


@given(texts, texts, texts, texts)
def test_whatever_is_asked_for_a_path_has_the_segments_it_should_have(version, plural, namespace, name):
    try:
        path = object_path(Ref(Kind(version, "X", plural), namespace, name))
    except InvalidName:
        return
    head = ["", "apis", *version.split("/")] if "/" in version else ["", "api", version]
    assert path.split("/") == [*head, "namespaces", namespace, plural, name]
    assert re.fullmatch(r"[a-z0-9/.-]+", path)
    assert not {".", ".."} & set(path.split("/"))


def test_selectors_are_those_of_the_api():
    labels = {"serving.kserve.io/inferenceservice": "iris", "component": ""}
    assert label_selector(labels) == "serving.kserve.io/inferenceservice=iris,component="


@given(st.dictionaries(texts, texts, min_size=1, max_size=3))
def test_whatever_is_asked_for_a_selector_selects_by_these_labels(labels):
    try:
        selector = label_selector(labels)
    except InvalidName:
        return
    assert [part.split("=") for part in selector.split(",")] == [list(item) for item in labels.items()]
    assert "!" not in selector


def test_a_name_that_is_refused_is_a_refusal():
    """Whoever expects the API server to say no has it said here."""
    assert issubclass(InvalidName, Refused)


@pytest.mark.parametrize(
    "uri", ["models:/a", "models:/a/latest", "models:/a/1/2", "models:/a:b/1", "models:/a@", "models:/a/1@b"]
)
async def test_a_registry_address_that_nobody_checked_asks_for_nothing(uri):
    with pytest.raises(ModelNotFound, match="write models:/NAME/VERSION or models:/NAME@ALIAS"):
        await ModelSources(MlflowRest("http://127.0.0.1:9"), lambda: ALL).resolve(
            ModelSpec.model_construct(uri=uri, format="onnx"), "ml"
        )
