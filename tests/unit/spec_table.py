"""Manifests that the API server takes or refuses, one per rule: the same table holds for the command line.

A case changes a valid manifest: dotted paths to values, or to ABSENT. `says` is in the message of whoever
refuses: the field for what the schema says, the sentence for what a CEL rule says.
"""

from typing import Any

from tests.unit.spec_case import ABSENT, BASES, Case
from tests.unit.spec_table_affinity import AFFINITY, ENV_SIZE
from tests.unit.spec_table_capture import CAPTURE
from tests.unit.spec_table_fields import FIELDS
from tests.unit.spec_table_freezes import FREEZES
from tests.unit.spec_table_grammars import GRAMMARS
from tests.unit.spec_table_monitors import DRIFT, POLICY
from tests.unit.spec_table_names import NAME_CASES
from tests.unit.spec_table_policies import CLUSTER_POLICY
from tests.unit.spec_table_routers import ROUTERS
from tests.unit.spec_table_strategies import STRATEGIES
from tests.unit.spec_table_templates import TEMPLATES
from tests.unit.spec_table_workloads import WORKLOADS


def _tested(**fields: Any) -> dict[str, Any]:
    return {"spec.ci": {"testData": {"uri": "s3://d/t"}, **fields}}


def _gated(**gate: Any) -> dict[str, Any]:
    return {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [gate]}}


__all__ = ["ABSENT", "BASES", "CASES", "Case"]


def _weights(*weights: int) -> list[dict[str, Any]]:
    return [{"setWeight": weight} for weight in weights]


_MODEL = [
    Case("the least that is needed", {}),
    Case("no uri", {"spec.model.uri": ABSENT}, False, "spec.model.uri"),
    Case("no format", {"spec.model.format": ABSENT}, False, "spec.model.format"),
    Case("no model", {"spec.model": ABSENT}, False, "spec.model"),
    Case("no spec", {"spec": ABSENT}, False, "spec"),
    Case("a registry alias", {"spec.model.uri": "models:/iris@champion"}),
    Case("an alias to move", {"spec.model.promoteAlias": "champion"}),
    *(
        Case(
            f"alias {alias}",
            {"spec.model.promoteAlias": alias},
            False,
            f"promoteAlias {alias} is reserved by MLflow",
        )
        for alias in ("latest", "Latest", "v1", "V23")
    ),
    Case("a uri without a scheme", {"spec.model.uri": "models/iris"}, False, "spec.model.uri"),
    Case("a uri with a blank", {"spec.model.uri": "s3://models/my iris"}, False, "spec.model.uri"),
    Case("a uri with a line end", {"spec.model.uri": "s3://models/iris\n"}, False, "spec.model.uri"),
    Case("a uri that is too long", {"spec.model.uri": "s3://" + "a" * 1024}, False, "spec.model.uri"),
    Case("a null uri", {"spec.model.uri": None}, False, "spec.model.uri"),
    Case("a format in capitals", {"spec.model.format": "ONNX"}, False, "spec.model.format"),
    Case("a digest", {"spec.model.digest": "sha256:" + "0a" * 32}),
    Case("a short digest", {"spec.model.digest": "sha256:0a"}, False, "spec.model.digest"),
    Case("a null digest is none", {"spec.model.digest": None}),
    Case("a signature elsewhere", {"spec.model.signature": "s3://signatures/iris/7.sig"}),
    Case("a signature of another name", {"spec.model.signature": "sub/release.sig"}),
    Case("a signature upwards", {"spec.model.signature": "s3://b/../c"}, False, "spec.model.signature"),
    Case(
        "a signature in the cloud's metadata",
        {"spec.model.signature": "https://169.254.169.254/a"},
        False,
        "spec.model.signature",
    ),
    Case("a format version", {"spec.model.formatVersion": "1.18"}),
    Case(
        "a format version that is a number",
        {"spec.model.formatVersion": 1},
        False,
        "spec.model.formatVersion",
    ),
    Case("an unknown field in the model", {"spec.model.formt": "onnx"}, False, "spec.model.formt"),
    Case("an unknown field in the spec", {"spec.replicas": 2}, False, "spec.replicas"),
    Case("an unknown field on top", {"sepc": {}}, False, "sepc"),
    Case("a duration of hours and minutes", {"spec.model.pollInterval": "1h30m"}),
    Case("a duration without a unit", {"spec.model.pollInterval": "90"}, False, "spec.model.pollInterval"),
    Case("a duration that is a number", {"spec.model.pollInterval": 60}, False, "spec.model.pollInterval"),
    Case("an empty duration", {"spec.model.pollInterval": ""}, False, "spec.model.pollInterval"),
    Case(
        "a duration in the wrong order", {"spec.model.pollInterval": "5s1m"}, False, "spec.model.pollInterval"
    ),
    Case("a duration with a line end", {"spec.model.pollInterval": "1m\n"}, False, "spec.model.pollInterval"),
    Case("a null duration is the default", {"spec.model.pollInterval": None}),
]

