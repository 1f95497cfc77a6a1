"""The part of the table that is about the fields of ``spec.serving`` that go to KServe as they are."""

from typing import Any

from mooring_operator.api.templates import EXPLAINER_SCHEMA, REFUSED, TEMPLATE_SCHEMA, TRANSFORMER_SCHEMA

from tests.unit.spec_case import Case


def _serving(**fields: Any) -> dict[str, Any]:
    return {"spec.serving": fields}


def _env(**source: Any) -> dict[str, Any]:
    return _serving(env=[{"name": "A", "valueFrom": source}])


def _template(**fields: Any) -> dict[str, Any]:
    return _serving(template=fields)


def _refused(path: str) -> Case:
    schema: dict[str, Any] = {"properties": _SCHEMAS}
    for part in path.split("."):
        schema = schema["properties"][part]
    fields = _ANY[schema["type"]]
    for part in reversed(path.split(".")):
        fields = {part: fields}
    return Case(f"{path}", {"spec.serving": fields}, False, f"spec.serving.{path} is not for you to set")


_ANY: dict[str, Any] = {
    "integer": 3,
    "boolean": True,
    "string": "mine",
    "array": [{"a": 1}],
    "object": {"a": [1]},
}
_RUN = {"containers": [{"name": "a", "image": "b"}]}
_SCHEMAS = {"template": TEMPLATE_SCHEMA, "transformer": TRANSFORMER_SCHEMA, "explainer": EXPLAINER_SCHEMA}
_SECRET = {"name": "hf", "key": "token"}

