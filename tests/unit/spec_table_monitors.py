"""The rows of the table of specs for DriftMonitor and ModelPolicy."""

from typing import Any

from tests.unit.spec_case import ABSENT, Case


def _drift(name: str, patch: dict[str, Any], accepted: bool = True, says: str = "") -> Case:
    return Case(name, patch, accepted, says, "DriftMonitor")


_HOOK = {"url": "https://hooks.example.com/a"}
_SERVICE = {"kind": "InferenceService", "name": "llm"}
_RETRAIN = {"image": "registry.example.com/train:1", "output": "s3://models/iris"}
_SLICE = {"name": "dach", "column": "country", "values": ["DE", "AT"]}
DRIFT = [
    _drift("a monitor", {}),
    _drift("two data sets", {"spec.target": ABSENT}),
    _drift("an InferenceService", {"spec.target": _SERVICE, "spec.sensitivity": "normal"}),
    _drift(
        "a ModelDeployment by its kind", {"spec.target.kind": "ModelDeployment", "spec.actions": ["Rollback"]}
    ),
    _drift("a Deployment", {"spec.target.kind": "Deployment"}, False, "spec.target.kind"),
    _drift(
        "a rollback of an InferenceService",
        {"spec.target": _SERVICE, "spec.actions": ["Rollback"]},
        False,
        "actions need a ModelDeployment as spec.target",
    ),
    _drift(
        "a pause of two data sets",
        {"spec.target": ABSENT, "spec.actions": ["Pause"]},
        False,
        "actions need a ModelDeployment as spec.target",
    ),
    _drift(
        "an InferenceService that keeps nothing",
        {"spec.target": _SERVICE, "spec.window": ABSENT},
        False,
        "window.uri and baseline.uri are needed where spec.target is no ModelDeployment",
    ),
    _drift(
        "one data set",
        {"spec.target": ABSENT, "spec.baseline": {"afterPromotion": "1h"}},
        False,
        "window.uri and baseline.uri are needed where spec.target is no ModelDeployment",
    ),
    _drift(
        "performance of an InferenceService",
        {"spec.target": _SERVICE, "spec.performance": {}},
        False,
        "performance needs a ModelDeployment as spec.target",
    ),
    _drift(
        "a training for two data sets",
        {"spec.target": ABSENT, "spec.retrain": _RETRAIN},
        False,
        "retrain needs a ModelDeployment as spec.target",
    ),
    _drift("a monitor of nobody", {"spec.target.name": ""}, False, "spec.target.name"),
    _drift("no baseline", {"spec.baseline": ABSENT}),
    _drift("no window", {"spec.window": ABSENT}),
    _drift("neither", {"spec.window": ABSENT, "spec.baseline": ABSENT}),
    _drift("a window of what is captured", {"spec.window": {"capture": {}}}),
    _drift("a window that waits", {"spec.window": {"capture": {"grace": "10m"}}}),
    _drift(
        "a window that waits for days",
        {"spec.window": {"capture": {"grace": "1d"}}},
        False,
        "spec.window.capture",
    ),
    _drift("a window of nothing", {"spec.window": {}}, False, "spec.window needs uri or capture"),
    _drift(
        "a window of two",
        {"spec.window": {"uri": "s3://a", "capture": {}}},
        False,
        "spec.window needs uri or capture, and not both",
    ),
    _drift(
        "windows of an hour every ten minutes",
        {"spec.window": {"capture": {"length": "1h"}}, "spec.interval": "10m"},
    ),
    _drift("windows of rows", {"spec.window": {"capture": {"rows": 5000}}, "spec.sensitivity": "normal"}),
    _drift(
        "windows of 19 rows", {"spec.window": {"capture": {"rows": 19}}}, False, "spec.window.capture.rows"
    ),
    _drift(
        "windows of two sizes",
        {"spec.window": {"capture": {"length": "1h", "rows": 5000}}},
        False,
        "spec.window.capture has length or rows, and not both",
    ),
    _drift("windows of a month", {"spec.window": {"capture": {"length": "744h"}}}),
    _drift(
        "windows of more than a month",
        {"spec.window": {"capture": {"length": "744h1s"}}},
        False,
        "length has 31 days (744h) at most",
    ),
    _drift(
        "windows with gaps",
        {"spec.window": {"capture": {"length": "5m"}}, "spec.interval": "10m"},
        False,
        "window.capture.length is spec.interval at least",
    ),
    _drift(
        "evidence of windows that overlap",
        {"spec.window": {"capture": {"length": "1h"}}, "spec.sensitivity": "low"},
        False,
        "leave window.capture.length out",
    ),
    _drift(
        "a profile for windows of seconds",
        {"spec.baseline": {"profile": {}}, "spec.window": {"capture": {"length": "90s"}}},
        False,
        "a window.capture.length of whole minutes",
    ),
    _drift("each night at three", {"spec.schedule": "0 3 * * *", "spec.jitter": "10m"}),
    _drift("on working days", {"spec.schedule": "30 2 * * MON-FRI"}),
    _drift("at a quarter past never", {"spec.schedule": "15 0 30 2 *"}, False, "never comes"),
    _drift("at an hour that no day has", {"spec.schedule": "0 25 * * *"}, False, "spec.schedule"),
    _drift(
        "every hour and a half", {"spec.schedule": "@every 1h30m"}, False, "write @every as spec.interval"
    ),
    _drift(
        "the last hour before three",
        {"spec.schedule": "0 3 * * *", "spec.window": {"capture": {"length": "1h"}}},
    ),
    _drift(
        "evidence of windows by a schedule that may overlap",
        {
            "spec.schedule": "0 3 * * *",
            "spec.window": {"capture": {"length": "1m"}},
            "spec.sensitivity": "high",
        },
        False,
        "leave window.capture.length out",
    ),
    _drift(
        "features with settings",
        {"spec.featureSettings": [{"match": "x[?]", "type": "Category"}, {"match": "*", "distance": 0.1}]},
    ),
    _drift(
        "a setting of nothing",
        {"spec.featureSettings": [{"match": "zip"}]},
        False,
        "a setting of spec.featureSettings needs type, distance or both",
    ),
    _drift(
        "a feature of a type that there is not",
        {"spec.featureSettings": [{"match": "zip", "type": "Postcode"}]},
        False,
        "spec.featureSettings[0].type",
    ),
    _drift(
        "a distance of more than all",
        {"spec.featureSettings": [{"match": "zip", "distance": 1.5}]},
        False,
        "spec.featureSettings[0].distance",
    ),
    _drift("a receiver", {"spec.notify": [{"url": "https://hooks.example.com/a"}]}),
    _drift(
        "a receiver by a Secret",
        {"spec.notify": [{"format": "Slack", "urlSecret": {"name": "hooks", "key": "url"}}]},
    ),
    _drift("a receiver without an address", {"spec.notify": [{}]}, False, "needs url or urlSecret"),
    _drift(
        "a receiver with two addresses",
        {"spec.notify": [{"url": "https://hooks.example.com/a", "urlSecret": {"name": "a", "key": "b"}}]},
        False,
        "a receiver of spec.notify needs url or urlSecret, and not both",
    ),
    _drift("a receiver of files", {"spec.notify": [{"url": "file:///etc/passwd"}]}, False, "spec.notify"),
    _drift("the first week", {"spec.baseline": {"afterPromotion": "168h"}}),
    _drift("the first 31 days", {"spec.baseline": {"afterPromotion": "744h"}}),
    _drift(
        "the first months", {"spec.baseline": {"afterPromotion": "744h1s"}}, False, "31 days (744h) at most"
    ),
    _drift("a baseline of nothing", {"spec.baseline": {}}, False, "spec.baseline needs one of uri"),
    _drift(
        "a baseline of two",
        {"spec.baseline": {"uri": "s3://a", "afterPromotion": "1h"}},
        False,
        "spec.baseline needs one of uri, afterPromotion and profile",
    ),
    _drift("a profile", {"spec.baseline": {"profile": {}}, "spec.window": ABSENT, "spec.interval": "1h30m"}),
    _drift(
        "a profile of what is captured", {"spec.baseline": {"profile": {}}, "spec.window": {"capture": {}}}
    ),
    _drift("a profile for files", {"spec.baseline": {"profile": {}}}, False, "leave window.uri out"),
    _drift(
        "a profile by the second",
        {"spec.baseline": {"profile": {}}, "spec.window": ABSENT, "spec.interval": "90s"},
        False,
        "an interval of whole minutes",
    ),
    _drift("slices", {"spec.slices": [_SLICE, {"name": "new", "column": "is new", "values": ["true"]}]}),
    _drift("a slice of nothing", {"spec.slices": [{**_SLICE, "values": []}]}, False, "spec.slices[0].values"),
    _drift(
        "a slice by a number",
        {"spec.slices": [{**_SLICE, "values": [35]}]},
        False,
        "spec.slices[0].values[0]",
    ),
    _drift(
        "a value twice",
        {"spec.slices": [{**_SLICE, "values": ["a", "a"]}]},
        False,
        "spec.slices[0].values[1]",
    ),
    _drift("a slice twice", {"spec.slices": [_SLICE, _SLICE]}, False, "spec.slices[1]"),
    _drift("a slice of no name", {"spec.slices": [{**_SLICE, "name": "D A"}]}, False, "spec.slices[0].name"),
    _drift(
        "eleven slices",
        {"spec.slices": [{**_SLICE, "name": f"s{number}"} for number in range(11)]},
        False,
        "spec.slices",
    ),
    _drift(
        "slices of counts",
        {"spec.slices": [_SLICE], "spec.window": ABSENT, "spec.baseline": {"profile": {}}},
        False,
        "spec.slices need rows, and baseline.profile has counts",
    ),
    _drift("one detector", {"spec.detectors": {"ks": {"alpha": 0.05}}}),
    _drift(
        "no detector", {"spec.detectors": {}}, False, "spec.detectors needs ks, psi or both, or plain alone"
    ),
    _drift("plain rules", {"spec.detectors": {"plain": {}}}),
    _drift("plain rules of one's own", {"spec.detectors": {"plain": {"alpha": 0.01, "psi": 0.25}}}),
    _drift(
        "plain rules beside others",
        {"spec.detectors": {"plain": {}, "psi": {}}},
        False,
        "spec.detectors needs ks, psi or both, or plain alone",
    ),
    _drift(
        "evidence by plain rules",
        {"spec.detectors": {"plain": {}}, "spec.sensitivity": "low"},
        False,
        "spec.detectors.plain judges each window alone",
    ),
    _drift(
        "a null detector is none", {"spec.detectors": {"ks": None}}, False, "spec.detectors needs ks, psi"
    ),
    _drift("alpha 0", {"spec.detectors": {"ks": {"alpha": 0}}}, False, "spec.detectors.ks.alpha"),
    _drift("alpha 1", {"spec.detectors": {"ks": {"alpha": 1}}}, False, "spec.detectors.ks.alpha"),
    _drift("a threshold in whole numbers", {"spec.detectors": {"psi": {"threshold": 1}}}),
    _drift("one bin", {"spec.detectors": {"psi": {"bins": 1}}}, False, "spec.detectors.psi.bins"),
    _drift("columns of codes", {"spec.categories": ["zip", "product id"]}),
    _drift("a column without a name", {"spec.categories": [""]}, False, "spec.categories[0]"),
    _drift("codes on two lines", {"spec.categories": ["a\nb"]}, False, "spec.categories[0]"),
    _drift("19 rows", {"spec.minRows": 19}, False, "spec.minRows"),
    _drift("an action", {"spec.actions": ["Rollback"]}),
    _drift("an unknown action", {"spec.actions": ["Retrain"]}, False, "spec.actions[0]"),
    _drift("a pause with a cool-down", {"spec.actions": ["Rollback", "Pause"], "spec.actionCooldown": "2h"}),
    _drift("a pause and an abort", {"spec.actions": ["Pause", "Abort"]}, False, "name one of them"),
    _drift("an action twice", {"spec.actions": ["Rollback", "Rollback"]}, False, "spec.actions[1]"),
    _drift("actions on performance", {"spec.performance": {"actions": ["Rollback", "Pause"]}}),
    _drift(
        "a pause and an abort on performance",
        {"spec.performance": {"actions": ["Pause", "Abort"]}},
        False,
        "name one of them",
    ),
    _drift(
        "an unknown action on performance",
        {"spec.performance": {"actions": ["Retrain"]}},
        False,
        "spec.performance.actions[0]",
    ),
    _drift("an action on operation", {"spec.operation": {"actions": ["Abort"]}, "spec.window": ABSENT}),
    _drift(
        "a pause and an abort on operation",
        {"spec.operation": {"actions": ["Pause", "Abort"]}, "spec.window": ABSENT},
        False,
        "name one of them",
    ),
    _drift(
        "an action on operation twice",
        {"spec.operation": {"actions": ["Abort", "Abort"]}, "spec.window": ABSENT},
        False,
        "spec.operation.actions[1]",
    ),
    _drift("a receiver of all", {"spec.notify": [{**_HOOK, "on": ["Drift", "Performance", "Operation"]}]}),
    _drift("a receiver of nothing", {"spec.notify": [{**_HOOK, "on": []}]}, False, "spec.notify[0].on"),
    _drift("a receiver of rain", {"spec.notify": [{**_HOOK, "on": ["Rain"]}]}, False, "spec.notify[0].on[0]"),
    _drift(
        "a receiver of drift twice",
        {"spec.notify": [{**_HOOK, "on": ["Drift", "Drift"]}]},
        False,
        "spec.notify[0].on[1]",
    ),
    _drift("a training on operation", {"spec.retrain": {**_RETRAIN, "on": ["Operation"]}}),
    _drift("a training for no cause", {"spec.retrain": {**_RETRAIN, "on": []}}, False, "spec.retrain.on"),
    _drift("labels that callers send", {"spec.performance": {}}),
    _drift(
        "labels of files",
        {"spec.performance": {"labels": {"uri": "s3://l/d", "idColumn": "order id", "rowColumn": "line"}}},
    ),
    _drift("labels of nowhere", {"spec.performance": {"labels": {}}}, False, "spec.performance.labels.uri"),
    _drift(
        "a rule", {"spec.performance": {"rules": [{"metric": "mae", "margin": 0, "limit": 3}], "span": "24h"}}
    ),
    _drift(
        "a rule without a bound",
        {"spec.performance": {"rules": [{"metric": "mae"}]}},
        False,
        "needs margin, limit or both",
    ),
    _drift(
        "a rule of nothing that is measured",
        {"spec.performance": {"rules": [{"metric": "latencyP95Ms", "limit": 3}]}},
        False,
        "spec.performance.rules[0].metric",
    ),
    _drift(
        "a margin below nothing",
        {"spec.performance": {"rules": [{"metric": "f1", "margin": -0.1}]}},
        False,
        "spec.performance.rules[0].margin",
    ),
    _drift("labels of a month", {"spec.performance": {"grace": "720h", "span": "24h"}}),
    _drift(
        "labels of more than a month",
        {"spec.performance": {"grace": "720h", "span": "25h"}},
        False,
        "span and grace together have 31 days (744h) at most",
    ),
    _drift(
        "rules of operation",
        {"spec.operation": {"latencyRatio": 3, "trafficRatio": 10}, "spec.window": ABSENT},
    ),
    _drift("operation of files", {"spec.operation": {}}, False, "operation needs rows of what is captured"),
    _drift(
        "operation of counts",
        {"spec.operation": {}, "spec.window": ABSENT, "spec.baseline": {"profile": {}}},
        False,
        "operation needs rows of what is captured",
    ),
    _drift(
        "a ratio below one",
        {"spec.operation": {"latencyRatio": 0.5}, "spec.window": ABSENT},
        False,
        "spec.operation.latencyRatio",
    ),
    _drift("errors as they are", {"spec.operation": {"plain": True}, "spec.window": ABSENT}),
    _drift("labels as they are", {"spec.performance": {"plain": True}}),
    _drift(
        "labels as they are in words", {"spec.performance": {"plain": "yes"}}, False, "spec.performance.plain"
    ),
    _drift("an estimate", {"spec.performance": {"estimate": True}}),
    _drift(
        "an estimate in words", {"spec.performance": {"estimate": "yes"}}, False, "spec.performance.estimate"
    ),
    _drift("19 labels", {"spec.performance": {"minLabels": 19}}, False, "spec.performance.minLabels"),
    _drift("a training by an image", {"spec.retrain": _RETRAIN}),
    _drift("a training whose model is converted", {"spec.retrain": {**_RETRAIN, "convert": "ONNX"}}),
    _drift(
        "a training whose model is converted to what is none",
        {"spec.retrain": {**_RETRAIN, "convert": "TFLite"}},
        False,
        "spec.retrain.convert",
    ),
    _drift(
        "a training with all that it may have",
        {
            "spec.retrain": {
                **_RETRAIN,
                "command": ["python"],
                "args": ["/train.py"],
                "rows": ["Window"],
                "history": "72h",
                "registerAs": "iris",
                "alias": "candidate",
                "perDay": 3,
                "cooldown": "2h",
                "timeout": "3h",
                "serviceAccountName": "trainer",
                "credentialsSecret": "keys",
                "resources": {"limits": {"memory": "8Gi"}},
            }
        },
    ),
    _drift(
        "a training by a pipeline",
        {"spec.retrain": {"output": "s3://m/iris", "pipeline": {"name": "my training", "version": "v2"}}},
    ),
    _drift(
        "a training by nobody",
        {"spec.retrain": {"output": "s3://m/iris"}},
        False,
        "spec.retrain needs image or pipeline, and not both",
    ),
    _drift(
        "a training by two",
        {"spec.retrain": {**_RETRAIN, "pipeline": {"name": "mine"}}},
        False,
        "spec.retrain needs image or pipeline, and not both",
    ),
    _drift("a training that leads nowhere", {"spec.retrain": {"image": "a"}}, False, "spec.retrain.output"),
    _drift(
        "a training in a variable",
        {"spec.retrain": {**_RETRAIN, "output": "s3://$(KEY)/m"}},
        False,
        "spec.retrain.output",
    ),
    _drift("a training on nothing", {"spec.retrain": {**_RETRAIN, "rows": []}}, False, "spec.retrain.rows"),
    _drift(
        "a training on the same twice",
        {"spec.retrain": {**_RETRAIN, "rows": ["Window", "Window"]}},
        False,
        "spec.retrain.rows[1]",
    ),
    _drift("25 a day", {"spec.retrain": {**_RETRAIN, "perDay": 25}}, False, "spec.retrain.perDay"),
    _drift("none a day", {"spec.retrain": {**_RETRAIN, "perDay": 0}}, False, "spec.retrain.perDay"),
    _drift(
        "an alias of MLflow's own",
        {"spec.retrain": {**_RETRAIN, "alias": "a/b"}},
        False,
        "spec.retrain.alias",
    ),
    _drift("suspended", {"spec.suspend": True}),
    _drift("suspended in words", {"spec.suspend": "true"}, False, "spec.suspend"),
]


def _policy(name: str, patch: dict[str, Any], accepted: bool = True, says: str = "") -> Case:
    return Case(name, patch, accepted, says, "ModelPolicy")


_RULE = {"name": "small", "expression": "metrics.modelSizeMB < 100.0"}
POLICY = [
    _policy("a policy", {}),
    _policy("no rules", {"spec.rules": []}, False, "spec.rules"),
    _policy("two rules", {"spec.rules": [_RULE, {**_RULE, "name": "tiny", "message": "too big"}]}),
    _policy("two rules of one name", {"spec.rules": [_RULE, _RULE]}, False, "spec.rules[1]"),
    _policy("a rule without a name", {"spec.rules": [{"expression": "true"}]}, False, "spec.rules[0].name"),
    _policy(
        "an empty expression",
        {"spec.rules": [{**_RULE, "expression": ""}]},
        False,
        "spec.rules[0].expression",
    ),
    _policy("half of the rules", {"spec.minimumScore": 0.5}),
    _policy("all of the rules", {"spec.minimumScore": 1}),
    _policy("none of the rules", {"spec.minimumScore": 0}, False, "spec.minimumScore"),
    _policy("more than all rules", {"spec.minimumScore": 1.1}, False, "spec.minimumScore"),
]
