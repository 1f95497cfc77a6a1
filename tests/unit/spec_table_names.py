"""Cases of names in specs: what would be another path, selector, line or key is refused, field by field."""

from collections.abc import Callable
from typing import Any

from tests.unit.spec_case import Case

TRAVERSALS = (
    "../../team-b/modeldeployments/fraud",
    "..",
    "a/b",
    "a%2fb",
    "a\\b",
    "a?watch=true",
    "a#b",
    "a b",
    "a\nb",
    "a\x00b",
    "a\x1b[2Jb",
    "a\u202eb",
    "a,b=c",
    "$(A)",
    "",
)
"""What no name may be: another path in some spelling, another query, another line, another selector."""

_CI = {"testData": {"uri": "s3://d/t"}}
_BATCH = {"schedule": "0 3 * * *", "input": "s3://d/rows", "output": "s3://d/scores"}
_STREAM = {"source": "redis://r/in", "sink": "redis://r/out"}
_GPU = {"count": 1}

Patch = Callable[[str], dict[str, Any]]
NAMES: list[tuple[str, str, Patch]] = [
    ("DriftMonitor", "spec.target.name", lambda name: {"spec.target.name": name}),
    ("ModelDeployment", "spec.policies[0]", lambda name: {"spec.policies": [name]}),
    ("ModelDeployment", "spec.serving.runtime", lambda name: {"spec.serving": {"runtime": name}}),
    (
        "ModelDeployment",
        "spec.serving.serviceAccountName",
        lambda name: {"spec.serving": {"serviceAccountName": name}},
    ),
    (
        "ModelDeployment",
        "spec.batch.credentialsSecret",
        lambda name: {"spec.batch": {**_BATCH, "credentialsSecret": name}},
    ),
    (
        "ModelDeployment",
        "spec.stream.credentialsSecret",
        lambda name: {"spec.stream": {**_STREAM, "credentialsSecret": name}},
    ),
    ("ModelDeployment", "spec.stream.group", lambda name: {"spec.stream": {**_STREAM, "group": name}}),
    ("ModelDeployment", "spec.model.format", lambda name: {"spec.model.format": name}),
    ("ModelDeployment", "spec.model.promoteAlias", lambda name: {"spec.model.promoteAlias": name}),
    ("ModelDeployment", "spec.ci.registerAs", lambda name: {"spec.ci": {**_CI, "registerAs": name}}),
    ("ModelDeployment", "spec.model.formatVersion", lambda name: {"spec.model.formatVersion": name}),
    (
        "ModelDeployment",
        "spec.serving.gpu.resourceName",
        lambda name: {"spec.serving": {"gpu": {**_GPU, "resourceName": name}}},
    ),
    (
        "ModelDeployment",
        "spec.serving.env[0].name",
        lambda name: {"spec.serving": {"env": [{"name": name}]}},
    ),
    (
        "ModelDeployment",
        "spec.ci.gates[0].metric",
        lambda name: {"spec.ci": {**_CI, "gates": [{"metric": name, "min": 0}]}},
    ),
    (
        "ModelPolicy",
        "spec.rules[0].name",
        lambda name: {"spec.rules": [{"name": name, "expression": "true"}]},
    ),
]
"""Fields that hold a name without a slash, and what sets them."""


_OBJECTS = (
    *(
        "spec.target.name",
        "spec.policies[0]",
        "spec.serving.serviceAccountName",
        "spec.batch.credentialsSecret",
    ),
    "spec.serving.runtime",
)
_FEW = ("../../x", "a b", "a\nb", "a\x1b[2Jb", "")


def _refused(kind: str, field: str, patch: Patch) -> list[Case]:
    # All spellings where an object is named, some where another word is.
    names = TRAVERSALS if field in _OBJECTS else _FEW
    return [Case(f"{field} {name!r}", patch(name), False, field, kind) for name in names]


_KEYS: list[tuple[str, Patch]] = [
    ("spec.serving.nodeSelector", lambda key: {"spec.serving": {"nodeSelector": {key: "x"}}}),
    (
        "spec.serving.resources.requests",
        lambda key: {"spec.serving": {"resources": {"requests": {key: "1"}}}},
    ),
    ("spec.serving.resources.limits", lambda key: {"spec.serving": {"resources": {"limits": {key: "1"}}}}),
    (
        "spec.batch.resources.limits",
        lambda key: {"spec.batch": {**_BATCH, "resources": {"limits": {key: "1"}}}},
    ),
    (
        "spec.stream.resources.limits",
        lambda key: {"spec.stream": {**_STREAM, "resources": {"limits": {key: "1"}}}},
    ),
    ("spec.serving.tolerations[0].key", lambda key: {"spec.serving": {"tolerations": [{"key": key}]}}),
]
_BAD_KEYS = ("a/b/c", "/a", "a/", "a b", "../a", "a\nb", "a,b", "-a", "a" * 64, "UPPER.example/a", "")
_GOOD_KEYS = ("cpu", "nvidia.com/gpu.product", "example.com/A_b.c-d", "a" * 63)


