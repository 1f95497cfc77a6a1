"""What a revision runs on: found out, copied, followed; and what is said where it cannot be had."""

from datetime import timedelta

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revisions import SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME

from tests.operator.faults import Fault
from tests.operator.objects import merge
from tests.operator.test_operator_endpoints import Played, runtime
from tests.operator.world import Crash

SHARED = Ref(CLUSTER_SERVING_RUNTIME, "", "onnx-server")


class Stage(Played):
    """The world with runtimes that people edit."""

    def deploy(self, model="v1", *, serving=None, **rollout):
        spec = {"router": "Endpoints", "progressDeadline": "1m", **rollout}
        self.world.deploy(model, rollout=spec, serving=serving or {})

    def add(self, name="onnx-server", *, namespace="", **spec):
        kind = SERVING_RUNTIME if namespace else CLUSTER_SERVING_RUNTIME
        self.world.objects.create(kind, namespace, runtime(name, **spec))

    def edit(self, image, ref=SHARED, **spec):
        wanted = {"spec": {**runtime(ref.name, image)["spec"], **spec}}
        self.world.objects.change(ref, lambda before: merge(before, wanted))

    def copies(self):
        found = self.world.objects.list(SERVING_RUNTIME, "ns")
        return {
            each["metadata"]["name"]: each["spec"]["containers"][0]["image"]
            for each in found
            if each["metadata"].get("labels")
        }

    def services(self):
        return [each["metadata"]["name"] for each in self.world.objects.list(INFERENCE_SERVICE, "ns")]

    def questions(self):
        return [name for name in self.services() if "-p" in name]

    async def look(self, times=3):
        for _ in range(times):
            await self.world.step()
            await self.kserve.act()
            self.world.now += timedelta(seconds=2)
        return self.world.status


@pytest.fixture
def stage(world, players):
    return Stage(world, players)


async def test_kserve_is_asked_once_and_the_revision_runs_on_a_copy(stage, emulator):
    stage.add()
    stage.add("other", namespace="ns", supportedModelFormats=[{"name": "onnx"}])
    stage.deploy()
    status = await stage.settle()
    assert status["phase"] == "Promoted"
    name = f"digits-{status['stable']['workload']}"
    assert status["stable"]["runtime"]["name"] == "onnx-server"
    assert stage.copies() == {name: "server:1"}
    assert stage.services() == [name]
    made = [call.resource for call in emulator.calls if call.verb == "create"]
    # The question; then the copy, before anything runs on it.
    kserves = [each for each in made if each in ("inferenceservices", "servingruntimes")]
    assert kserves == ["inferenceservices", "servingruntimes", "inferenceservices"]
    served = stage.world.objects.get(Ref(INFERENCE_SERVICE, "ns", name))
    assert served["spec"]["predictor"]["model"]["runtime"] == name


async def test_a_first_revision_that_was_rejected_is_not_tried_again_by_itself(stage, emulator):
    """Nothing says any more what it ran on: KServe is not asked anew, which would be a retry."""
    stage.add()
    stage.kserve.starts = lambda uri: not uri.endswith("v1")
    stage.deploy()
    status = await stage.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "ProgressDeadlineExceeded")
    rejected, made = status["failedRevision"], len(emulator.calls)
    for _ in range(4):
        status = await stage.look(10)
        assert (status["phase"], status["failedRevision"]) == ("Failed", rejected)
    assert "create" not in {call.verb for call in emulator.calls[made:]}
    stage.kserve.starts = lambda uri: True
    stage.world.command("retry", rejected)
    status = await stage.settle()
    assert (status["phase"], status["stable"]["revision"]) == ("Promoted", rejected)


async def test_another_model_is_tried_where_the_first_was_rejected(stage):
    stage.add()
    stage.kserve.starts = lambda uri: not uri.endswith("v1")
    stage.deploy()
    assert (await stage.settle())["phase"] == "Failed"
    stage.deploy("v2")
    status = await stage.settle()
    assert status["phase"] == "Promoted"
    assert status["stable"]["storageUri"].endswith("v2")


async def test_an_edited_runtime_is_rolled_out_like_a_model(stage):
    stage.add()
    stage.deploy(steps=[{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}])
    first = (await stage.settle())["stable"]["revision"]
    stage.edit("server:2")
    status = await stage.settle()
    assert (status["phase"], status["stable"]["revision"]) == ("AwaitingApproval", first)
    assert "RuntimeChanged" in stage.world.events()
    assert set(stage.copies().values()) == {"server:1", "server:2"}
    assert stage.questions() == []
    stage.world.command("approve", status["candidate"]["revision"])
    status = await stage.settle()
    assert status["stable"]["runtime"]["spec"]["containers"][0]["image"] == "server:2"
    assert status["previous"]["runtime"]["spec"]["containers"][0]["image"] == "server:1"
    stage.world.command("rollback", status["stable"]["revision"])
    status = await stage.settle()
    assert status["stable"]["revision"] == first
    for _ in range(3):
        assert (await stage.look())["stable"]["revision"] == first


