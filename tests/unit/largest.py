"""The largest object that a structural schema admits: every field, at its length, in characters that take most room."""

from collections.abc import Mapping
from typing import Any

from mooring_artifacts.demands import MOST_DOCUMENTS
from mooring_operator.api import forms
from mooring_operator.api.affinity import MOST_ENTRIES
from mooring_operator.api.analysis import EVIDENCE, GENERATIONS, LONGEST_EVIDENCE, MEASURED
from mooring_operator.api.checks import LARGEST_COMMAND, MOST_CHECKS
from mooring_operator.api.rollout_status import LARGEST_TESTED
from mooring_operator.api.runtimes import LARGEST_RUNTIME
from mooring_operator.api.serving import LARGEST_ENV

WIDEST = "\x01"
"""JSON writes it in six bytes."""
_WIDE = "<"
"""The widest that is visible: where HTML is escaped, JSON writes it in six bytes too."""

BOUNDED_AS_A_WHOLE = ("template", "transformer", "explainer")
"""Fields of spec.serving whose texts have no limits of their own."""
_BESIDE = (
    *("envFrom", "args", "labels", "annotations", "imagePullSecrets", "timeout", "containerConcurrency"),
    *(
        "deploymentStrategy",
        "priorityClassName",
        "topologySpreadConstraints",
        "podDisruptionBudget",
        "storage",
    ),
    *("logger", "capture", *BOUNDED_AS_A_WHOLE),
)

_SAMPLES: dict[str, str] = {
    forms.OBJECT_NAME.pattern: "a" * 253,
    forms.LABEL.pattern: "a" * 63,
    forms.DEPLOYMENT_NAME.pattern: "a" * 37,
    forms.LEASE.pattern: "a" * 63 + "/" + "b" * 63,
    forms.LABEL_KEY.pattern: "a" * 253 + "/" + "b" * 63,
    forms.LABEL_VALUE.pattern: "a" * 63,
    forms.EXTENDED_RESOURCE.pattern: "a" * 200 + "/" + "b" * 52,
    forms.VARIABLE.pattern: "A" * 128,
    forms.VERSION.pattern: "1" * 63,
    forms.ALIAS.pattern: "a" * 63,
    forms.PIPELINE.pattern: "a" * 100,
    forms.SLICE.pattern: _WIDE * 60,
    forms.COLUMN.pattern: _WIDE * 253,
    forms.ROWS.pattern: f'{{"columns": [{{"name": "{_WIDE * 982}", "type": "string", "values": ["{_WIDE * 1000}"]}}]}}',
    forms.FEATURE.pattern: "a" * 63,
    forms.HOST.pattern: ".".join(["a" * 63] * 3 + ["a" * 61]),
    forms.TIME_ZONE.pattern: "/".join(["A" * 14] * 4),
    forms.CONSUMER_GROUP.pattern: "a" * 128,
    forms.DURATION.pattern: "10000h10000m10000s",
    forms.QUANTITY.pattern: "1" * 32,
    forms.SHARE.pattern: "100%",
    forms.RISK.pattern: "49.99%",
    EVIDENCE: "A" * LONGEST_EVIDENCE,
    GENERATIONS: "a" * 200,
    MEASURED: "a" * 600,
    forms.QUERY.pattern: "a" * 30,
    forms.TIME.pattern: "2027-01-31T18:00:00Z",
    forms.INSTANT.pattern: "2027-01-31T18:00:00+01:00",
    forms.FREEZE.pattern: "2027-01-31T18:00",
    forms.HEADER.pattern: "A" * 63,
    forms.VARIANT.pattern: "a" * 20,
    forms.ARM.pattern: "a" * 20,
    forms.REVISION.pattern: "0" * 10,
    forms.HEADER_VALUE.pattern: "a" * 128,
    forms.DIGEST.pattern: "sha256:" + "0" * 64,
    forms.PUBLIC_KEY.pattern: "-----BEGIN PUBLIC KEY-----\n"
    + ("A" * 76 + "\n") * 8
    + "-----END PUBLIC KEY-----\n",
    forms.DOCUMENT.pattern: "s3://a/" + "b" * 505,
    forms.ADDRESS.pattern: "s3://" + _WIDE * 1019,
    forms.FILES.pattern: "s3://" + _WIDE * 1019,
    forms.SOURCE.pattern: "s3://" + _WIDE * 1019,
    forms.MESSAGES.pattern: "nats://" + _WIDE * 1017,
    forms.HOOK.pattern: "https://a/" + "&" * 502,
    forms.IMAGE.pattern: "a" * 512,
    forms.WEB_ADDRESS.pattern: "http://" + _WIDE * 505,
    forms.CONFIG_KEY.pattern: "a" * 253,
    forms.ARGUMENT.pattern: "a" * 20,
    forms.ARGUMENT_VALUE.pattern: "a" * 63,
    forms.COUNTER.pattern: "a" * 120,
    forms.QUERY_VARIABLE.pattern: "a" * 30,
    forms.REGION.pattern: "us-isoisoisoiso-northnorthno-99",
    forms.DIMENSION.pattern: "a" * 255,
    forms.STATISTIC.pattern: "p" * 40,
    forms.SERIES_LABEL.pattern: "a" * 63,
    forms.SERIES_VALUE.pattern: "a" * 63,
    forms.POD_FIELD.pattern: "metadata.labels['" + "a" * 253 + "/" + "b" * 63 + "']",
    forms.CONTAINER_RESOURCE.pattern: "requests.ephemeral-storage",
    forms.AMOUNT.pattern: "100000%",
    forms.HEADER.pattern: "a" * 128,
    forms.CAPTURE_STORE.pattern: "s3://a/" + "b" * 505,
    forms.CAPTURED.pattern: _WIDE * 253,
    forms.MASK.pattern: "bucket:" + ",".join(["1" * 15] * 7) + ",111111111",
    "^(True|False|Unknown)$": "Unknown",
}