_NAMES = [
    Case("a name of 37 characters", {"metadata.name": "a" * 37}),
    Case("a name of 38 characters", {"metadata.name": "a" * 38}, False, "must be at most 37 characters"),
    *(
        Case(
            f"a name of {length} characters before a transformer",
            {
                "metadata.name": "a" * length,
                "spec.serving": {"transformer": {"containers": [{"name": "a", "image": "b"}]}},
            },
            length == 36,
            "" if length == 36 else "must be at most 36 characters before spec.serving.transformer",
        )
        for length in (36, 37)
    ),
    Case("a name that starts with a digit", {"metadata.name": "1iris"}, False, "start with a letter"),
    Case("a name with a dot", {"metadata.name": "iris.v1"}, False, "metadata.name: iris.v1 must be"),
    Case("a name in capitals", {"metadata.name": "Iris"}, False, "metadata.name"),
    Case("a label", {"metadata.labels": {"team": "vision"}}),
    Case("a label with a domain", {"metadata.labels": {"example.com/team": ""}}),
    Case("a label with a blank", {"metadata.labels": {"team": "computer vision"}}, False, "metadata.labels"),
    Case("a label of 64 characters", {"metadata.labels": {"team": "a" * 64}}, False, "metadata.labels"),
    Case("a key with a blank", {"metadata.labels": {"my team": "a"}}, False, "metadata.labels"),
    Case("a key with two slashes", {"metadata.labels": {"a/b/c": "a"}}, False, "metadata.labels"),
    Case("an annotation with blanks", {"metadata.annotations": {"Example.com/Why": "for the demo"}}),
    Case("an annotation without a key", {"metadata.annotations": {"": "x"}}, False, "metadata.annotations"),
    Case("an unknown field in metadata", {"metadata.lables": {}}, False, "metadata.lables"),
]

