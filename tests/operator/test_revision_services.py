"""One InferenceService for each revision, before the API emulator."""

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Conflict, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers import ServiceNameTaken
from mooring_operator.adapters.routers.inference_services.inquiry import EVENT, POD
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revision_manifest import revision_service
from mooring_operator.adapters.routers.inference_services.revisions import (
    DEPLOYMENT,
    SERVING_RUNTIME,
    RevisionServices,
)
from mooring_operator.adapters.routers.owned import SERVICE
from mooring_operator.api.names import REVISION_LABEL
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning.routes import CollectorState
from mooring_operator.planning.routing import Arm, Routing

from tests.operator.objects import merge
from tests.played_revisions import PlayedRevisions
from tests.unit.operator.adapters.routers.revisions import OWNER, revision

FIXED = {"minReplicas": 3, "autoscaling": {"scaler": "None"}}
V1, V2 = "s3://m/v1", "s3://m/v2"
RUNTIME = PinnedRuntime(
    kind="ClusterServingRuntime", name="ours", spec={"supportedModelFormats": [{"name": "onnx"}]}
)


class Stage:
    def __init__(self, emulator, connection, requests):
        self.objects, self.requests = emulator.objects, requests
        self.cluster = KubernetesCluster(connection)
        self.kserve = PlayedRevisions(self.cluster, "ns")
        self.now = datetime(2026, 3, 1, 13, tzinfo=UTC)
        self.services = RevisionServices(self.cluster, lambda: self.now)

    async def look(self, *revisions):
        return await self.services.observe(OWNER, revisions)

    async def run(self, *arms, kept=(), ended=False, **how):
        """Ask for arms, and see what comes of them."""
        routing = Routing(tuple(arms), kept=tuple(kept), ended=ended)
        revisions = [*(arm.revision for arm in arms), *kept]
        await self.services.run(OWNER, routing, await self.look(*revisions), **how)
        await self.services.clear(OWNER, routing, await self.look(*revisions))
        await self.kserve.act()
        return (await self.look(*revisions)).variants

    def names(self, kind):
        return {item["metadata"]["name"] for item in self.objects.list(kind, "ns")}


@pytest.fixture
async def stage(emulator, tmp_path):
    requests = []
    config = load_config(emulator.kubeconfig(tmp_path / "kubeconfig"))
    connection = Connection(config, lambda verb, *_: requests.append(verb))
    yield Stage(emulator, connection, requests)
    await connection.close()


def other(**serving):
    return revision(name="ddddeeeeff", model="v2", **serving)


async def test_nothing_is_seen_of_what_is_not_made(stage):
    assert (await stage.look(revision())).variants == {}


@pytest.mark.parametrize("serving", [FIXED, {"minReplicas": 3, "maxReplicas": 5}], ids=["fixed", "scaled"])
async def test_revisions_run_side_by_side_and_come_back_from_zero(stage, serving):
    first, second = revision(**serving), other(**serving)
    seen = await stage.run(Arm(first), Arm(second, pods=1))
    assert stage.names(INFERENCE_SERVICE) == {"digits-raaaabbbb", "digits-rddddeeee"}
    assert {name: (variant.ready, variant.workload) for name, variant in seen.items()} == {
        "aaaabbbbcc": (True, "raaaabbbb"),
        "ddddeeeeff": (True, "rddddeeee"),
    }
    assert seen["aaaabbbbcc"].pods == 3
    pods = {
        name: stage.objects.get(Ref(DEPLOYMENT, "ns", name))["metadata"]["uid"]
        for name in stage.names(DEPLOYMENT)
    }
    seen = await stage.run(Arm(second, pods=4), kept=[first])
    assert (seen["aaaabbbbcc"].pods, seen["ddddeeeeff"].pods) == (0, 4)
    seen = await stage.run(Arm(first), kept=[second])
    assert (seen["aaaabbbbcc"].pods, seen["ddddeeeeff"].pods) == (3, 0)
    assert pods == {name: stage.objects.get(Ref(DEPLOYMENT, "ns", name))["metadata"]["uid"] for name in pods}


