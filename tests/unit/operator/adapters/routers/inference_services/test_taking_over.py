"""What is in the way of taking an InferenceService over as it runs."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers import Routers
from mooring_operator.adapters.routers.inference_services import adoption
from mooring_operator.adapters.routers.inference_services.revision_manifest import (
    adopted_service,
    name_of,
    revision_service,
)
from mooring_operator.api.names import AdoptedService
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.objects.ownership import owned_labels
from mooring_operator.planning.routes import RouterChoice

from tests.unit.operator.adapters.routers.revisions import revision

UID = "6d6f6f72-696e-4067-8000-6d6f6f72696e"
OTHER = "00000000-0000-4000-8000-000000000001"
OWNER = Owner("ns", "digits", "uid-1", 3, adopts=f"iris/{UID}")
SERVING = {"minReplicas": 2, "resources": {"requests": {"cpu": "1"}}}


def running(**predictor):
    model = {
        "modelFormat": {"name": "onnx"},
        "storageUri": "s3://m/v1",
        "name": "",
        "resources": {"requests": {"cpu": "1000m"}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "iris",
            "namespace": "ns",
            "uid": UID,
            "annotations": {"modelFormat": "onnx", "serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {"predictor": {"minReplicas": 2, "model": model, **predictor}},
        "status": {"clusterServingRuntimeName": "onnx-server"},
    }


class One:
    """A cluster with one InferenceService, or none."""

    def __init__(self, found):
        self.found = found

    async def get(self, ref):
        return self.found if ref.name == "iris" else None


async def look(found, owner=OWNER, wanted=None):
    return await adoption.look(One(found), owner, wanted or revision(**SERVING))


def changed(**metadata):
    found = running()
    found["metadata"] |= metadata
    return found


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": {"app.kubernetes.io/instance": "x"}},
        {"ownerReferences": [{"kind": "Application", "name": "a", "uid": "u"}]},
        {
            "ownerReferences": [
                {"kind": "ModelDeployment", "name": "digits", "uid": "uid-1", "controller": True}
            ]
        },
        {"managedFields": [{"manager": "kubectl", "operation": "Update"}]},
    ],
)
async def test_what_runs_as_the_spec_says_is_taken_over(metadata):
    found = await look(changed(**metadata))
    assert (found.service, found.refusal, found.temporary) == (f"iris/{UID}", "", False)


async def test_a_runtime_that_kserve_chose_may_be_named():
    found = await look(running(), wanted=revision(**SERVING, runtime="onnx-server"))
    assert found.refusal == ""
    found = await look(running(), wanted=revision(**SERVING, runtime="other"))
    assert "spec.predictor.model.runtime: 'other' is new" in found.refusal


CONTROLLER = {"kind": "Pipeline", "name": "p", "uid": "u", "controller": True}


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"uid": OTHER}, f"has uid {OTHER}, not {UID}: it was made anew; write iris/{OTHER}"),
        ({"ownerReferences": [CONTROLLER]}, "belongs to Pipeline p"),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "apps:x"}},
            "is kept by argocd, which would undo what is done here: "
            "take it out of the Application without pruning it, "
            f"then write iris/{UID}/argocd",
        ),
        ({"annotations": {"meta.helm.sh/release-name": "x"}}, "helm.sh/resource-policy: keep"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "is kept by flux"),
        ({"labels": owned_labels("digits")}, "was made for ModelDeployment digits; take the annotation away"),
        ({"managedFields": [{"manager": "argocd-controller", "operation": "Apply"}]}, "is kept by argocd"),
    ],
)
async def test_what_is_another_s_is_left_alone_and_the_way_out_is_told(metadata, says):
    found = changed(**metadata)
    found["metadata"]["annotations"] = {
        **running()["metadata"]["annotations"],
        **metadata.get("annotations", {}),
    }
    seen = await look(found)
    assert says in seen.refusal
    assert not seen.temporary


@pytest.mark.parametrize(
    ("metadata", "released"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "apps:x"}}, "argocd"),
        ({"managedFields": [{"manager": "helm", "operation": "Update"}]}, "helm"),
    ],
)
async def test_what_a_keeper_has_let_go_is_taken_over(metadata, released):
    found = running()
    found["metadata"] |= {
        **metadata,
        "annotations": {**found["metadata"]["annotations"], **metadata.get("annotations", {})},
    }
    owner = Owner("ns", "digits", "uid-1", 3, adopts=f"iris/{UID}/{released}")
    assert (await look(found, owner)).refusal == ""
    other = Owner("ns", "digits", "uid-1", 3, adopts=f"iris/{UID}/flux")
    assert f"is kept by {released}" in (await look(found, other)).refusal


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"model": {"storageUri": "s3://m/v9"}},
            "spec.predictor.model.storageUri: 's3://m/v9' becomes 's3://m/v1'",
        ),
        ({"model": {"args": ["--x"]}}, "spec.predictor.model.args: ['--x']"),
        ({"model": {"env": [{"name": "KEY", "value": "secret"}]}}, "spec.predictor.model.env.KEY"),
        ({"model": {"resources": {"requests": {"cpu": "2"}}}}, "cpu: '2' becomes '1'"),
        ({"minReplicas": 3}, "spec.predictor.minReplicas: 3 becomes 2"),
        ({"nodeSelector": {"pool": "y"}}, "spec.predictor.nodeSelector: {'pool': 'y'}"),
    ],
)
async def test_a_spec_that_means_something_else_is_told_field_by_field(change, says):
    found = running()
    for name, value in change.items():
        before = found["spec"]["predictor"].get(name)
        found["spec"]["predictor"][name] = {**before, **value} if isinstance(before, dict) else value
    seen = await look(found)
    assert seen.refusal.startswith("the spec asks for something else than InferenceService iris as it runs: ")
    assert says in seen.refusal
    assert "secret" not in seen.refusal
    assert seen.refusal.endswith("; change the spec, or the InferenceService")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"canary": [{"trafficPercent": 10}]}, "spec.canary"),
        ({"transformer": {"containers": [{"image": "t"}]}}, "spec.transformer: is there"),
        ({"explainer": {"art": {"type": "SquareAttack"}}}, "spec.explainer: is there"),
    ],
)
async def test_what_runs_beside_the_predictor_counts(spec, says):
    found = running()
    found["spec"] |= spec
    assert says in (await look(found)).refusal


async def test_a_transformer_that_is_missing_counts():
    wanted = revision(**SERVING, transformer={"containers": [{"image": "t"}]})
    assert "spec.transformer: is missing there" in (await look(running(), wanted=wanted)).refusal


@pytest.mark.parametrize(
    ("router", "mode", "way_out"),
    [
        ("KServe", "Standard", "write Gateway or Endpoints, or take annotation mooring.dev/adopt away"),
        ("Knative", "Knative", "anew; take annotation mooring.dev/adopt away to start pods from the spec"),
    ],
)
async def test_routers_of_one_service_refuse_and_name_the_way_out(router, mode, way_out):
    wanted = revision(**SERVING, mode=mode)
    found = await Routers(One(running())).adoption(OWNER, wanted, RouterChoice(router, "asked for"))
    assert found.refusal.startswith(f"spec.rollout.router {router}: it would start the pods")
    assert way_out in found.refusal
    assert (found.service, found.temporary) == ("", False)


async def test_a_container_of_its_own_is_taken_over_as_the_spec_says():
    own = {
        "name": "kserve-container",
        "image": "ours:1",
        "env": [{"name": "STORAGE_URI", "value": "s3://m/v1"}],
    }
    found = running()
    found["spec"]["predictor"] = {"minReplicas": 2, "containers": [own]}
    template = {"containers": [{"name": "kserve-container", "image": "ours:1"}]}
    assert (await look(found, wanted=revision(minReplicas=2, template=template))).refusal == ""
    own["env"][0]["value"] = "s3://m/v9"
    seen = await look(found, wanted=revision(minReplicas=2, template=template))
    assert "containers.kserve-container.env.STORAGE_URI.value: becomes another" in seen.refusal
    runtime = await look(running(), wanted=revision(minReplicas=2, template=template))
    assert "spec.predictor.containers" in runtime.refusal


async def test_long_differences_are_cut():
    found = running(
        nodeSelector={f"pool-{n}": "x" * 60 for n in range(60)},
        volumes=[{"name": f"v{n}"} for n in range(90)],
    )
    assert len((await look(found)).refusal) < 1024


async def test_knative_is_refused_and_what_has_no_mode_is_waited_for():
    found = running()
    found["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = "Serverless"
    assert "runs in mode Knative" in (await look(found)).refusal
    del found["metadata"]["annotations"]["serving.kserve.io/deploymentMode"]
    assert (await look(found)).temporary
    found["status"]["deploymentMode"] = "RawDeployment"
    assert (await look(found)).refusal == ""


async def test_what_is_gone_or_going_is_told():
    assert "there is no InferenceService iris in namespace ns" in (await look(None)).refusal
    leaving = await look(changed(deletionTimestamp="2026-03-01T12:00:00Z"))
    assert leaving.temporary
    assert "is being deleted" in leaving.refusal


@pytest.mark.parametrize(
    "text",
    [
        "iris",
        f"../x/{UID}",
        f"Iris/{UID}",
        "iris/not-a-uid",
        f"iris/{UID}/",
        f"iris/{UID}/me",
        f"iris/{UID}\n",
        f"a/b/{UID}",
    ],
)
async def test_an_annotation_of_another_form_is_refused_and_nothing_is_read(text):
    owner = Owner("ns", "digits", "uid-1", 3, adopts=text)
    seen = await adoption.look(None, owner, revision())
    assert "mooring adopt isvc/NAME writes it" in seen.refusal
    assert "\n" not in seen.refusal


@given(st.text())
def test_what_is_no_name_and_uid_names_nothing(text):
    with pytest.raises(ValueError, match="is not NAME/UID"):
        AdoptedService.parse(text)


@given(
    st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"),
    st.uuids(),
    st.sampled_from(["", "argocd", "flux", "helm"]),
)
def test_what_is_written_is_read(name, uid, released):
    said = AdoptedService(name, str(uid), released)
    assert AdoptedService.parse(f"{said}{'/' if released else ''}{released}") == said


# --- what is written -----------------------------------------------------------------------------


def taken(**serving):
    return revision(**{**SERVING, **serving}).model_copy(update={"adopted": f"iris/{UID}"})


def test_only_its_owner_and_its_pods_are_written():
    wanted = adopted_service(OWNER, taken(), running(), pods=None)
    assert name_of(OWNER, taken()) == "iris"
    assert set(wanted["metadata"]) == {"name", "namespace", "ownerReferences"}
    assert wanted["spec"] == {"predictor": {"minReplicas": 2}}, "as it stands there, though it may have more"
    more = adopted_service(OWNER, taken(), running(), pods=4)
    assert more["spec"] == {"predictor": {"minReplicas": 4, "maxReplicas": 4}}


@pytest.mark.parametrize(
    ("pods", "annotations"), [(None, None), (2, None), (0, {"serving.kserve.io/stop": "true"})]
)
def test_keda_is_told_to_stop_where_no_pod_is_left_to_start_anew(pods, annotations):
    scaled = taken(autoscaling={"scaler": "KEDA", "metric": "cpu", "target": 50})
    wanted = adopted_service(OWNER, scaled, running(), pods=pods)
    assert wanted["metadata"].get("annotations") == annotations


def test_a_transformer_rests_with_its_predictor():
    beside = taken(transformer={"containers": [{"image": "t"}], "minReplicas": 3})
    found = running()
    found["spec"]["transformer"] = copy.deepcopy(beside.serving["transformer"])
    assert adopted_service(OWNER, beside, found, pods=None)["spec"]["transformer"] == {"minReplicas": 3}
    assert adopted_service(OWNER, beside, found, pods=0)["spec"]["transformer"] == {"minReplicas": 0}


def test_what_is_made_anew_in_its_place_is_an_ordinary_one():
    wanted = revision_service(OWNER, taken(), pods=None)
    assert wanted["metadata"]["name"] == "iris"
    assert wanted["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
