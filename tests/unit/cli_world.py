"""A cluster in memory, and deployments in every state, for the tests of the command line."""

import copy
from datetime import UTC, datetime, timedelta

import yaml
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.main import run

NOW = datetime.now(UTC)

MANIFEST = """\
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata:
  name: iris
spec:
  model:
    uri: s3://models/iris/2
    format: onnx
  ci:
    testData: {uri: "s3://data/iris/test.parquet"}
    gates: [{metric: accuracy, min: 0.9}]
  rollout:
    steps:
    - setWeight: 10
    - pause: {duration: 5m}
    - approve: {message: compare the error rates}
    - setWeight: 100
"""


def ago(**length):
    return (NOW - timedelta(**length)).strftime("%Y-%m-%dT%H:%M:%SZ")


def revision(name, version, **more):
    return {
        "revision": name,
        "modelUri": f"s3://models/iris/{version}",
        "storageUri": f"s3://models/iris/{version}",
        "format": "onnx",
        **more,
    }


STABLE = revision("aaaaaaaaaa", 1, since=ago(days=3))
CANDIDATE = revision(
    "bbbbbbbbbb", 2, weight=10, step=2, startedAt=ago(minutes=12), stepStartedAt=ago(minutes=5), attempt=1
)


def deployment(phase, reason="", message="", *, annotations=None, generation=2, **status):
    """Give a ModelDeployment as the API server has it."""
    item = yaml.safe_load(MANIFEST)
    item["metadata"] |= {
        "namespace": "ml",
        "generation": generation,
        "resourceVersion": "7",
        "creationTimestamp": ago(days=9),
        "annotations": annotations or {},
    }
    item["status"] = {
        "observedGeneration": 2,
        "phase": phase,
        "reason": reason or phase,
        "message": message,
        **status,
    }
    return item


AWAITING = deployment(
    "AwaitingApproval",
    message="revision bbbbbbbbbb at 10% of traffic awaits approval: compare the error rates",
    stable=STABLE,
    candidate=CANDIDATE,
    url="http://iris.example.com",
    ci={
        "runId": "d66046db",
        "revision": "bbbbbbbbbb",
        "state": "Succeeded",
        "verdict": "Passed",
        "url": "http://kfp.example.com/#/runs/details/d66046db",
        "metrics": {"accuracy": 0.953, "latencyP95Ms": 12.5},
        "testDataDigest": "sha256:8e6c46fc",
        "startedAt": ago(minutes=12),
    },
    conditions=[
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "AwaitingApproval",
            "lastTransitionTime": ago(minutes=12),
        },
    ],
    history=[
        {
            "revision": "aaaaaaaaaa",
            "modelUri": "s3://models/iris/1",
            "outcome": "Promoted",
            "reason": "Promoted",
            "startedAt": ago(days=3, minutes=10),
            "finishedAt": ago(days=3),
        }
    ],
)
PROMOTED = deployment(
    "Promoted",
    message="revision bbbbbbbbbb serves all traffic",
    stable=revision("bbbbbbbbbb", 2),
    previous=STABLE,
)
REJECTED = deployment(
    "RolledBack",
    "ProgressDeadlineExceeded",
    "revision bbbbbbbbbb was not ready for 600 s; revision aaaaaaaaaa keeps serving",
    stable=STABLE,
    failedRevision="bbbbbbbbbb",
    failedAttempt=1,
)
FIRST = deployment(
    "Deploying", message="waiting for revision bbbbbbbbbb", candidate={**CANDIDATE, "weight": 100, "step": 0}
)
CANARY = deployment("Canary", "Pausing", "stays at 10%", stable=STABLE, candidate={**CANDIDATE, "step": 1})

DRIFT = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "DriftMonitor",
    "metadata": {
        "name": "iris-traffic",
        "namespace": "ml",
        "creationTimestamp": ago(days=2),
        "resourceVersion": "3",
    },
    "spec": {"target": {"name": "iris"}},
    "status": {
        "phase": "Drifted",
        "message": "1 of 2 features drifted: petal_length",
        "evaluation": {
            "time": ago(minutes=3),
            "revision": "aaaaaaaaaa",
            "baselineRows": 1000,
            "windowRows": 400,
            "featuresTested": 2,
            "featuresDrifted": 1,
            "features": [
                {
                    "name": "petal_length",
                    "drifted": True,
                    "ks": {"statistic": 0.4312, "pValue": 0.00000123},
                    "psi": {"statistic": 0.52, "pValue": 0.001},
                    "missing": 0.01,
                    "reason": "distance 0.431 (p 1e-06), stability index 0.52 (p 0.001)",
                },
                {"name": "petal_width", "drifted": False, "ks": {"statistic": 0.03, "pValue": 0.81}},
            ],
        },
        "conditions": [
            {
                "type": "Drifted",
                "status": "True",
                "reason": "DriftDetected",
                "lastTransitionTime": ago(minutes=3),
            }
        ],
    },
}

EVENTS = [
    {
        "metadata": {"creationTimestamp": ago(minutes=12)},
        "lastTimestamp": ago(minutes=5),
        "type": "Normal",
        "reason": "AwaitingApproval",
        "message": "revision bbbbbbbbbb at 10% of traffic awaits approval",
    }
]


class FakeCluster:
    """Objects by kind and name; `later` is what a watch will see."""

    namespace = "ml"

    def __init__(self, *items, later=(), events=(), user="alice"):
        self.items = {(item["kind"], item["metadata"]["name"]): copy.deepcopy(item) for item in items}
        self.later = list(later)
        self._events = list(events)
        self._user = user
        self.written = []

    def get(self, kind, name):
        if (kind, name) not in self.items:
            raise CliError(f"{kind} {name} does not exist in namespace ml")
        return self.items[kind, name]

    def list_all(self, kind, *, all_namespaces=False):
        return [item for (known, _), item in self.items.items() if known == kind]

    def watch(self, kind, name, resource_version):
        yield from self.later

    def events(self, kind, name):
        return self._events

    def annotate(self, kind, name, annotations, *, role=""):
        self.written.append((name, dict(annotations)))
        return self.get(kind, name)

    def user(self):
        return self._user


def invoke(capsys, *arguments):
    """Run the command line; give exit code, stdout and stderr."""
    code = run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err