async def test_a_revision_for_another_pool_of_nodes_asks_for_nothing_of_the_first(stage):
    gpus = {
        "gpu": {"count": 2},
        "nodeSelector": {"pool": "gpu"},
        "env": [{"name": "DEVICE", "value": "cuda"}],
    }
    await stage.run(Arm(revision(**gpus)), Arm(other(nodeSelector={"pool": "cpu"})))
    for name, device, pool in (("digits-raaaabbbb", 2, "gpu"), ("digits-rddddeeee", 0, "cpu")):
        predictor = stage.objects.get(Ref(INFERENCE_SERVICE, "ns", name))["spec"]["predictor"]
        limits = (predictor["model"].get("resources") or {}).get("limits") or {}
        assert int(limits.get("nvidia.com/gpu", 0)) == device
        assert predictor["nodeSelector"] == {"pool": pool}
        assert ("DEVICE" in str(predictor)) == bool(device)


async def test_an_autoscaler_that_has_gone_up_is_not_brought_down(stage):
    scaled = revision(minReplicas=2, maxReplicas=9)
    await stage.run(Arm(scaled))
    deployment = Ref(DEPLOYMENT, "ns", "digits-raaaabbbb-predictor")
    stage.objects.change(deployment, lambda before: merge(before, {"spec": {"replicas": 7}}))
    await stage.kserve.act()
    assert (await stage.run(Arm(scaled, pods=4)))["aaaabbbbcc"].pods == 7
    assert (await stage.run(Arm(scaled, pods=4), exact=["aaaabbbbcc"]))["aaaabbbbcc"].pods == 4


async def test_a_revision_that_is_bounded_has_fewer_pods_than_its_autoscaler_wants(stage):
    """With maxSurge; else both sides would have minReplicas pods, however few there is room for."""
    scaled, predictor = (
        revision(minReplicas=3, maxReplicas=9),
        Ref(INFERENCE_SERVICE, "ns", "digits-raaaabbbb"),
    )

    def bounds():
        said = stage.objects.get(predictor)["spec"]["predictor"]
        return said["minReplicas"], said["maxReplicas"]

    assert (await stage.run(Arm(scaled, pods=1, exact=True)))["aaaabbbbcc"].pods == 1
    assert bounds() == (1, 1)
    assert (await stage.run(Arm(scaled, pods=2, exact=True)))["aaaabbbbcc"].pods == 2
    assert bounds() == (2, 2)
    assert (await stage.run(Arm(scaled, pods=3)))["aaaabbbbcc"].pods == 3
    assert bounds() == (3, 9)


async def test_what_is_named_no_more_is_deleted_with_its_runtime(stage):
    first, second = (each.model_copy(update={"runtime": RUNTIME}) for each in (revision(), other()))
    await stage.run(Arm(first), Arm(second))
    assert stage.names(SERVING_RUNTIME) == {"digits-raaaabbbb", "digits-rddddeeee"}
    await stage.run(Arm(first))
    assert "digits-rddddeeee" in stage.names(INFERENCE_SERVICE)
    await stage.run(Arm(first), ended=True)
    assert stage.names(INFERENCE_SERVICE) == stage.names(SERVING_RUNTIME) == {"digits-raaaabbbb"}
    await stage.services.remove(OWNER, await stage.look())
    assert stage.names(INFERENCE_SERVICE) | stage.names(SERVING_RUNTIME) == set()


async def test_what_was_seen_and_is_named_no_more_is_deleted_at_once(stage):
    await stage.run(Arm(revision()), Arm(other()))
    seen = await stage.look(revision(), other())
    await stage.services.clear(OWNER, Routing((Arm(revision()),)), seen)
    assert stage.names(INFERENCE_SERVICE) == {"digits-raaaabbbb"}


async def test_objects_of_others_with_our_labels_are_left_alone(stage):
    await stage.run(Arm(revision()))
    labels = stage.objects.get(Ref(INFERENCE_SERVICE, "ns", "digits-raaaabbbb"))["metadata"]["labels"]
    theirs = {"metadata": {"name": "theirs", "labels": labels}, "spec": {"predictor": {}}}
    stage.objects.create(INFERENCE_SERVICE, "ns", theirs, "somebody")
    await stage.services.clear(OWNER, Routing((Arm(other()),), ended=True), await stage.look(revision()))
    assert stage.names(INFERENCE_SERVICE) == {"theirs"}