_CI = [
    Case("a test", {"spec.ci": {"testData": {"uri": "s3://data/test.parquet"}}}),
    Case("a null test is none", {"spec.ci": None}),
    Case("slices", {"spec.ci": {"testData": {"uri": "s3://d/t", "slices": ["country", "a b"]}}}),
    Case(
        "five slices",
        {"spec.ci": {"testData": {"uri": "s3://d/t", "slices": list("abcde")}}},
        False,
        "spec.ci.testData.slices",
    ),
    Case(
        "a slice that a pipeline would replace",
        {"spec.ci": {"testData": {"uri": "s3://d/t", "slices": ["{{$.x}}"]}}},
        False,
        "spec.ci.testData.slices",
    ),
    Case(
        "a pipeline of the user's",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "pipeline": {"name": "My CI", "version": "v1.0+b"}}},
    ),
    Case(
        "a pipeline without a name",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "pipeline": {"version": "v1"}}},
        False,
        "spec.ci.pipeline.name",
    ),
    Case(
        "a pipeline that is a path",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "pipeline": {"name": "a/b"}}},
        False,
        "spec.ci.pipeline.name",
    ),
    Case("groups to compare", _tested(fairness={"column": "sex", "positive": "yes"}, noise=[0.01, 1])),
    Case("groups without a column", _tested(fairness={}), False, "spec.ci.fairness.column"),
    Case("features to rank", _tested(explain=64)),
    Case("features by too many rows", _tested(explain=65), False, "spec.ci.explain"),
    Case("noise of nothing", _tested(noise=[0]), False, "spec.ci.noise"),
    Case("five levels of noise", _tested(noise=[1, 2, 3, 4, 5]), False, "spec.ci.noise"),
    Case("a gate on groups", _gated(metric="equalizedOddsDifference", max=0.1, means="Bound")),
    Case("a gate on every slice", _gated(metric="accuracy", min=0.8, slice={"column": "land"})),
    Case("a gate on one slice", _gated(metric="mae", max=2, slice={"column": "land", "value": "Österreich"})),
    Case("a gate on the worst slice", _gated(metric="worstSliceAccuracy", min=0.8, means="Bound")),
    Case(
        "a gate on slices of f1",
        _gated(metric="f1", min=0.8, slice={"column": "land"}),
        False,
        "the gate on f1 has slice, which is for accuracy and mae",
    ),
    Case(
        "a slice beside the champion",
        _gated(metric="mae", notWorseThan="champion", slice={"column": "a"}),
        False,
        "the gate on mae has slice, which is for accuracy and mae without notWorseThan",
    ),
    Case(
        "a slice without a column", _gated(metric="mae", max=2, slice={"value": "a"}), False, "slice.column"
    ),
    Case(
        "a slice of two lines", _gated(metric="mae", max=2, slice={"column": "a\nb"}), False, "slice.column"
    ),
    Case("a test without data", {"spec.ci": {}}, False, "spec.ci.testData"),
    Case(
        "a gate with both limits",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [{"metric": "f1", "min": 0.5, "max": 1}]}},
    ),
    Case(
        "a gate without a limit",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [{"metric": "f1"}]}},
        False,
        "the gate on f1 needs min, max or both",
    ),
    Case(
        "a gate that nothing meets",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [{"metric": "f1", "min": 0.9, "max": 0.5}]}},
        False,
        "the gate on f1 has min 0.9 above max 0.5",
    ),
    Case(
        "a gate that nothing meets, in whole numbers",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [{"metric": "rows", "min": 2, "max": 1}]}},
        False,
        "the gate on rows has min 2 above max 1",
    ),
    Case(
        "a gate that compares with the champion",
        {
            "spec.ci": {
                "testData": {"uri": "s3://d/t"},
                "gates": [{"metric": "f1", "notWorseThan": "champion"}],
            }
        },
    ),
    Case(
        "a model that is tested as it will be served",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "target": "Endpoint", "protocol": "V1"}},
    ),
    Case(
        "a protocol by which nothing is asked",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "protocol": "V1"}},
        False,
        "spec.ci.protocol V1 asks nothing: it is for target Endpoint",
    ),
    Case(
        "a target that is neither files nor what serves",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "target": "Model"}},
        False,
        "spec.ci.target: ",
    ),
    Case(
        "a gate that compares latency with the champion's",
        {
            "spec.ci": {
                "testData": {"uri": "s3://d/t"},
                "gates": [{"metric": "latencyP50Ms", "notWorseThan": "champion"}],
            }
        },
        False,
        "the gate on latencyP50Ms has notWorseThan, which is for accuracy, ",
    ),
    Case(
        "test data with a schema",
        {
            "spec.ci": {
                "testData": {
                    "uri": "s3://d/t",
                    "schema": "columns:\n- {name: größe, type: integer, min: 0}\n",
                }
            }
        },
    ),
    Case(
        "test data with a schema at an address",
        {"spec.ci": {"testData": {"uri": "s3://d/t", "schema": "s3://d/schema.yaml"}}},
    ),
    Case(
        "a schema that Kubeflow Pipelines would change",
        {
            "spec.ci": {
                "testData": {"uri": "s3://d/t", "schema": "{columns: [{name: '{{$}}', type: integer}]}"}
            }
        },
        False,
        "spec.ci.testData.schema",
    ),
    Case(
        "a schema that is too long",
        {"spec.ci": {"testData": {"uri": "s3://d/t", "schema": "columns: []" + " " * 2038}}},
        False,
        "spec.ci.testData.schema",
    ),
    Case(
        "test data whose columns are named for inputs",
        {"spec.ci": {"testData": {"uri": "s3://d/t", "inputs": [{"name": "x", "columns": ["a", "b"]}]}}},
    ),
    Case(
        "test data whose inputs have too many columns in all",
        {
            "spec.ci": {
                "testData": {
                    "uri": "s3://d/t",
                    "inputs": [{"name": name, "columns": ["a"] * 13} for name in ("x", "y")],
                }
            }
        },
        False,
        "24",
    ),
    Case(
        "test data whose input has no columns",
        {"spec.ci": {"testData": {"uri": "s3://d/t", "inputs": [{"name": "x", "columns": []}]}}},
        False,
        "spec.ci.testData.inputs[0].columns",
    ),
    Case(
        "a gate on a metric with a blank",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [{"metric": "f 1", "min": 0}]}},
        False,
        "spec.ci.gates[0].metric",
    ),
    Case(
        "a limit that is text",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [{"metric": "f1", "min": "0.9"}]}},
        False,
        "spec.ci.gates[0].min",
    ),
    Case(
        "33 gates",
        {"spec.ci": {"testData": {"uri": "s3://d/t"}, "gates": [{"metric": "f1", "min": 0}] * 33}},
        False,
        "spec.ci.gates",
    ),
    Case("policies", {"spec.policies": ["house-rules"]}),
    Case("a null policy", {"spec.policies": [None]}, False, "spec.policies[0]"),
    Case("policies that are text", {"spec.policies": "house-rules"}, False, "spec.policies"),
]

