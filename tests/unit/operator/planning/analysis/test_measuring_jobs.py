"""Jobs of measurements: restricted pods that nothing of a template widens, each ended in time."""

import json
from datetime import timedelta

from mooring_artifacts.measuring import QUESTION, SECONDS
from mooring_operator.planning.analysis.in_namespace import due
from mooring_operator.planning.analysis.measuring_jobs import MEASURED_BY_PODS, MEASUREMENT_LABEL, job_of
from mooring_operator.planning.manifests.check_jobs import name_of
from mooring_operator.planning.manifests.pods import RESTRICTED_CONTAINER, RESTRICTED_POD
from mooring_operator.planning.manifests.run_jobs import RunPods

from tests.unit.operator.planning.analysis.test_in_namespace import asked, used
from tests.unit.operator.planning.manifests.test_check_jobs import environment, pod_of

SMOKE = {
    "image": "smoke:1",
    "command": ["sh", "-c", "echo $(TOKEN)"],
    "credentialsSecret": "keys",
    "serviceAccountName": "models",
    "timeout": "90s",
    "backoffLimit": 2,
}


def made(pods=None, arguments=None, **fields):
    found = due(asked(60, address="http://iris-a.ns.svc"), used(arguments, job={**SMOKE, **fields}))
    return found, job_of(found, MEASURED_BY_PODS["job"], pods or RunPods())


def test_a_job_runs_the_container_with_what_it_names_and_nothing_else():
    found, job = made(arguments={"mostPoints": "0.5"})
    pod = pod_of(job)
    [container] = pod["containers"]
    assert pod["securityContext"] == RESTRICTED_POD
    assert container["securityContext"] == RESTRICTED_CONTAINER
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "models"
    assert container["image"] == "smoke:1"
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    # The kubelet expands nothing.
    assert container["command"] == ["sh", "-c", "echo $$(TOKEN)"]
    told = environment(job)
    assert told["MOORING_REVISION"] == "a"
    assert told["MOORING_URL"] == "http://iris-a.ns.svc"
    assert told["MOORING_ARGUMENT_MOST_POINTS"] == "0.5"
    assert told["MOORING_MEASUREMENT_ID"] == found.measurement_id


def test_it_goes_with_its_deployment_and_ends_in_time():
    found, job = made()
    assert job["metadata"]["name"] == name_of(found.measurement_id)
    assert job["metadata"]["labels"][MEASUREMENT_LABEL] == found.measurement_id
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ModelDeployment", "uid-1", True)
    spec = job["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (90, 2)
    assert spec["ttlSecondsAfterFinished"] == 3600
    short = RunPods(longest=timedelta(seconds=30), kept=timedelta(minutes=5))
    spec = made(short, timeout="99h")[1]["spec"]
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (30, 300)


DATADOG = {
    "site": "datadoghq.eu",
    "credentialsSecret": "datadog",
    "query": "avg:latency{version:{{candidate}},pool:{{arguments.pool}}}",
    "timeout": "30s",
}


def asking(arguments=None, **fields):
    query = used(arguments, job=None, successCondition="result < 1.0", **fields)
    found = due(asked(60), query)
    return job_of(found, MEASURED_BY_PODS[query.provider], RunPods())


def test_datadog_is_asked_by_a_program_of_ours_with_a_secret_of_the_namespace():
    job = asking(
        {"pool": "$(HOME)"}, datadog={**DATADOG, "query": "avg:latency{version:{{candidate}}}$(HOME)"}
    )
    pod = pod_of(job)
    [container] = pod["containers"]
    assert container["image"] == RunPods().image
    assert container["command"] == ["python", "-I", "-m", "mooring_components.measuring"]
    told = environment(job)
    assert json.loads(told[QUESTION]) == {
        "provider": "datadog",
        "site": "datadoghq.eu",
        "queries": {"q": "avg:latency{version:a}$(HOME)"},
        "formula": "q",
        "aggregator": "avg",
        "window": 300.0,
        "secret": "datadog",
    }
    assert told[SECONDS] == "30"
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "keys"]
    assert (container["args"], mount["readOnly"]) == ([mount["mountPath"]], True)
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "keys"]
    assert volume["secret"] == {"secretName": "datadog", "defaultMode": 0o440, "optional": True}
    assert job["spec"]["activeDeadlineSeconds"] == 150
    assert "serviceAccountName" not in pod


def test_several_queries_of_datadog_go_with_a_formula():
    several = {"errors": "sum:e{version:{{candidate}}}", "all": "sum:r{pool:{{arguments.pool}}}"}
    spec = {**DATADOG, "queries": several, "formula": "errors / all"}
    del spec["query"]
    question = json.loads(environment(asking({"pool": "a-1"}, datadog=spec))[QUESTION])
    assert question["queries"] == {"errors": "sum:e{version:a}", "all": "sum:r{pool:a-1}"}
    assert question["formula"] == "errors / all"


def test_cloud_watch_is_asked_with_a_secret_or_as_the_pod():
    metric = {
        "namespace": "AWS/X",
        "name": "Errors",
        "stat": "Sum",
        "dimensions": {"Version": "{{candidate}}"},
    }
    queries = [{"id": "m1", "metric": metric}, {"id": "all", "expression": "SUM(m1) + {{arguments.pool}}"}]
    spec = {"region": "eu-central-1", "queries": queries, "period": "10m"}
    job = asking({"pool": "4"}, cloudWatch={**spec, "serviceAccountName": "metrics"})
    pod = pod_of(job)
    assert pod["serviceAccountName"] == "metrics"
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert json.loads(environment(job)[QUESTION]) == {
        "provider": "cloudWatch",
        "region": "eu-central-1",
        "queries": [
            {"id": "m1", **metric, "dimensions": {"Version": "a"}},
            {"id": "all", "expression": "SUM(m1) + 4"},
        ],
        "period": 600.0,
        "secret": "",
    }
    pod = pod_of(asking({"pool": "4"}, cloudWatch={**spec, "credentialsSecret": "aws"}))
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp", "keys"]