@pytest.mark.parametrize("kind", [INFERENCE_SERVICE, SERVING_RUNTIME])
@pytest.mark.parametrize("owner", ["nobody", "an earlier one"])
async def test_a_name_that_somebody_else_has_is_told_and_left_alone(stage, kind, owner):
    ours = revision().model_copy(update={"runtime": RUNTIME})
    await stage.run(Arm(ours))
    made = copy.deepcopy(stage.objects.get(Ref(kind, "ns", "digits-raaaabbbb")))
    stage.objects.delete(Ref(kind, "ns", "digits-raaaabbbb"))
    references = made["metadata"]["ownerReferences"]
    before = [] if owner == "nobody" else [{**references[0], "uid": "before"}]
    theirs = {**made, "metadata": {"name": "digits-raaaabbbb", "ownerReferences": before}}
    stage.objects.create(kind, "ns", theirs, "somebody")
    with pytest.raises(ServiceNameTaken, match="digits-raaaabbbb") as taken:
        await stage.look(ours)
    assert taken.value.leaving is (owner != "nobody")


@pytest.mark.parametrize("kind", [INFERENCE_SERVICE, SERVING_RUNTIME])
async def test_owner_and_labels_that_were_stripped_by_hand_come_back(stage, kind):
    ours = revision().model_copy(update={"runtime": RUNTIME})
    await stage.run(Arm(ours))
    ref = Ref(kind, "ns", "digits-raaaabbbb")
    made = stage.objects.get(ref)["metadata"]

    def strip(before):
        kept = {
            name: value
            for name, value in before["metadata"].items()
            if name not in ("labels", "ownerReferences")
        }
        return {**before, "metadata": kept}

    stage.objects.change(ref, strip)
    await stage.run(Arm(ours))
    after = stage.objects.get(ref)["metadata"]
    assert after["labels"] == made["labels"]
    assert after["ownerReferences"] == made["ownerReferences"]


async def test_a_runtime_that_was_deleted_or_edited_is_made_again(stage):
    ours, ref = (
        revision().model_copy(update={"runtime": RUNTIME}),
        Ref(SERVING_RUNTIME, "ns", "digits-raaaabbbb"),
    )
    await stage.run(Arm(ours))
    stage.objects.delete(ref)
    await stage.run(Arm(ours))
    stage.objects.change(ref, lambda before: merge(before, {"spec": {"supportedModelFormats": []}}))
    await stage.run(Arm(ours))
    assert stage.objects.get(ref)["spec"] == RUNTIME.spec


@pytest.mark.parametrize("pods", [None, 2, 5])
@pytest.mark.parametrize("serving", [FIXED, {"minReplicas": 2, "maxReplicas": 5}], ids=["fixed", "scaled"])
async def test_what_is_repeated_writes_nothing(stage, serving, pods):
    arms = Arm(revision(**serving).model_copy(update={"runtime": RUNTIME}), pods=pods), Arm(other(**serving))
    kept = [revision(name="1111222233", model="v3")]
    await stage.run(*arms, *(Arm(each) for each in kept))
    await stage.run(*arms, kept=kept)
    before = await stage.run(*arms, kept=kept)
    stage.requests.clear()
    assert await stage.run(*arms, kept=kept) == before
    assert set(stage.requests) <= {"get", "list"}


async def test_a_controller_is_not_away_for_what_was_written_a_moment_ago(stage):
    stage.kserve.away = True
    for seconds, is_away in ((1, False), (9, False), (11, True)):
        stage.now = datetime(2026, 3, 1, 12, 0, seconds, tzinfo=UTC)  # seconds after it was made
        seen = (await stage.run(Arm(revision())))["aaaabbbbcc"]
        assert "KServe has not taken up InferenceService digits-raaaabbbb" in seen.message
        assert bool(seen.waiting) is is_away


async def test_a_controller_that_is_away_is_waited_for_and_pods_live_on(stage):
    stage.kserve.away = True
    seen = await stage.run(Arm(revision()))
    assert "KServe has not taken up InferenceService digits-raaaabbbb" in seen["aaaabbbbcc"].waiting
    stage.kserve.away = False
    assert (await stage.run(Arm(revision())))["aaaabbbbcc"].waiting == ""
    stage.kserve.away = True
    assert (await stage.run(Arm(revision())))["aaaabbbbcc"].ready