_SERVING = [
    Case("three replicas at most", {"spec.serving": {"maxReplicas": 3}}),
    Case("more at least than at most", {"spec.serving": {"minReplicas": 5, "maxReplicas": 3}}, False,
         "spec.serving.minReplicas (5) must not exceed maxReplicas (3)"),
    Case("scale to zero in Knative", {"spec.serving": {"mode": "Knative", "minReplicas": 0}}),
    Case("scale to zero in Standard", {"spec.serving": {"minReplicas": 0}}, False,
         "spec.serving.minReplicas: 0 needs mode Knative, got mode Standard"),
    Case("a negative number of replicas", {"spec.serving": {"minReplicas": -1}}, False, "spec.serving.minReplicas"),
    Case("replicas as text", {"spec.serving": {"minReplicas": "1"}}, False, "spec.serving.minReplicas"),
    Case("replicas as a boolean", {"spec.serving": {"minReplicas": True}}, False, "spec.serving.minReplicas"),
    Case("half a replica", {"spec.serving": {"minReplicas": 1.5}}, False, "spec.serving.minReplicas"),
    Case("null replicas are the default", {"spec.serving": {"minReplicas": None}}),
    Case("an unknown mode", {"spec.serving": {"mode": "Serverless"}}, False, "spec.serving.mode"),
    Case("a scaler in Knative", {"spec.serving": {"mode": "Knative", "autoscaling": {"scaler": "HPA"}}}, False,
         "spec.serving.autoscaling.scaler: HPA is for mode Standard"),
    Case("requests per second in Standard", {"spec.serving": {"autoscaling": {"metric": "rps"}}}, False,
         "spec.serving.autoscaling.metric: rps does not exist in mode Standard"),
    Case("requests per second in Knative", {"spec.serving": {"mode": "Knative", "autoscaling": {"metric": "rps"}}}),
    Case("processor time in Standard", {"spec.serving": {"autoscaling": {"metric": "cpu", "target": 80}}}),
    Case("Prometheus with HPA",
         {"spec.serving": {"autoscaling": {"scaler": "HPA", "metric": "prometheus", "target": 5,
                                           "prometheus": {"address": "http://p", "query": "q"}}}}, False,
         "spec.serving.autoscaling.metric: prometheus does not exist"),
    Case("Prometheus with KEDA",
         {"spec.serving": {"autoscaling": {"scaler": "KEDA", "metric": "prometheus", "target": 5,
                                           "prometheus": {"address": "http://p", "query": "q"}}}}),
    Case("Prometheus in Knative",
         {"spec.serving": {"mode": "Knative", "autoscaling": {"metric": "prometheus", "target": 5,
                                                              "prometheus": {"address": "http://p", "query": "q"}}}},
         False, "prometheus needs mode Standard with scaler KEDA, got mode Knative"),
    Case("Prometheus without a query",
         {"spec.serving": {"autoscaling": {"scaler": "KEDA", "metric": "prometheus", "target": 5}}}, False,
         "spec.serving.autoscaling.prometheus goes with metric prometheus"),
    Case("Prometheus without a target",
         {"spec.serving": {"autoscaling": {"scaler": "KEDA", "metric": "prometheus",
                                           "prometheus": {"address": "http://p", "query": "q"}}}}, False,
         "spec.serving.autoscaling.target is needed with metric prometheus"),
    Case("a query for another metric",
         {"spec.serving": {"autoscaling": {"metric": "cpu", "prometheus": {"address": "http://p", "query": "q"}}}},
         False, "set both or neither"),
    Case("no scaler", {"spec.serving": {"autoscaling": {"scaler": "None"}}}),
    Case("no scaler, but a range", {"spec.serving": {"maxReplicas": 3, "autoscaling": {"scaler": "None"}}}, False,
         "scaler None keeps minReplicas replicas"),
    Case("no scaler, but a target", {"spec.serving": {"autoscaling": {"scaler": "None", "target": 5}}}, False,
         "scaler None keeps minReplicas replicas"),
    Case("memory as text, processors as a number",
         {"spec.serving": {"resources": {"limits": {"memory": "4Gi", "cpu": 2}, "requests": {"cpu": "500m"}}}}),
    Case("a GPU", {"spec.serving": {"gpu": {"count": 1}}}),
    Case("a slice of a GPU", {"spec.serving": {"gpu": {"count": 1, "resourceName": "nvidia.com/mig-1g.10gb"}}}),
    Case("no GPU at all", {"spec.serving": {"gpu": {"count": 0}}}, False, "spec.serving.gpu.count"),
    Case("65 GPUs", {"spec.serving": {"gpu": {"count": 65}}}, False, "spec.serving.gpu.count"),
    Case("a GPU of no vendor", {"spec.serving": {"gpu": {"count": 1, "resourceName": "gpu"}}}, False,
         "spec.serving.gpu.resourceName"),
    Case("a node selector", {"spec.serving": {"nodeSelector": {"nvidia.com/gpu.product": "A100"}}}),
    Case("a node selector with a number", {"spec.serving": {"nodeSelector": {"zone": 1}}}, False,
         "spec.serving.nodeSelector"),
    Case("a null label is none", {"spec.serving": {"nodeSelector": {"zone": None}}}),
    Case("a toleration", {"spec.serving": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}}),
    Case("an unknown effect", {"spec.serving": {"tolerations": [{"key": "gpu", "effect": "Never"}]}}, False,
         "spec.serving.tolerations[0].effect"),
    Case("a variable", {"spec.serving": {"env": [{"name": "OMP_NUM_THREADS", "value": "2"}]}}),
    Case("a variable with a dash", {"spec.serving": {"env": [{"name": "OMP-THREADS"}]}}, False,
         "spec.serving.env[0].name"),
    Case("a variable whose value is a number", {"spec.serving": {"env": [{"name": "THREADS", "value": 2}]}}, False,
         "spec.serving.env[0].value"),
    Case("batches", {"spec.serving": {"batching": {"maxBatchSize": 64, "maxLatencyMs": 500}}}),
    Case("empty batches", {"spec.serving": {"batching": {"maxBatchSize": 0}}}, False,
         "spec.serving.batching.maxBatchSize"),
]  # fmt: skip