def _column(field: str, column: str, accepted: bool) -> Case:
    kind = "DriftMonitor" if field == "spec.features[0]" else "ModelDeployment"
    patch: dict[str, Any] = {
        "spec.features[0]": {"spec.features": [column]},
        "spec.ci.testData.labelColumn": {"spec.ci": {"testData": {"uri": "s3://d/t", "labelColumn": column}}},
        "spec.batch.idColumn": {"spec.batch": {**_BATCH, "idColumn": column}},
    }[field]
    return Case(f"{field} {column!r}", patch, accepted, "" if accepted else field, kind)


_COLUMN_FIELDS = ("spec.features[0]", "spec.ci.testData.labelColumn", "spec.batch.idColumn")
_PLACEHOLDERS = ("{{$}}", "a{{$.x}}", "{{{$", "{{$", "{$ {{$ ")
_BRACES = ("{{ x }}", "{$", "{{", "{", "$", "{ {$", "{{{x", "a{")
_BAD_COLUMNS = ("", "a\nb", "a\x00", "\x1b[31mred", "a\u2028b", "a\u202eb", "a" * 254, *_PLACEHOLDERS)
_GOOD_COLUMNS = ("label", "sepal length (cm)", "größe", "特徴", "../x", "a/b", "🙂", *_BRACES)


def _selector(value: str, accepted: bool) -> list[Case]:
    says = "" if accepted else "spec.serving.nodeSelector"
    taint = "" if accepted else "spec.serving.tolerations[0].value"
    return [
        Case(f"a node's label {value!r}", {"spec.serving": {"nodeSelector": {"a": value}}}, accepted, says),
        Case(
            f"a taint's value {value!r}",
            {"spec.serving": {"tolerations": [{"key": "a", "value": value}]}},
            accepted,
            taint,
        ),
    ]


_REGISTERED = (
    "models:/a/b/c",
    "models:/a",
    "models:/a/latest",
    "models:/a/1@b",
    "models:/a@",
    "models:/@b",
    "models:/../1/2",
    "models://host/a/1",
    "models:/a:b/1",
    "models:/a/1?x=y",
)
_ADDRESSES = ("s3://b/\x1b[2J", "s3://b/\x00", "s3://b/\u202ek", "s3://b/a\tb")
_TIME_ZONES = ("../../etc/passwd", "/etc/localtime", "Europe/../UTC", "Europe//Berlin", "Europe/Berlin\n", "")

NAME_CASES = [
    *(case for kind, field, patch in NAMES for case in _refused(kind, field, patch)),
    Case("a name of two parts", {"spec.policies": ["house.rules"], "spec.serving": {"runtime": "onnx.v2"}}),
    Case("a name with two dots", {"spec.policies": ["house..rules"]}, False, "spec.policies[0]"),
    Case("a name with a dash at a dot", {"spec.policies": ["house-.rules"]}, False, "spec.policies[0]"),
    Case("a name of 254 characters", {"spec.policies": ["a" * 254]}, False, "spec.policies[0]"),
    Case("a target of 37 characters", {"spec.target.name": "a" * 37}, kind="DriftMonitor"),
    Case("a target of 38", {"spec.target.name": "a" * 38}, False, "spec.target.name", "DriftMonitor"),
    Case("a target with a dot", {"spec.target.name": "a.b"}, False, "spec.target.name", "DriftMonitor"),
    *(Case(f"{field} {key!r}", patch(key), False, field) for field, patch in _KEYS for key in _BAD_KEYS),
    *(Case(f"{field} {key!r}", patch(key)) for field, patch in _KEYS for key in _GOOD_KEYS),
    *(_column(field, column, False) for field in _COLUMN_FIELDS for column in _BAD_COLUMNS),
    *(_column(field, column, True) for field in _COLUMN_FIELDS for column in _GOOD_COLUMNS),
    *(case for value in ("a/b", "a b", "a\n", "-a", "a" * 64) for case in _selector(value, False)),
    *(case for value in ("", "NVIDIA-L4", "a_b.c", "a" * 63) for case in _selector(value, True)),
    *(Case(f"a model {uri!r}", {"spec.model.uri": uri}, False, "spec.model.uri") for uri in _REGISTERED),
    *(
        Case(f"a model {uri!r}", {"spec.model.uri": uri})
        for uri in ("models:/fraud/12", "models:/fraud.eu@champion", "models:/a%20b@c", "models:/größe@neu")
    ),
    *(Case(f"an address {uri!r}", {"spec.model.uri": uri}, False, "spec.model.uri") for uri in _ADDRESSES),
    *(
        Case(f"a window {uri!r}", {"spec.window.uri": uri}, False, "spec.window.uri", "DriftMonitor")
        for uri in _ADDRESSES
    ),
    *(
        Case(
            f"time zone {zone!r}", {"spec.batch": {**_BATCH, "timeZone": zone}}, False, "spec.batch.timeZone"
        )
        for zone in _TIME_ZONES
    ),
    *(
        Case(f"time zone {zone!r}", {"spec.batch": {**_BATCH, "timeZone": zone}})
        for zone in ("UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "GMT-0")
    ),
    Case(
        "a gpu without a domain",
        {"spec.serving": {"gpu": {**_GPU, "resourceName": "gpu"}}},
        False,
        "spec.serving.gpu.resourceName",
    ),
    Case("a part of a gpu", {"spec.serving": {"gpu": {**_GPU, "resourceName": "nvidia.com/mig-1g.10gb"}}}),
    Case("a version of a format", {"spec.model.formatVersion": "1.18.0-rc.1+cu12"}),
]