async def test_what_a_pod_says_is_told_and_then_what_events_say(stage):
    stage.kserve.starts = lambda uri: False
    await stage.run(Arm(revision()))

    def warn(kind, name, reason):
        event = {
            "metadata": {"generateName": "e"},
            "regarding": {"kind": kind, "name": name},
            "type": "Warning",
        }
        stage.objects.create(EVENT, "ns", {**event, "reason": reason, "note": "why"})

    async def message():
        return (await stage.look(revision())).variants["aaaabbbbcc"].message

    warn("InferenceService", "another", "InternalError")
    assert await message() == ""
    warn("InferenceService", "digits-raaaabbbb", "InternalError")
    assert await message() == "InternalError: why"
    labels = {"mooring.dev/model-deployment": "digits", "mooring.dev/revision": "aaaabbbbcc"}
    stage.objects.create(POD, "ns", {"metadata": {"name": "p", "labels": labels}})
    warn("Pod", "p", "FailedMount")
    assert await message() == "FailedMount: why"
    condition = {"type": "PodScheduled", "status": "False", "message": "no node has a GPU"}
    stage.objects.change(
        Ref(POD, "ns", "p"), lambda before: {**before, "status": {"conditions": [condition]}}
    )
    assert await message() == "pods cannot be scheduled: no node has a GPU"


async def test_nobody_asks_why_pods_that_have_just_been_asked_for_are_not_ready(stage):
    stage.kserve.starts = lambda uri: False
    stage.now = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
    await stage.run(Arm(revision()))
    stage.requests.clear()
    await stage.look(revision())
    assert "list" not in stage.requests
    stage.now += timedelta(seconds=5)
    await stage.look(revision())
    assert "list" in stage.requests


async def test_an_owner_of_another_uid_takes_nothing_over(stage):
    await stage.run(Arm(revision()))
    with pytest.raises(ServiceNameTaken):
        await stage.services.observe(replace(OWNER, uid="another"), [revision()])


# --- what was taken over -------------------------------------------------------------------------

IRIS = Ref(INFERENCE_SERVICE, "ns", "iris")


def adopt(stage, **serving):
    """Have an InferenceService of somebody's, and give the revision that takes it over."""
    theirs = revision(**serving)
    wanted = revision_service(OWNER, theirs, pods=None)
    # The label is for who plays KServe here.
    metadata = {
        "name": "iris",
        "labels": {REVISION_LABEL: theirs.revision},
        "annotations": wanted["metadata"]["annotations"],
    }
    made = stage.objects.create(INFERENCE_SERVICE, "ns", {**wanted, "metadata": metadata}, "somebody")
    return theirs.model_copy(update={"adopted": f"iris/{made['metadata']['uid']}", "workload": None})


def said(stage):
    """Give what KServe hands on to its pods."""
    found = stage.objects.get(IRIS)
    return copy.deepcopy(
        [found["metadata"].get(part) for part in ("labels", "annotations")] + [found["spec"]]
    )


