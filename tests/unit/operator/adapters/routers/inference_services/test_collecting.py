"""What keeps the requests of a revision on another server, and that the collector reads it so."""

from __future__ import annotations

import argparse

import pytest
from mooring_inference.capture import parse_capture
from mooring_inference.capture.settings import Drop
from mooring_inference.capture.table import CAPTURE
from mooring_inference.collect.table import GROUPS
from mooring_inference.flags.parser import make_parser
from mooring_operator.adapters.routers.inference_services.collecting import (
    COLLECTED_LABEL,
    collector,
    collector_name,
    others_logger,
    read_collection,
)
from mooring_operator.adapters.routers.inference_services.revision_manifest import (
    LONGEST_NAME,
    name_of,
    revision_service,
)
from mooring_operator.api.names import DEPLOYMENT_LABEL, REVISION_LABEL
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning.objects.owner import Owner

from tests.unit.operator.adapters.routers.inference_services.test_fields import expanded
from tests.unit.operator.adapters.routers.revisions import OWNER, revision

CAPTURED = {
    "capture": {
        "store": "s3://captured/team",
        "sample": 0.5,
        "mask": {"email": "drop"},
        "retention": "2h",
    },
    "env": [
        {"name": "MOORING_COLLECT_COLUMNS", "value": "age,$(X)"},
        {"name": "MOORING_REVISION", "value": "x"},
    ],
    "envFrom": [{"secretRef": {"name": "keys"}}],
    "serviceAccountName": "digits",
    "imagePullSecrets": [{"name": "pull"}],
}


def on(server_type="mlserver", **serving):
    runtime = PinnedRuntime(kind="ClusterServingRuntime", name="runtime", server_type=server_type, spec={})
    return revision(**(CAPTURED | serving)).model_copy(update={"runtime": runtime})


def service_of(made):
    service = revision_service(OWNER, made, pods=1)
    return {**service, "metadata": {**service["metadata"], "uid": "uid-of-service"}}


@pytest.fixture
def made():
    deployment, service = collector(OWNER, on(), service_of(on()), "registry/mooring:1", pods=1)
    return deployment, service


def test_the_collector_reads_what_the_resource_says(made):
    container = made[0]["spec"]["template"]["spec"]["containers"][0]
    environ = {one["name"]: expanded(one["value"]) for one in container["env"]}
    command, *flags = container["args"]
    assert command == "collect"
    args: argparse.Namespace = make_parser(
        "p", GROUPS, environ, usage="", description="", epilog=""
    ).parse_args(flags)
    assert (args.namespace, args.revision, args.deployment) == ("ns", "aaaabbbbcc", "digits")
    assert args.columns == ("age", "$(X)")
    capture = parse_capture({setting.name: getattr(args, setting.name) for setting in CAPTURE.settings})
    assert (capture.uri, capture.sample, capture.retention_hours) == ("s3://captured/team", 0.5, 2)
    assert capture.masks == {"email": Drop()}
    assert container["envFrom"][0]["secretRef"]["name"] == "keys"


def test_its_pods_have_the_revisions_identity_and_no_rights(made):
    pod = made[0]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("digits", False)
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["securityContext"]["runAsNonRoot"]
    container = pod["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert set(container["resources"]["limits"]) == {"memory"}
    # Whatever is written lies in volumes that end with the pod.
    assert all("emptyDir" in volume for volume in pod["volumes"])


def test_the_logger_the_service_and_the_pods_meet(made):
    deployment, service = made
    logger = revision_service(OWNER, on(), pods=1)["spec"]["predictor"]["logger"]
    assert logger == {
        "mode": "all",
        "url": "http://digits-raaaabbbb-collect.ns.svc",
        "metadataHeaders": ["Inference-Header-Content-Length", "X-Request-Id"],
    }
    assert service["metadata"]["name"] == "digits-raaaabbbb-collect"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    ports = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == ports[0]["containerPort"]
    # One process has both halves of each request.
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_nothing_that_finds_a_revisions_pods_finds_its_collector(made):
    labels = made[0]["spec"]["template"]["metadata"]["labels"]
    assert labels[DEPLOYMENT_LABEL] == "digits"
    assert labels[COLLECTED_LABEL] == "aaaabbbbcc"
    assert REVISION_LABEL not in labels


def test_it_goes_with_its_inference_service(made):
    for manifest in made:
        [owner] = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == (
            "InferenceService",
            "uid-of-service",
            True,
        )


def test_its_name_is_that_of_a_service():
    owner = Owner("ns", "d" * LONGEST_NAME, "uid", 1)
    assert len(collector_name(name_of(owner, revision()))) <= 63


@pytest.mark.parametrize(
    "other",
    [
        on("mooring-inference"),
        on(capture=None),
        on(logger={"url": "http://theirs"}),
        on(args=["--capture_uri=s3://elsewhere"]),
        revision(**CAPTURED),
    ],
)
def test_no_logger_of_ours_where_nothing_is_to_be_collected(other):
    logger = revision_service(OWNER, other, pods=1)["spec"]["predictor"].get("logger")
    assert logger is None or logger["url"] == "http://theirs"


@pytest.mark.parametrize("there", [{"url": "http://trustyai"}, {"mode": "request"}])
def test_a_logger_of_others_stays_as_it_is_and_is_told(there):
    service = service_of(on())
    assert others_logger(service, OWNER) is None
    service["spec"]["predictor"]["logger"] = there
    found = others_logger(service, OWNER)
    assert revision_service(OWNER, on(), pods=1, logger=found)["spec"]["predictor"]["logger"] == there
    assert (there.get("url") or "its own default") in read_collection(service, None, OWNER).taken


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        (None, "starting"),
        ({"spec": {"replicas": 1}}, "starting"),
        ({"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}, ""),
        ({"spec": {"replicas": 0}}, ""),
        *(
            (
                {
                    "spec": {"replicas": 1},
                    "status": {"conditions": [{"type": kind, "status": status, "message": "why"}]},
                },
                said,
            )
            for kind, status, said in (
                ("Progressing", "False", "problem"),
                ("ReplicaFailure", "True", "problem"),
                ("Progressing", "True", "starting"),
            )
        ),
    ],
)
def test_how_it_does_is_what_its_deployment_says(deployment, said):
    state = read_collection(service_of(on()), deployment, OWNER)
    assert [name for name in ("taken", "problem", "starting") if getattr(state, name)] == (
        [said] if said else []
    )
    assert ("why" in state.problem) == (said == "problem")
