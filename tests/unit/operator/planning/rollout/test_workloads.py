"""What runs of the stable revision besides its service."""

from dataclasses import replace

import kubernetes_validate
import pytest
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.manifests.workloads import Images, consumers, cron_job
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout.actions import ApplyWorkload, RemoveWorkload
from mooring_operator.planning.rollout.plan import plan
from pydantic import ValidationError

from tests.unit.operator.planning.world import START, World, spec_of

OLDEST_KUBERNETES = "1.32"
OWNER = Owner("ns", "digits", "uid-1", 1)
IMAGES = Images("inference:1", "initializer:1")
BATCH = {"schedule": "0 3 * * *", "input": "s3://d/rows", "output": "s3://d/scores"}
STREAM = {"source": "redis://r/in", "sink": "redis://r/out"}


def revision(uri="s3://m/v1", **serving):
    return Revision(
        revision="abc1234567", model_uri=uri, storage_uri=uri, format="onnx", serving=serving, since=START
    )


def job(stable=None, **batch):
    spec = spec_of(batch={**BATCH, **batch}).batch
    return cron_job(OWNER, stable or revision(), spec, IMAGES)


def answering(stable=None, **stream):
    return consumers(OWNER, stable or revision(), spec_of(stream={**STREAM, **stream}).stream, IMAGES)