_WEIGHTS = "spec.rollout.steps: the weights must ascend and end at 100, got "
_ONE_OF = "has exactly one of setWeight, setReplicas, pause, approve"
_ROLLOUT = [
    Case("steps", {"spec.rollout": {"steps": _weights(10, 50, 100)}}),
    Case("one step", {"spec.rollout": {"steps": _weights(100)}}),
    Case(
        "a pause and an approval",
        {
            "spec.rollout": {
                "steps": [
                    {"setWeight": 5},
                    {"pause": {"duration": "5m"}},
                    {"approve": {"by": "SomeoneElse"}},
                    {"setWeight": 100},
                ]
            }
        },
    ),
    Case(
        "an approval by nobody",
        {"spec.rollout": {"steps": [{"approve": {"by": "Nobody"}}, {"setWeight": 100}]}},
        False,
        "spec.rollout.steps[0].approve.by",
    ),
    Case("a pause behind the last weight", {"spec.rollout": {"steps": [{"setWeight": 100}, {"pause": {}}]}}),
    Case("no steps", {"spec.rollout": {"steps": []}}, False, "spec.rollout.steps"),
    Case("null steps are the default", {"spec.rollout": {"steps": None}}),
    Case(
        "descending weights",
        {"spec.rollout": {"steps": _weights(50, 20, 100)}},
        False,
        _WEIGHTS,
    ),
    Case("weights that stop early", {"spec.rollout": {"steps": _weights(10, 50)}}, False, _WEIGHTS),
    Case("a weight twice", {"spec.rollout": {"steps": _weights(10, 10, 100)}}, False, _WEIGHTS),
    Case("the whole twice", {"spec.rollout": {"steps": _weights(100, 100)}}, False, _WEIGHTS),
    Case(
        "no weight",
        {"spec.rollout": {"steps": [{"pause": {}}]}},
        False,
        "the weights must ascend and end at 100",
    ),
    Case(
        "a weight of 101",
        {"spec.rollout": {"steps": _weights(101)}},
        False,
        "spec.rollout.steps[0].setWeight",
    ),
    Case("an empty step", {"spec.rollout": {"steps": [{}, {"setWeight": 100}]}}, False, _ONE_OF),
    Case(
        "a step that waits and moves",
        {"spec.rollout": {"steps": [{"setWeight": 100, "pause": {}}]}},
        False,
        _ONE_OF,
    ),
    Case(
        "an unknown kind of step",
        {"spec.rollout": {"steps": [{"weight": 10}, {"setWeight": 100}]}},
        False,
        "spec.rollout.steps[0].weight",
    ),
    Case("31 steps", {"spec.rollout": {"steps": _weights(*range(70, 101))}}, False, "spec.rollout.steps"),
    Case("30 steps", {"spec.rollout": {"steps": _weights(*range(71, 101))}}),
    Case(
        "no deadline", {"spec.rollout": {"progressDeadline": "soon"}}, False, "spec.rollout.progressDeadline"
    ),
    Case("a history of 25", {"spec.historyLimit": 25}),
    Case("a history of 26", {"spec.historyLimit": 26}, False, "spec.historyLimit"),
]


CASES = [
    *_MODEL,
    *_NAMES,
    *_CI,
    *_SERVING,
    *ROUTERS,
    *STRATEGIES,
    *TEMPLATES,
    *FREEZES,
    *AFFINITY,
    *ENV_SIZE,
    *_ROLLOUT,
    *WORKLOADS,
    *DRIFT,
    *POLICY,
    *CLUSTER_POLICY,
    *NAME_CASES,
    *CAPTURE,
    *FIELDS,
    *GRAMMARS,
]
