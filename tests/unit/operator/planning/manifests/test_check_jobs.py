"""Jobs of checks: restricted pods that nothing of a spec widens, with all that a check is told."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.webhooks import BODY, SECONDS, URL
from mooring_operator.api.checks import Job, Webhook
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.checks import Question
from mooring_operator.planning.manifests.check_jobs import job_of, name_of
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects.owner import Owner

from tests.unit.operator.planning.manifests.test_pods import expanded

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("team-a", "digits", "uid-1", 1)
CHECK_ID = "0b2f4f6e-0000-5000-8000-000000000000"
FILES = {"model_uri": "s3://m/v2", "storage_uri": "s3://m/v2", "format": "onnx"}
CANDIDATE = Candidate(
    revision="aaaaaaaaaa",
    digest="sha256:" + "0" * 64,
    weight=10,
    step=2,
    started_at=NOW,
    step_started_at=NOW,
    **FILES,
)
STABLE = Revision(revision="bbbbbbbbbb", **FILES)
ADDRESS = "http://digits-aaaaaaaaaa-predictor.team-a.svc"


def made(check, pods=None):
    question = Question(CHECK_ID, check, CANDIDATE, STABLE, NOW, ADDRESS)
    return job_of(OWNER, question, pods or RunPods())


def pod_of(job):
    return job["spec"]["template"]["spec"]


def environment(job):
    [container] = pod_of(job)["containers"]
    return {variable["name"]: expanded(variable["value"]) for variable in container["env"]}


def test_a_job_has_the_candidate_in_its_environment():
    job = made(Job(image="smoke:1"))
    assert environment(job) == {
        "MOORING_DEPLOYMENT": "digits",
        "MOORING_NAMESPACE": "team-a",
        "MOORING_REVISION": "aaaaaaaaaa",
        "MOORING_STABLE_REVISION": "bbbbbbbbbb",
        "MOORING_MODEL_URI": "s3://m/v2",
        "MOORING_DIGEST": "sha256:" + "0" * 64,
        "MOORING_WEIGHT": "10",
        "MOORING_STEP": "2",
        "MOORING_ATTEMPT": "1",
        "MOORING_URL": ADDRESS,
        "MOORING_CHECK_ID": CHECK_ID,
        "HOME": "/tmp",
    }


def test_a_webhook_is_asked_with_the_same_by_a_program_of_ours():
    job = made(Webhook(url="https://gates.example.com/go?a=$(HOME)", headers_secret="gates", timeout="90s"))
    [container] = pod_of(job)["containers"]
    told = environment(job)
    assert told[URL] == "https://gates.example.com/go?a=$(HOME)"
    assert told[SECONDS] == "90"
    assert json.loads(told[BODY])["revision"] == "aaaaaaaaaa"
    assert json.loads(told[BODY])["weight"] == 10
    assert container["image"] == RunPods().image
    assert container["command"] == ["python", "-I", "-m", "mooring_components.webhook"]
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "headers"]
    assert container["args"] == [mount["mountPath"]]
    assert mount["readOnly"]
    assert pod_of(job)["volumes"][1] == {
        "name": "headers",
        "secret": {"secretName": "gates", "defaultMode": 0o440},
    }
    # Time to start comes on top, so that it can still say what it heard last.
    assert job["spec"]["activeDeadlineSeconds"] == 90 + 120


@pytest.mark.parametrize("check", [Job(image="a"), Webhook(url="https://a")], ids=["job", "webhook"])
def test_the_pod_is_restricted_and_belongs_to_its_deployment(check):
    job = made(check)
    pod = pod_of(job)
    [container] = pod["containers"]
    assert job["metadata"]["name"] == name_of(CHECK_ID)
    assert len(name_of(CHECK_ID)) <= 63
    assert job["metadata"]["namespace"] == "team-a"
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == ("uid-1", True)
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert job["spec"]["ttlSecondsAfterFinished"] == 86_400
    # Services of the deployment and of its revisions select by these.
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert not {"mooring.dev/model-deployment", "mooring.dev/revision"} & labels.keys()


def test_what_a_spec_says_reaches_the_pod():
    check = Job(
        image="k6:1",
        command=["k6", "$(TOKEN)"],
        args=["$$"],
        cpu="2",
        memory="3Gi",
        service_account_name="smoke",
        credentials_secret="keys",
        backoff_limit=3,
        timeout="5m",
    )
    job = made(check)
    pod = pod_of(job)
    [container] = pod["containers"]
    assert pod["serviceAccountName"] == "smoke"
    # The image's own: what it runs may lie beside it.
    assert "workingDir" not in container
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "3Gi"}
    assert [expanded(word) for word in container["command"]] == ["k6", "$(TOKEN)"]
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (3, 300)


def test_no_check_takes_longer_than_the_administrator_lets_any_run():
    for check in (Job(image="a", timeout="9h"), Webhook(url="https://a", timeout="9h")):
        job = made(check, RunPods(longest=timedelta(hours=1), kept=timedelta(minutes=1)))
        assert job["spec"]["activeDeadlineSeconds"] == 3600
        assert job["spec"]["ttlSecondsAfterFinished"] == 60


words = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=16)


@given(command=words, args=words)
def test_no_word_is_expanded_or_split(command, args):
    if sum(map(len, (*command, *args))) > 1024:
        return
    [container] = pod_of(made(Job(image="a", command=command, args=args)))["containers"]
    assert [expanded(word) for word in container.get("command", [])] == command
    assert [expanded(word) for word in container.get("args", [])] == args