FIELDS = [
    Case("a claim with a way out", {"spec.model.uri": "pvc://models/../payments"}, False,
         "spec.model.uri pvc://models/../payments has the segment .."),
    Case("a bucket with a way out", {"spec.model.uri": "s3://a/../b"}, False, "has the segment .."),
    Case("an address with dots in names", {"spec.model.uri": "s3://a/b..c/..d"}),
    Case("arguments", _serving(args=["--max-model-len=4096", "$(HOME)", "{{.Name}}"])),
    Case("65 arguments", _serving(args=["a"] * 65), False, "spec.serving.args"),
    Case("arguments as text", _serving(args="--a --b"), False, "spec.serving.args"),
    Case("a variable of a Secret", _env(secretKeyRef=_SECRET)),
    Case("a variable of a ConfigMap", _env(configMapKeyRef={**_SECRET, "optional": True})),
    Case("a variable of the pod", _env(fieldRef={"fieldPath": "metadata.labels['a.b/c']"})),
    Case("a variable of the container", _env(resourceFieldRef={"resource": "limits.cpu", "divisor": "1m"})),
    Case("a variable of nothing", _env(), False, "valueFrom has exactly one of"),
    Case(
        "a variable of two",
        _env(secretKeyRef=_SECRET, configMapKeyRef=_SECRET),
        False,
        "valueFrom has exactly one of",
    ),
    Case(
        "a variable with two values",
        _serving(env=[{"name": "A", "value": "b", "valueFrom": {"secretKeyRef": _SECRET}}]),
        False,
        "A has both value and valueFrom",
    ),
    Case(
        "a variable of another namespace",
        _env(secretKeyRef={"name": "../team-b/hf", "key": "token"}),
        False,
        "spec.serving.env[0].valueFrom.secretKeyRef.name",
    ),
    Case(
        "a variable of a key with a path",
        _env(secretKeyRef={"name": "hf", "key": "a/b"}),
        False,
        "spec.serving.env[0].valueFrom.secretKeyRef.key",
    ),
    Case(
        "a variable of a field that a pod has not",
        _env(fieldRef={"fieldPath": "spec.containers"}),
        False,
        "spec.serving.env[0].valueFrom.fieldRef.fieldPath",
    ),
    Case("all of a Secret", _serving(envFrom=[{"secretRef": {"name": "buckets"}, "prefix": "S3_"}])),
    Case("all of nothing", _serving(envFrom=[{"prefix": "S3_"}]), False, "exactly one of secretRef"),
    Case("a label of the pods", _serving(labels={"team": "vision"}, annotations={"a.b/c": "d e"})),
    Case(
        "a label of ours",
        _serving(labels={"mooring.dev/revision": "x"}),
        False,
        "spec.serving.labels: mooring.dev/revision are kept",
    ),
    Case(
        "an annotation of KServe's",
        _serving(annotations={"internal.serving.kserve.io/storage-initializer-sourceuri": "s3://a"}),
        False,
        "are kept for Mooring and KServe",
    ),
    Case("a label that KServe selects by", _serving(labels={"app": "x"}), False, "are kept for Mooring"),
    Case("a label with an unknown form", _serving(labels={"a b": "x"}), False, "spec.serving.labels"),
    Case("an annotation that is long", _serving(annotations={"a": "x" * 1025}), False, "spec.serving.annotations"),
    Case("a secret to pull with", _serving(imagePullSecrets=[{"name": "registry"}])),
    Case("a timeout", _serving(timeout=300)),
    Case("no time at all", _serving(timeout=0), False, "spec.serving.timeout"),
    Case("concurrency in Knative", _serving(mode="Knative", containerConcurrency=4)),
    Case("concurrency in Standard", _serving(containerConcurrency=4), False, "containerConcurrency needs mode Knative"),
    Case("recreation", _serving(deploymentStrategy={"type": "Recreate"})),
    Case("a pace", _serving(deploymentStrategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "0%"}})),
    Case(
        "a pace that is none",
        _serving(deploymentStrategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
        False,
        "maxSurge and maxUnavailable are both 0",
    ),
    Case(
        "a pace of a recreation",
        _serving(deploymentStrategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        False,
        "rollingUpdate goes with type RollingUpdate",
    ),
    Case(
        "a share that is none",
        _serving(deploymentStrategy={"rollingUpdate": {"maxSurge": "some"}}),
        False,
        "spec.serving.deploymentStrategy.rollingUpdate.maxSurge",
    ),
    Case(
        "a strategy in Knative",
        _serving(mode="Knative", deploymentStrategy={"type": "Recreate"}),
        False,
        "deploymentStrategy needs mode Standard",
    ),
    Case("a priority", _serving(priorityClassName="high")),
    Case(
        "pods spread over zones",
        _serving(topologySpreadConstraints=[{"topologyKey": "topology.kubernetes.io/zone"}]),
    ),
    Case(
        "a skew of nothing",
        _serving(topologySpreadConstraints=[{"topologyKey": "zone", "maxSkew": 0}]),
        False,
        "spec.serving.topologySpreadConstraints[0].maxSkew",
    ),
    Case("pods that stay", _serving(podDisruptionBudget={"minAvailable": "50%"})),
    Case("pods that may go", _serving(podDisruptionBudget={"maxUnavailable": 1})),
    Case("pods that do both", _serving(podDisruptionBudget={"minAvailable": 1, "maxUnavailable": 1}), False,
         "exactly one of minAvailable and maxUnavailable"),
    Case("pods that do neither", _serving(podDisruptionBudget={}), False,
         "exactly one of minAvailable and maxUnavailable"),
    Case("a key of the storage", _serving(storage={"key": "minio", "parameters": {"region": "eu"}})),
    Case("a path in the storage", _serving(storage={"key": "minio", "path": "b"}), False, "spec.serving.storage.path"),
    Case("a log of requests", _serving(logger={"url": "http://log", "mode": "request", "metadataHeaders": ["x-user"]})),
    Case("a log to nowhere", _serving(logger={"url": "log"}), False, "spec.serving.logger.url"),
    Case(
        "two metrics",
        _serving(
            autoscaling={
                "scaler": "KEDA",
                "metrics": [
                    {"metric": "cpu", "target": 70},
                    {"metric": "prometheus", "target": 5, "prometheus": {"address": "http://p", "query": "q"}},
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "policies": [
                    {"type": "Pods", "value": 1, "periodSeconds": 60}]}},
            }
        ),
    ),
    Case("two metrics of an HPA", _serving(autoscaling={"metrics": [{"metric": "cpu"}, {"metric": "memory"}]})),
    Case("metrics beside a metric", _serving(autoscaling={"metric": "cpu", "metrics": [{"metric": "memory"}]}), False,
         "spec.serving.autoscaling.metrics stands instead of metric"),
    Case("metrics in Knative", _serving(mode="Knative", autoscaling={"metrics": [{"metric": "cpu"}]}), False,
         "spec.serving.autoscaling.metrics needs mode Standard"),
    Case("a query of an HPA", _serving(autoscaling={"metrics": [
        {"metric": "prometheus", "target": 5, "prometheus": {"address": "http://p", "query": "q"}}]}), False,
        "metric prometheus needs scaler KEDA"),
    Case("a query for another of several metrics", _serving(autoscaling={"scaler": "KEDA", "metrics": [
        {"metric": "cpu", "target": 5, "prometheus": {"address": "http://p", "query": "q"}}]}), False,
        "spec.serving.autoscaling.metrics.prometheus goes with metric prometheus"),
    Case("a query without a target among several metrics", _serving(autoscaling={"scaler": "KEDA", "metrics": [
        {"metric": "prometheus", "prometheus": {"address": "http://p", "query": "q"}}]}), False,
        "spec.serving.autoscaling.metrics.target is needed with metric prometheus"),
    Case("a pace of an HPA", _serving(autoscaling={"behavior": {"scaleUp": {"selectPolicy": "Max"}}}), False,
         "spec.serving.autoscaling.behavior needs scaler KEDA"),
    Case("no scaler, but metrics", _serving(autoscaling={"scaler": "None", "metrics": [{"metric": "cpu"}]}), False,
         "scaler None keeps minReplicas replicas"),
    Case(
        "a template",
        _template(
            volumes=[{"name": "cache", "emptyDir": {"sizeLimit": "10Gi"}}],
            initContainers=[{"name": "warm", "image": "busybox", "command": ["true"]}],
            workerSpec={"pipelineParallelSize": 2, "tensorParallelSize": 1},
            model={"volumeMounts": [{"name": "cache", "mountPath": "/cache"}], "protocolVersion": "v2"},
        ),
    ),
    Case("a template with an unknown field", _template(volume=[]), False, "spec.serving.template.volume"),
    Case("a template of another type", _template(volumes="cache"), False, "spec.serving.template.volumes"),
    Case(
        "a template with an unknown field deep within",
        _template(containers=[{"name": "a", "livenessProbe": {"httpGet": {"prot": 80}}}]),
        False,
        "spec.serving.template.containers[0].livenessProbe.httpGet.prot",
    ),
    *(_refused(path) for path in REFUSED),
    Case(
        "a template with a label of ours",
        _template(labels={"serving.kserve.io/inferenceservice": "other"}),
        False,
        "spec.serving.template.labels: serving.kserve.io/inferenceservice are kept",
    ),
    *(
        Case(
            f"a {name} that fetches another model",
            _serving(**{name: {**_RUN, "initContainers": [{"name": "storage-initializer", "image": "mine"}]}}),
            False,
            f"spec.serving.{name}.initContainers: storage-initializer is KServe's",
        )
        for name in _SCHEMAS
    ),
    Case("a container of one's own", _template(containers=[{"name": "kserve-container", "image": "mine"}])),
    Case(
        "a container of one's own, and a runtime",
        _serving(runtime="triton", template={"containers": [{"name": "kserve-container", "image": "mine"}]}),
        False,
        "template.containers has kserve-container, which replaces the runtime",
    ),
    Case(
        "a container of one's own, and a model's",
        _template(containers=[{"name": "kserve-container", "image": "mine"}], model={"image": "other"}),
        False,
        "leave one out",
    ),
    Case("a transformer", _serving(transformer={"minReplicas": 2, "containers": [{"name": "a", "image": "b"}]})),
    Case("an explainer", _serving(explainer={"containers": [{"name": "a", "image": "b"}]})),
    Case("an explainer without a container", _serving(explainer={"timeout": 2}), False,
         "spec.serving.explainer needs a container"),
    Case("a transformer without a container", _serving(transformer={"minReplicas": 2}), False,
         "spec.serving.transformer needs a container"),
]  # fmt: skip