def pod_of(manifest):
    spec = manifest["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]["spec"]


@pytest.mark.parametrize(
    "manifest",
    [
        job(),
        job(
            timeZone="Europe/Berlin",
            suspend=True,
            format="csv",
            idColumn="id",
            batchSize=100,
            shards=4,
            timeout="2h",
            historyLimit=0,
            resources={"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}},
            credentialsSecret="storage",
        ),
        job(revision("pvc://models/digits/v1", serviceAccountName="sa")),
        answering(),
        answering(
            deadLetters="redis://r/dead", group="g", replicas=3, batchSize=16, credentialsSecret="redis"
        ),
    ],
)
def test_kubernetes_takes_them(manifest):
    kubernetes_validate.validate(manifest, OLDEST_KUBERNETES, strict=True)
    (reference,) = manifest["metadata"]["ownerReferences"]
    assert (reference["uid"], reference["controller"]) == ("uid-1", True)


def test_shards_share_the_files_by_their_index():
    spec = job(shards=4)["spec"]
    run = spec["jobTemplate"]["spec"]
    assert (run["completionMode"], run["completions"], run["parallelism"]) == ("Indexed", 4, 4)
    assert "--shard=$(JOB_COMPLETION_INDEX)/4" in pod_of(job(shards=4))["containers"][0]["args"]
    assert spec["concurrencyPolicy"] == "Forbid"


def test_the_model_is_fetched_before_it_is_run():
    pod = pod_of(job(credentialsSecret="storage"))
    fetch, run = pod["initContainers"][0], pod["containers"][0]
    assert (fetch["image"], fetch["args"]) == ("initializer:1", ["s3://m/v1", "/mnt/models"])
    assert (run["image"], run["args"][:2]) == ("inference:1", ["score", "--model_dir=/mnt/models"])
    for container in (fetch, run):
        assert container["envFrom"] == [{"secretRef": {"name": "storage"}}]
        assert container["securityContext"]["readOnlyRootFilesystem"]


def test_a_model_in_a_claim_is_mounted():
    pod = pod_of(answering(revision("pvc://models/digits/v1")))
    assert pod["initContainers"][0]["args"][0] == "/mnt/pvc/digits/v1"
    claim = {"claimName": "models", "readOnly": True}
    assert {"name": "claim", "persistentVolumeClaim": claim} in pod["volumes"]


def test_resources_are_the_service_s_unless_they_are_given():
    serving = {"resources": {"limits": {"cpu": "2"}}}
    assert pod_of(job(revision(**serving)))["containers"][0]["resources"] == {"limits": {"cpu": "2"}}
    own = job(revision(**serving), resources={"requests": {"cpu": "100m"}})
    assert pod_of(own)["containers"][0]["resources"] == {"requests": {"cpu": "100m"}}


def test_consumers_of_a_new_revision_replace_the_old_ones_under_the_same_selector():
    one, two = answering(), answering(revision().model_copy(update={"revision": "def"}))
    assert one["spec"]["selector"] == two["spec"]["selector"]
    assert "--group=digits" in one["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--revision=def" in two["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"batch": {**BATCH, "output": "s3://d/rows/"}}, "lies inside input"),
        ({"batch": {**BATCH, "schedule": "every day"}}, "schedule"),
        ({"batch": {**BATCH, "input": "http://d/rows"}}, "input"),
        ({"batch": {**BATCH, "shards": 0}}, "shards"),
        ({"stream": {**STREAM, "sink": "redis://r/in"}}, "is the source"),
        ({"stream": {**STREAM, "source": "redis://me:secret@r/in"}}, "source"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        ModelDeploymentSpec.model_validate({"model": {"uri": "s3://m/v1", "format": "onnx"}, **fields})


def applied(decision, workload="batch"):
    return [
        action.manifest
        for action in decision.actions
        if isinstance(action, ApplyWorkload) and action.workload == workload
    ]


def source_of(manifest):
    return pod_of(manifest)["initContainers"][0]["args"][0]


class Cluster(World):
    """A world in which workloads come true, unless they are refused."""

    def __init__(self, spec):
        super().__init__(spec)
        self.workloads = {}

    def observe(self):
        return replace(super().observe(), workloads=dict(self.workloads))

    def _do(self, action):
        if isinstance(action, ApplyWorkload):
            self.workloads[action.workload] = action.manifest
        elif isinstance(action, RemoveWorkload):
            self.workloads.pop(action.workload, None)
        else:
            super()._do(action)


STEPS = {"rollout": {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}}


def test_only_a_promoted_revision_scores_and_answers():
    world = Cluster(spec_of("v1", batch=BATCH, stream=STREAM, **STEPS))
    world.step()
    assert world.workloads == {}
    world.settle()
    assert source_of(world.workloads["batch"]) == "s3://m/v1"
    assert world.status.stream.name == "digits-stream"
    world.apply(spec_of("v2", batch=BATCH, stream=STREAM, **STEPS))
    assert world.settle().phase == "AwaitingApproval"
    assert source_of(world.workloads["batch"]) == "s3://m/v1"
    world.command("approve")
    assert world.settle().phase == "Promoted"
    assert source_of(world.workloads["batch"]) == "s3://m/v2"
    assert world.status.batch.revision == world.status.stable.revision


def test_a_workload_goes_with_its_field_and_is_looked_for_until_it_is_gone():
    world = Cluster(spec_of("v1", batch=BATCH))
    world.settle()
    world.apply(spec_of("v1"))
    decision = world.step(crash_after=0)
    assert RemoveWorkload("batch") in decision.actions
    assert world.status.batch is not None
    world.step()
    assert world.workloads == {}
    world.step()
    assert world.status.batch is None


def test_nothing_is_applied_twice():
    world = Cluster(spec_of("v1", batch=BATCH, stream=STREAM))
    world.settle()
    assert applied(world.step()) == applied(world.step(), "stream") == []
    world.apply(spec_of("v1", batch={**BATCH, "shards": 2}, stream=STREAM))
    assert len(applied(world.step())) == 1


def test_a_refusal_is_a_condition_and_stops_no_rollout():
    world = Cluster(spec_of("v1", batch=BATCH))
    world.settle()
    world.workloads.clear()
    observed = replace(world.observe(), refused_workloads={"batch": "unknown time zone"})
    decision = plan(world.spec, world.status, observed, world.now)
    condition = next(c for c in decision.status.conditions if c.type == "BatchApplied")
    assert (condition.status, condition.message) == ("False", "unknown time zone")
    assert Notify("Warning", "WorkloadRefused", "unknown time zone") in decision.actions
    assert decision.phase == "Promoted"
    again = plan(world.spec, decision.status, observed, world.now)
    assert again.status == decision.status
    assert not any(isinstance(action, Notify) for action in again.actions)
    unknown = plan(world.spec, decision.status, world.observe(), world.now)
    assert unknown.status == decision.status
    assert applied(unknown)
    world.status = decision.status
    world.step()
    world.step()
    assert not any(c.type == "BatchApplied" for c in world.status.conditions)


def texts_of(pod):
    for container in (*pod["initContainers"], *pod["containers"]):
        yield from container.get("args", [])
        yield from (variable["value"] for variable in container.get("env", []))


@pytest.mark.parametrize("text", ["$(SECRET)", "$$(SECRET)", "$$$(SECRET)", "$", "a$(b"])
def test_text_of_a_spec_is_not_expanded_in_a_pod(text):
    served = revision(f"s3://m/{text}", env=[{"name": "A", "value": text}])
    scoring = job(served, idColumn=text, input=f"s3://d/{text}", output=f"s3://e/{text}")
    consuming = answering(
        served, source=f"redis://r/{text}", sink=f"redis://s/{text}", deadLetters=f"redis://t/{text}"
    )
    for manifest, count in ((scoring, 5), (consuming, 5)):
        texts = [found for found in texts_of(pod_of(manifest)) if "JOB_COMPLETION_INDEX" not in found]
        written = [found for found in texts if "$" in found]
        assert len(written) == count
        assert all(found.endswith(text.replace("$", "$$")) for found in written)


@pytest.mark.parametrize("made", [job, answering])
def test_other_work_loads_the_tested_files_alone(made):
    digest = "sha256:" + "a" * 64
    tested = revision("s3://m/v1").as_revision(brought={"digest": digest, "isFolder": True})
    pod = pod_of(made(tested))
    assert f"--model_digest={digest}" in pod["containers"][0]["args"]
    assert pod["initContainers"][0]["args"][0] == "s3://m/v1/"
    plain = pod_of(made(revision("s3://m/v1")))
    assert not any("model_digest" in argument for argument in plain["containers"][0]["args"])