@pytest.mark.parametrize("serving", [FIXED, {"minReplicas": 3, "maxReplicas": 5}], ids=["fixed", "scaled"])
async def test_what_is_taken_over_gets_an_owner_and_nothing_else(stage, serving):
    taken = adopt(stage, **serving)
    await stage.kserve.act()
    before, pods = said(stage), stage.objects.get(Ref(DEPLOYMENT, "ns", "iris-predictor"))
    seen = await stage.run(Arm(taken))
    assert (seen[taken.revision].ready, seen[taken.revision].pods) == (True, 3)
    assert said(stage) == before
    [owner] = stage.objects.get(IRIS)["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (OWNER.uid, True)
    assert stage.objects.get(Ref(DEPLOYMENT, "ns", "iris-predictor")) == pods
    written = len(stage.requests)
    await stage.run(Arm(taken))
    assert not {"create", "patch", "update", "delete"} & set(stage.requests[written:])


async def test_what_was_taken_over_rests_comes_back_and_goes_as_any_other(stage):
    taken = adopt(stage, **FIXED)
    await stage.kserve.act()
    second = other(**FIXED)
    before = said(stage)
    await stage.run(Arm(taken), Arm(second))
    seen = await stage.run(Arm(second), kept=[taken])
    assert seen[taken.revision].pods == 0
    assert said(stage)[:2] == before[:2]
    seen = await stage.run(Arm(taken), kept=[second])
    assert seen[taken.revision].pods == 3
    # A crash may come between the status that forgets it and its end: then its annotation tells where it was.
    owner = replace(OWNER, adopts=taken.adopted)
    await stage.services.clear(owner, Routing((Arm(second),), ended=True), await stage.look(second))
    assert stage.names(INFERENCE_SERVICE) == {"digits-rddddeeee"}


async def test_what_was_made_anew_under_its_name_is_not_the_one(stage):
    taken = adopt(stage, **FIXED)
    stage.objects.delete(IRIS)
    adopt(stage, **FIXED)
    with pytest.raises(ServiceNameTaken, match="InferenceService iris exists"):
        await stage.look(taken)


async def test_what_another_deployment_has_taken_over_is_left_alone(stage):
    taken = adopt(stage, **FIXED)
    await stage.run(Arm(taken))
    rival = replace(OWNER, name="rival", uid="uid-2")
    with pytest.raises(ServiceNameTaken, match="belongs to ModelDeployment digits"):
        await stage.services.observe(rival, [taken])


async def test_what_was_deleted_by_hand_is_made_anew_as_an_ordinary_one(stage):
    taken = adopt(stage, **FIXED)
    await stage.run(Arm(taken))
    stage.objects.delete(IRIS)
    stage.objects.delete(Ref(DEPLOYMENT, "ns", "iris-predictor"))
    seen = await stage.run(Arm(taken))
    assert seen[taken.revision].pods == 3
    assert stage.objects.get(IRIS)["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"


EDITS = {
    "another model": {"model": {"storageUri": "s3://models/other"}},
    "another variable": {"model": {"env": [{"name": "A", "value": "changed"}]}},
    "one more variable": {"model": {"env": [{"name": "A", "value": "b"}, {"name": "C", "value": "d"}]}},
    "no variables": {"model": {"env": []}},
    "other nodes": {"nodeSelector": {"pool": "z", "zone": "a"}},
    "no nodes": {"nodeSelector": None},
    "other arguments": {"model": {"args": ["--fast"]}},
    "more memory": {"model": {"resources": {"limits": {"memory": "9Gi"}}}},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_an_edit_of_what_was_taken_over_is_undone(stage, edit):
    serving = {
        **FIXED,
        "env": [{"name": "A", "value": "b"}],
        "nodeSelector": {"pool": "y"},
        "args": ["--slow"],
        "resources": {"limits": {"cpu": "1"}},
    }
    taken = adopt(stage, **serving)
    await stage.kserve.act()
    await stage.run(Arm(taken))
    before = said(stage)[2]
    stage.objects.change(IRIS, lambda found: merge(found, {"spec": {"predictor": edit}}))
    assert said(stage)[2] != before
    await stage.run(Arm(taken))
    after = said(stage)[2]["predictor"]
    assert without_ours(after) == without_ours(before["predictor"])
    written = len(stage.requests)
    await stage.run(Arm(taken))
    assert not {"create", "patch", "update", "delete"} & set(stage.requests[written:])


def without_ours(predictor):
    """Variables of Mooring's are in none that somebody else made."""
    env = [one for one in predictor["model"].get("env", []) if one["name"] != "MOORING_REVISION"]
    return {**predictor, "model": {**predictor["model"], "env": env}}


@pytest.mark.parametrize(
    "edit",
    [{"containers": [{"name": "kserve-container", "image": "other"}]}, {"nodeSelector": {"a": "c"}}, None],
)
async def test_an_edit_of_a_transformer_that_was_taken_over_is_undone(stage, edit):
    beside = {"containers": [{"image": "t"}], "minReplicas": 2, "nodeSelector": {"a": "b"}}
    taken = adopt(stage, **FIXED, transformer=beside)
    await stage.kserve.act()
    await stage.run(Arm(taken))
    before = said(stage)[2]["transformer"]
    stage.objects.change(IRIS, lambda found: merge(found, {"spec": {"transformer": edit}}))
    await stage.run(Arm(taken))
    after = said(stage)[2]["transformer"]
    assert [after[name] for name in beside] == [before[name] for name in beside]
    written = len(stage.requests)
    await stage.run(Arm(taken))
    assert not {"create", "patch", "update", "delete"} & set(stage.requests[written:])


INTRUSIONS = {
    "a stop": {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}},
    "no more updates": {"metadata": {"annotations": {"serving.kserve.io/disable-auto-update": "true"}}},
    "a canary": {"spec": {"canary": [{"trafficPercent": 50, "predictor": {"name": "x"}}]}},
    "a transformer": {"spec": {"transformer": {"containers": [{"image": "t"}]}}},
    "an explainer": {"spec": {"explainer": {"containers": [{"image": "e"}]}}},
    "Knative's split": {"spec": {"predictor": {"canaryTrafficPercent": 10}}},
}


@pytest.mark.parametrize("taken_over", [False, True])
@pytest.mark.parametrize("intrusion", INTRUSIONS.values(), ids=INTRUSIONS)
async def test_what_decides_over_what_runs_is_nobody_elses_to_add(stage, intrusion, taken_over):
    shown = adopt(stage, **FIXED) if taken_over else revision(**FIXED)
    await stage.kserve.act()
    await stage.run(Arm(shown))
    service = IRIS if taken_over else Ref(INFERENCE_SERVICE, "ns", "digits-raaaabbbb")
    metadata, spec = (stage.objects.get(service)[part] for part in ("metadata", "spec"))
    stage.objects.change(service, lambda found: merge(found, intrusion))
    await stage.kserve.act()
    assert (await stage.run(Arm(shown)))[shown.revision].pods == 3
    found = stage.objects.get(service)
    assert found["spec"] == spec
    assert (found["metadata"].get("annotations") or {}) == (metadata.get("annotations") or {})
    written = len(stage.requests)
    await stage.run(Arm(shown))
    assert not {"create", "patch", "update", "delete"} & set(stage.requests[written:])


async def test_a_revision_that_keda_scales_stays_stopped_where_it_is_kept(stage):
    kept = revision(minReplicas=2, autoscaling={"scaler": "KEDA", "metric": "cpu", "target": 50})
    await stage.run(Arm(kept), Arm(other()))
    await stage.run(Arm(other()), kept=[kept])
    service = Ref(INFERENCE_SERVICE, "ns", "digits-raaaabbbb")
    assert stage.objects.get(service)["metadata"]["annotations"]["serving.kserve.io/stop"] == "true"


RUNTIME_ADDITIONS = {
    "a program": {"containers": [{"name": "kserve-container", "image": "a", "command": ["evil"]}]},
    "one more container": {
        "containers": [{"name": "kserve-container", "image": "a"}, {"name": "miner", "image": "b"}]
    },
    "other nodes": {"nodeSelector": {"pool": "x"}},
    "a volume": {"volumes": [{"name": "v", "emptyDir": {}}]},
    "its choice for other models": {"supportedModelFormats": [{"name": "onnx", "autoSelect": True}]},
}


@pytest.mark.parametrize("addition", RUNTIME_ADDITIONS.values(), ids=RUNTIME_ADDITIONS)
async def test_nobody_adds_to_the_copy_of_a_runtime(stage, addition):
    spec = {
        "supportedModelFormats": [{"name": "onnx"}],
        "containers": [{"name": "kserve-container", "image": "a"}],
    }
    pinned = PinnedRuntime(kind="ClusterServingRuntime", name="ours", spec=spec)
    first = revision().model_copy(update={"runtime": pinned})
    await stage.run(Arm(first))
    runtime = Ref(SERVING_RUNTIME, "ns", "digits-raaaabbbb")
    before = stage.objects.get(runtime)["spec"]
    stage.objects.change(runtime, lambda found: merge(found, {"spec": addition}))
    await stage.run(Arm(first))
    assert stage.objects.get(runtime)["spec"] == before
    written = len(stage.requests)
    await stage.run(Arm(first))
    assert not {"create", "patch", "update", "delete"} & set(stage.requests[written:])


async def test_what_others_add_to_what_was_taken_over_stays(stage):
    taken = adopt(stage, **FIXED)
    await stage.kserve.act()
    await stage.run(Arm(taken))
    added = {"metadata": {"labels": {"team": "b"}}, "spec": {"predictor": {"timeout": 9, "priority": 1}}}
    stage.objects.change(IRIS, lambda found: merge(found, added))
    written = len(stage.requests)
    await stage.run(Arm(taken))
    assert not {"create", "patch", "update", "delete"} & set(stage.requests[written:])


COLLECTED = {"capture": {"store": "s3://captured"}, **FIXED}
COLLECTOR = "digits-raaaabbbb-collect"


def elsewhere(made):
    """A revision on a server that keeps no requests."""
    return made.model_copy(update={"runtime": RUNTIME})


async def test_a_collector_comes_with_a_revision_sleeps_and_goes_with_it(stage):
    first, second = elsewhere(revision(**COLLECTED)), elsewhere(other(**FIXED))
    await stage.run(Arm(first))
    seen = (await stage.look(first)).variants["aaaabbbbcc"]
    assert seen.collector == CollectorState()
    collector = stage.objects.get(Ref(DEPLOYMENT, "ns", COLLECTOR))
    service = stage.objects.get(Ref(INFERENCE_SERVICE, "ns", "digits-raaaabbbb"))
    assert collector["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]
    assert service["spec"]["predictor"]["logger"]["url"] == f"http://{COLLECTOR}.ns.svc"
    assert COLLECTOR in stage.names(SERVICE)
    # What changes nothing writes nothing.
    stage.requests.clear()
    await stage.services.run(OWNER, Routing((Arm(first),)), await stage.look(first))
    assert {"create", "patch", "delete", "POST", "PATCH", "DELETE"}.isdisjoint(stage.requests)
    # A revision that is kept without pods asks nothing of anybody.
    await stage.run(Arm(second), kept=[first])
    assert stage.objects.get(Ref(DEPLOYMENT, "ns", COLLECTOR))["spec"]["replicas"] == 0
    await stage.run(Arm(first), kept=[second])
    assert stage.objects.get(Ref(DEPLOYMENT, "ns", COLLECTOR))["spec"]["replicas"] == 1
    # Capture goes with the revision that had it.
    await stage.run(Arm(second), ended=True)
    assert COLLECTOR not in stage.names(DEPLOYMENT) | stage.names(SERVICE)
    predictor = stage.objects.get(Ref(INFERENCE_SERVICE, "ns", "digits-rddddeeee"))["spec"]["predictor"]
    assert "logger" not in predictor


async def test_somebody_elses_logger_is_told_and_never_overwritten(stage):
    first = elsewhere(revision(**COLLECTED))
    await stage.run(Arm(first))
    ref = Ref(INFERENCE_SERVICE, "ns", "digits-raaaabbbb")
    theirs = {"logger": {"url": "https://trustyai.ns.svc.cluster.local"}}
    stage.objects.change(ref, lambda before: merge(before, {"spec": {"predictor": theirs}}))
    there = stage.objects.get(ref)["spec"]["predictor"]["logger"]
    assert there["url"] == theirs["logger"]["url"]
    for pods in (None, 2, 5):
        await stage.run(Arm(first, pods=pods))
        assert stage.objects.get(ref)["spec"]["predictor"]["logger"] == there
    seen = (await stage.look(first)).variants["aaaabbbbcc"]
    assert theirs["logger"]["url"] in seen.collector.taken
    assert stage.objects.get(Ref(DEPLOYMENT, "ns", COLLECTOR))["spec"]["replicas"] == 0


async def test_an_object_of_the_collectors_name_is_left_alone_and_told(stage):
    metadata = {"name": COLLECTOR, "namespace": "ns"}
    for kind in (DEPLOYMENT, SERVICE):
        manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        await stage.cluster.create({**manifest, "spec": {"theirs": kind.kind}})
    first = elsewhere(revision(**COLLECTED))
    for _ in range(2):
        try:
            await stage.services.run(OWNER, Routing((Arm(first),)), await stage.look(first))
        except Conflict:
            continue
    seen = (await stage.look(first)).variants["aaaabbbbcc"]
    assert COLLECTOR in seen.collector.problem
    for kind in (DEPLOYMENT, SERVICE):
        assert stage.objects.get(Ref(kind, "ns", COLLECTOR))["spec"] == {"theirs": kind.kind}
