"""Edits of what was taken over are undone at once, for good, and nothing else is written."""

import copy

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.restoring import undone
from mooring_operator.adapters.routers.inference_services.running import left_out

from tests.operator.objects import merge
from tests.unit.operator.adapters.routers.revisions import revision

OWN = {"containers": [{"name": "kserve-container", "image": "ours:1"}, {"name": "beside", "image": "b"}]}
SERVINGS = [
    {"runtime": "onnx-server"},
    {
        "nodeSelector": {"pool": "y"},
        "labels": {"team": "a"},
        "timeout": 60,
        "env": [{"name": "A", "value": "$b"}],
        "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}},
        "transformer": {"containers": [{"image": "t", "args": ["a"]}], "minReplicas": 2},
    },
    {"template": OWN, "env": [{"name": "A", "value": "b"}], "args": ["--price=$5"]},
]
named = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["A", "kserve-container"])}, optional={"value": st.just("z")}
    ),
    max_size=2,
    unique_by=lambda one: one["name"],
)
pairs = st.dictionaries(st.sampled_from(["pool", "team"]), st.sampled_from(["y", "z", "a"]), max_size=2)
texts = st.sampled_from(["a", "z"])


def written(**kinds):
    """Any of these fields written, or taken away."""
    return st.fixed_dictionaries({}, optional={name: st.none() | kind for name, kind in kinds.items()})


models = written(
    env=named,
    args=st.lists(texts, max_size=2),
    storageUri=texts,
    resources=st.sampled_from([{}, {"limits": {"cpu": "9"}}, {"requests": None}]),
    runtime=texts,
    unheardOf=texts,
)
edits = st.fixed_dictionaries(
    {},
    optional={
        "predictor": written(
            nodeSelector=pairs,
            labels=pairs,
            timeout=st.integers(1, 99),
            containers=named,
            serviceAccountName=texts,
            volumes=named,
        ),
        "transformer": st.none() | written(containers=named, nodeSelector=pairs),
    },
)


def running(wanted):
    """What somebody would have written for it."""
    predictor = {**manifests.predictor(wanted), **manifests.scaling(wanted.serving_spec)}
    spec = {"predictor": predictor}
    if (transformer := wanted.serving_spec.transformer) is not None:
        spec["transformer"] = {
            **transformer,
            "containers": [{**transformer["containers"][0], "name": "kserve-container"}],
        }
    metadata = {"name": "iris", "annotations": {"serving.kserve.io/deploymentMode": "Standard"}}
    status = {"clusterServingRuntimeName": wanted.serving_spec.runtime or "another"}
    return {"metadata": metadata, "spec": copy.deepcopy(spec), "status": status}


@given(st.sampled_from(SERVINGS), edits, models)
def test_an_edit_is_undone_by_one_patch_and_what_others_add_stays(serving, edit, model):
    wanted = revision(**serving)
    found = running(wanted)
    assert undone(found, wanted) == {}
    if model and "model" in found["spec"]["predictor"]:
        edit = {**edit, "predictor": {**edit.get("predictor", {}), "model": model}}
    changed = merge(found, {"spec": edit})
    mended = merge(changed, {"spec": undone(changed, wanted)})
    assert undone(mended, wanted) == {}
    for line in left_out(mended, wanted):
        assert "Replicas" in line or not (" becomes " in line or line.endswith(" is new")), line