@pytest.mark.parametrize(
    "edit",
    [
        {"supportedModelFormats": [{"name": "onnx", "autoSelect": True}, {"name": "more"}]},
        {"disabled": True, "containers": [{"name": "kserve-container", "image": "server:2"}]},
        {"multiModel": None, "volumes": []},
    ],
    ids=["formats", "disabled", "nothing"],
)
async def test_what_moves_no_pod_is_no_revision(stage, edit):
    stage.add()
    stage.deploy()
    await stage.settle()
    stage.edit("server:1", **edit)
    status = await stage.look()
    assert (status["phase"], len(status["history"])) == ("Promoted", 1)


async def test_pinned_leaves_what_runs_alone_and_follow_takes_it_up(stage):
    stage.add()
    stage.deploy(serving={"runtimePolicy": "Pinned"})
    first = (await stage.settle())["stable"]["revision"]
    stage.edit("server:2")
    for _ in range(3):
        status = await stage.look()
        assert (status["phase"], status["stable"]["revision"]) == ("Promoted", first)
        assert (
            "onnx-server was edited since it began: with runtimePolicy Pinned it runs on" in status["message"]
        )
    assert stage.world.events().count("RuntimeChanged") == 1
    stage.edit("server:1")
    assert "edited" not in (await stage.look())["message"]
    stage.edit("server:2")
    stage.deploy(serving={"runtimePolicy": "Follow"})
    status = await stage.settle()
    assert status["stable"]["runtime"]["spec"]["containers"][0]["image"] == "server:2"


async def test_a_new_model_under_pinned_runs_on_what_the_runtime_is_then(stage):
    stage.add()
    stage.deploy(serving={"runtimePolicy": "Pinned"})
    await stage.settle()
    stage.edit("server:2")
    stage.deploy("v2", serving={"runtimePolicy": "Pinned"})
    status = await stage.settle()
    assert status["stable"]["runtime"]["spec"]["containers"][0]["image"] == "server:2"


async def test_a_broken_edit_is_rolled_back_and_the_next_one_is_tried(stage):
    stage.add()
    stage.deploy()
    first = (await stage.settle())["stable"]["revision"]
    stage.kserve.broken.add("server:2")
    stage.edit("server:2")
    status = await stage.settle()
    assert (status["phase"], status["stable"]["revision"]) == ("RolledBack", first)
    assert (await stage.look())["phase"] == "RolledBack"
    stage.edit("server:3")
    status = await stage.settle()
    assert status["stable"]["runtime"]["spec"]["containers"][0]["image"] == "server:3"


async def test_a_rejected_model_is_not_tried_again_by_an_edit_of_the_runtime(stage):
    stage.add()
    stage.deploy()
    await stage.settle()
    stage.kserve.starts = lambda uri: uri != "s3://m/v2"
    stage.deploy("v2")
    status = await stage.settle()
    rejected = status["failedRevision"]
    assert status["phase"] == "RolledBack"
    stage.edit("server:2")
    for _ in range(3):
        status = await stage.look()
        assert (status["phase"], status["failedRevision"], status.get("candidate")) == (
            "RolledBack",
            rejected,
            None,
        )
    stage.kserve.starts = lambda uri: True
    stage.world.command("retry", rejected)
    status = await stage.settle()
    assert status["phase"] == "Promoted"
    assert status["stable"]["runtime"]["spec"]["containers"][0]["image"] == "server:2"
    assert (await stage.look())["phase"] == "Promoted"


async def test_an_upgrade_rolls_out_nothing_and_the_next_model_is_pinned(stage, monkeypatch):
    stage.add()
    with monkeypatch.context() as before:
        # An operator that knows of no runtimes.
        before.setattr("mooring_operator.reconcile.gatherer.runtime_sought", lambda *_: None)
        stage.deploy()
        first = (await stage.settle())["stable"]
    assert "runtime" not in first
    stage.edit("server:2")
    writes = stage.world.objects.version
    status = await stage.look()
    assert (status["stable"], status.get("candidate"), stage.world.objects.version) == (first, None, writes)
    stage.deploy("v2")
    status = await stage.settle()
    assert status["stable"]["runtime"]["spec"]["containers"][0]["image"] == "server:2"
    stage.world.command("rollback", status["stable"]["revision"])
    assert (await stage.settle())["stable"]["revision"] == first["revision"]


async def test_what_was_rejected_before_an_upgrade_stays_rejected(stage, monkeypatch):
    stage.add()
    with monkeypatch.context() as before:
        before.setattr("mooring_operator.reconcile.gatherer.runtime_sought", lambda *_: None)
        stage.deploy()
        await stage.settle()
        stage.kserve.starts = lambda uri: uri != "s3://m/v2"
        stage.deploy("v2")
        rejected = (await stage.settle())["failedRevision"]
    for _ in range(3):
        status = await stage.look()
        assert (status["failedRevision"], status.get("candidate")) == (rejected, None)


async def test_a_copy_that_was_deleted_by_hand_is_made_again(stage):
    stage.add()
    stage.deploy()
    await stage.settle()
    [name] = stage.copies()
    stage.world.objects.delete(Ref(SERVING_RUNTIME, "ns", name))
    await stage.world.step()
    assert stage.copies() == {name: "server:1"}