def largest(schema: Mapping[str, Any], path: str = "spec", given: Mapping[str, Any] | None = None) -> Any:
    """Give the largest value; `given` has those of fields that rules tie together, by path, at any index.

    Raises:
        AssertionError: a text, list or map has no limit, or a pattern is not known here.
    """
    given = given or {}
    if path in given:
        return given[path]
    if path.removeprefix("spec.serving.") in BOUNDED_AS_A_WHOLE:
        return {}
    if "enum" in schema:
        return max(schema["enum"], key=lambda value: len(str(value)))
    match schema.get("type", "string"):
        case "object":
            return _object(schema, path, given)
        case "array":
            assert "maxItems" in schema, f"{path} has no maxItems"
            items = [largest(schema["items"], path, given) for _ in range(schema["maxItems"])]
            if schema.get("x-kubernetes-list-type") == "map":
                keys = schema["x-kubernetes-list-map-keys"]
                texts = [key for key in keys if schema["items"]["properties"][key]["type"] == "string"]
                for index, item in enumerate(items):
                    item |= dict.fromkeys(texts, f"key{index}")
            return items[:1] if schema.get("x-kubernetes-list-type") == "set" else items
        case "string":
            return _text(schema, path)
        case "integer":
            return schema.get("maximum", 2**53)
        case "number":
            return schema.get("maximum", -1.2345678901234567e-300)
        case "boolean":
            return False
        case other:
            raise AssertionError(f"{path} is of type {other}")