async def test_a_runtime_that_is_gone_takes_nothing_from_what_runs(stage):
    stage.add()
    stage.deploy()
    first = (await stage.settle())["stable"]["revision"]
    stage.world.objects.delete(SHARED)
    status = await stage.look()
    assert (status["phase"], status["stable"]["revision"]) == ("Promoted", first)
    assert list(stage.copies().values()) == ["server:1"]


@pytest.mark.parametrize(
    ("serving", "spec", "reason", "said"),
    [
        ({"runtime": "none"}, {}, "RuntimeNotFound", "spec.serving.runtime: there is no ServingRuntime none"),
        ({"runtime": "other"}, {"disabled": True}, "RuntimeUnsuitable", "other is disabled"),
        (
            {"runtime": "other"},
            {"supportedModelFormats": [{"name": "pmml", "version": "4"}, {"name": "sklearn"}]},
            "RuntimeUnsuitable",
            "does not support format onnx of spec.model, but pmml 4, sklearn",
        ),
        (
            {"runtime": "other"},
            {"nodeSelector": {"a": "x" * 9000}},
            "RuntimeUnsuitable",
            "a revision keeps at most 7168",
        ),
    ],
)
async def test_a_runtime_that_cannot_be_had_is_told_and_stable_serves(stage, serving, spec, reason, said):
    stage.add()
    stage.add("other", **spec)
    stage.deploy()
    await stage.settle()
    stage.deploy(serving=serving)
    status = await stage.look()
    assert (status["phase"], status["reason"]) == ("Failed", reason)
    assert said in status["message"]
    assert "spec.serving.runtime" in status["message"]
    assert status["message"].endswith(f"revision {status['stable']['revision']} keeps serving")
    assert stage.world.condition("Stalled")["status"] == "True"
    assert stage.kserve.weights == {"s3://m/v1": 100}
    stage.deploy()
    assert (await stage.settle())["phase"] == "Promoted"


async def test_a_format_that_no_runtime_takes_is_told_in_kserves_words(stage):
    stage.deploy()
    status = await stage.look(4)
    assert (status["phase"], status["reason"]) == ("Failed", "RuntimeUnsuitable")
    assert "No runtime found to support specified framework/version" in status["message"]
    stage.add()
    # What KServe has answered is asked anew after a minute.
    assert (await stage.settle())["phase"] == "Promoted"


async def test_an_operator_that_may_not_read_the_clusters_runtimes_says_the_way_out(stage, emulator):
    stage.add()
    stage.deploy(serving={"runtime": "onnx-server"})
    denied = 'clusterservingruntimes "onnx-server" is forbidden: User "mooring" cannot get it'
    emulator.faults.append(Fault(403, "get", "clusterservingruntimes", times=1000, message=denied))
    status = await stage.look()
    assert (status["phase"], status["reason"]) == ("Failed", "RuntimeUnreadable")
    assert "may not read ClusterServingRuntimes" in status["message"]
    stage.add("ours", namespace="ns")
    stage.deploy(serving={"runtime": "ours"})
    assert (await stage.settle())["phase"] == "Promoted"
    stage.edit("server:2", Ref(SERVING_RUNTIME, "ns", "ours"))
    await stage.settle()
    assert stage.world.status["stable"]["runtime"]["spec"]["containers"][0]["image"] == "server:2"


async def test_kserve_that_does_not_answer_is_told_of(stage):
    stage.kserve.away = True
    stage.deploy()
    status = await stage.look(1)
    assert (status["phase"], status["reason"]) == ("Pending", "ChoosingRuntime")
    # It may answer in a moment.
    assert stage.world.events() == []
    stage.world.now += timedelta(minutes=1)
    status = await stage.look(3)
    assert "is its controller running?" in status["message"]
    assert stage.world.events() == ["ChoosingRuntime"]
    stage.kserve.away = False
    stage.add()
    assert (await stage.settle())["phase"] == "Promoted"
    assert stage.questions() == []


@pytest.mark.parametrize("writes", range(1, 14))
async def test_a_crash_anywhere_asks_once_and_leaves_nothing_behind(stage, emulator, writes):
    stage.add()
    await stage.world.start(crash_after=writes)
    stage.deploy()
    try:
        await stage.settle()
    except Crash:
        await stage.world.start()
        status = await stage.settle()
        assert status["phase"] == "Promoted", status
    [name] = stage.copies()
    assert stage.services() == [name]
    assert stage.world.status["history"][0]["outcome"] == "Promoted"
    assert len(stage.world.status["history"]) == 1


async def test_a_name_that_somebody_else_has_is_left_alone(stage):
    stage.add()
    stage.deploy()
    await stage.world.step()
    [name] = stage.questions()
    ref = Ref(INFERENCE_SERVICE, "ns", name)
    stage.world.objects.delete(ref)
    theirs = {"metadata": {"name": name}, "spec": {"predictor": {}}}
    stage.world.objects.create(INFERENCE_SERVICE, "ns", theirs)
    status = await stage.look(1)
    assert status["reason"] == "NameTaken"
    assert stage.world.objects.get(ref)["spec"] == {"predictor": {}}