def _object(schema: Mapping[str, Any], path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if "properties" in schema:
        return {
            name: largest(child, f"{path}.{name}", given)
            for name, child in schema["properties"].items()
            if given.get(f"{path}.{name}", ...) is not None
        }
    assert "maxProperties" in schema, f"{path} has no maxProperties"
    value = largest(schema["additionalProperties"], path, given)
    return {f"{'a' * 250}{index:03}/{'b' * 63}": value for index in range(schema["maxProperties"])}


def _text(schema: Mapping[str, Any], path: str) -> str:
    if "pattern" in schema:
        assert schema["pattern"] in _SAMPLES, f"{path}: write a sample of the pattern {schema['pattern']}"
        return _SAMPLES[schema["pattern"]]
    if schema.get("format") == "date-time":
        return "2026-03-01T12:00:00Z"
    assert "maxLength" in schema, f"{path} has no maxLength"
    return WIDEST * int(schema["maxLength"])


def largest_env(limit: int, most: int = 64) -> list[dict[str, str]]:
    """As many variables as there may be, with as many characters in all."""
    share = limit // most
    return [{"name": f"V{index:03}", "value": WIDEST * (share - 4)} for index in range(most)]


def largest_affinity(entries: int) -> dict[str, Any]:
    """About nodes, about pods to be near to and about others: so many entries each."""
    required, preferred = (
        f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred")
    )

    def key(index: int) -> str:
        return f"{'a' * 250}{index:03}/{'b' * 63}"

    # Expressions without values: a key is longer than a value.
    expressions = [{"key": key(index), "operator": "DoesNotExist"} for index in range(entries)]
    selectors = [{"matchExpressions": expressions[at : at + 8]} for at in range(0, entries, 8)]
    terms = [{"labelSelector": selector, "topologyKey": key(0)} for selector in selectors]
    pods = {required: terms}
    nodes = {
        required: {"nodeSelectorTerms": selectors[:4]},
        preferred: [{"weight": 100, "preference": selector} for selector in selectors[4:]],
    }
    return {"nodeAffinity": nodes, "podAffinity": pods, "podAntiAffinity": pods}


def largest_deployment(schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the largest spec of a ModelDeployment that its rules admit, and the largest status that it may have."""
    serving = {
        "spec.serving.mode": "Standard",
        "spec.serving.autoscaling": {
            "scaler": "KEDA",
            "metric": "prometheus",
            "target": 1_000_000,
            "prometheus": {"address": _SAMPLES[forms.WEB_ADDRESS.pattern], "query": WIDEST * 2048},
        },
        "spec.serving.affinity": largest_affinity(MOST_ENTRIES),
        "spec.serving.env": largest_env(LARGEST_ENV),
        # All fields at their largest are more than spec.serving may be.
        **{f"spec.serving.{name}": None for name in _BESIDE},
    }
    job = {
        "image": "a" * 512,
        "command": [WIDEST * (LARGEST_COMMAND // 2)],
        "args": [WIDEST * (LARGEST_COMMAND // 32)] * 16,
        "serviceAccountName": "a" * 253,
        "credentialsSecret": "a" * 253,
        "cpu": "1" * 32,
        "memory": "1" * 32,
        "backoffLimit": 5,
        "timeout": "10000h10000m10000s",
        "onFailure": "RollBack",
    }
    steps: list[Any] = [{"job": job}] * MOST_CHECKS
    steps += [{"approve": {"message": WIDEST * 200}}] * (29 - MOST_CHECKS) + [{"setWeight": 100}]
    spec = largest(
        schema["spec"],
        given={
            **serving,
            "spec.rollout.steps": steps,
            "spec.rollout.strategy": "ABTest",
            # It counts no pods of variants, which are larger.
            "spec.rollout.maxSurge": None,
            "spec.rollout.abTest": {
                "weight": 48,
                "matches": [{"header": "A" * 63, "value": f"{i}" * 128, "to": "a" * 20} for i in range(8)],
                "variants": [
                    {"name": f"{name}" * 20, "revision": f"{name}" * 10, "weight": weight}
                    for name, weight in zip("abc", (10, 31, 10), strict=True)
                ],
                "sticky": "A" * 63,
                "replicas": "100%",
                "until": "2027-01-31T18:00:00Z",
                "then": "RollBack",
            },
            "spec.rollout.analysis.metrics": [
                {
                    "metric": "rejectedRate",
                    "ratio": 1.2345678901234567e-300,
                    "points": 1.2345678901234567e-300,
                },
                {"metric": "errorRate", "ratio": 1.2345678901234567e-300, "points": 1.2345678901234567e-300},
                {"metric": "latency", "quantile": 1.2345678901234567e-300, "slower": 1.2345678901234567e-300},
            ],
            "spec.rollout.analysis.templates": [
                {
                    "name": letter * 63,
                    "clusterScope": False,
                    "arguments": {f"{'a' * 17}{index:03}": "a" * 63 for index in range(8)},
                }
                for letter in "ab"
            ],
            "spec.rollout.freeze": [
                {
                    "timeZone": "America/Argentina/ComodRivadavia",
                    "start": "2027-01-01T18:00",
                    "end": "2028-01-01",
                }
            ]
            * 8,
            "spec.ci.gates": [
                {
                    "metric": "balancedAccuracy",
                    **dict.fromkeys(("min", "max", "margin"), 1.2345678901234567e-300),
                    "notWorseThan": "champion",
                    "means": "Estimate",
                }
            ]
            * 32,
            "spec.ci.testData.inputs": [
                {"name": f"{'a' * 60}{index:03}", "columns": ["a" * 63] * 3} for index in range(8)
            ],
            "spec.rollout.router": "Gateway",
            "spec.batch.schedule": "0" * 119 + "1 1 1 1 1",
            "spec.batch.output": "gs://" + _WIDE * 1019,
            "spec.stream.sink": "kafka://" + _WIDE * 1016,
            "spec.stream.deadLetters": "redis://" + _WIDE * 1016,
        },
    )
    del spec["rollout"]["blueGreen"], spec["rollout"]["shadow"]
    address = _SAMPLES[forms.ADDRESS.pattern]
    ours = {
        "reason": "ProgressDeadlineExceeded",
        "revision": "0" * 10,
        "failedRevision": "0" * 10,
        "failedContent": "0" * 10,
        "modelUri": address,
        "storageUri": address,
        "uri": address,
        "digest": "sha256:" + "0" * 64,
        "registered": "a" * 128 + "/" + "1" * 18,
        "testDataDigest": "sha256:" + "0" * 64,
        "alias": {"name": "a" * 63, "version": "a" * 128 + "/" + "1" * 18},
        "format": "a" * 63,
        "formatVersion": "1" * 63,
        "workload": "a" * 63,
        "variant": "a" * 20,
        "name": "a" * 63,
        "url": "http://" + _WIDE * 2041,
        "runId": "0" * 36,
        "id": "0" * 36,
        "stepsHash": "0" * 10,
        "facts": {
            "signature": {"verified": False, "signer": "", "key": "", "problem": WIDEST * 120},
            "scan": {"findings": 4e5, "kinds": ["archive", "code", "custom-operators", "pickle", "unread"]},
            "documents": [{"name": "a" * 63, "at": "0" * 10, "problem": WIDEST * 60}] * MOST_DOCUMENTS,
        },
        "serving": spec["serving"],
        "tested": {
            "runId": "0" * 36,
            "revision": "0" * 10,
            "url": "x" * (LARGEST_TESTED - 200),
            "startedAt": "2026-01-01T00:00:00Z",
        },
        "brought": {"digest": "sha256:" + "0" * 64, "isFolder": True},
        # What was taken over has no copy of a runtime, which is larger.
        "adopted": None,
        "runtime": {
            "kind": "ClusterServingRuntime",
            "name": "a" * 253,
            "serverType": WIDEST * 63,
            "spec": {"containers": ["a" * LARGEST_RUNTIME]},
        },
    }
    status = largest(
        schema["status"],
        "status",
        {
            **_everywhere(schema["status"], "status", ours),
            "status.router.name": "Endpoints",
            # The setting with its 512 characters, and the path of a run.
            "status.ci.url": "http://" + _WIDE * 505 + "/#/runs/details/" + "0" * 36,
        },
    )
    # Only routers that retain none hold a rejected revision, and the largest leave room for one.
    del status["rejected"]
    status["retained"] = status["retained"][:1]
    return spec, status


def _everywhere(schema: Mapping[str, Any], path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give `values`, which are by name, by the paths at which there is a field of the name."""
    found = {}
    for name, child in schema.get("properties", {}).items():
        below = f"{path}.{name}"
        found |= {below: values[name]} if name in values else {}
        found |= _everywhere(child.get("items", child), below, values)
    return found
