"""The rows of the table of specs for templates of analyses, and for what names or demands them."""

from typing import Any

from tests.unit.spec_case import ABSENT, Case


def _template(name: str, patch: dict[str, Any], accepted: bool = True, says: str = "") -> list[Case]:
    """The same row for both kinds."""
    return [
        Case(name, patch, accepted, says, kind) for kind in ("AnalysisTemplate", "ClusterAnalysisTemplate")
    ]


def _used(*templates: Any, **analysis: Any) -> dict[str, Any]:
    return {"spec.rollout": {"analysis": {"templates": list(templates), **analysis}}}


def _queries(name: str, *queries: Any, says: str = "", **spec: Any) -> Case:
    patch = {f"spec.{field}": value for field, value in spec.items()}
    return Case(name, {"spec.queries": list(queries), **patch}, not says, says, "ClusterAnalysisTemplate")


_QUERY = {"name": "q", "query": "up", "successCondition": "result < 5.0"}
_JOB = {"name": "smoke", "job": {"image": "registry.example.com/team/smoke:1"}}
_RATE = {"name": "wrong", "total": {"counter": "labelled_total"},
         "good": {"counter": "labelled_total", "labels": {"correct": "true"}}}  # fmt: skip
_DATADOG = {"name": "dd", "successCondition": "result < 0.05",
            "datadog": {"credentialsSecret": "datadog", "query": "avg:a{version:{{candidate}}}"}}  # fmt: skip
_WATCH = {"name": "cw", "successCondition": "result < 1.0", "cloudWatch": {"region": "eu-central-1", "queries": [
    {"id": "m1", "metric": {"namespace": "AWS/X", "name": "Errors"}}]}}  # fmt: skip
_ARGUMENT = {"name": "points", "value": "0.5", "description": "how much worse it may be"}
_TOLD = {"metric": "errorRate", "fromArguments": {"points": "points"}}

TEMPLATES = [
    *_template("a template of one metric", {}),
    Case("no metrics", {"spec.metrics": ABSENT}, False, "metrics, rates, agreements or queries", "AnalysisTemplate"),
    *_template("an empty list of metrics", {"spec.metrics": []}, False, "spec.metrics"),
    *_template("arguments", {"spec.arguments": [_ARGUMENT], "spec.metrics": [_TOLD]}),
    *_template("an argument that has to be said", {"spec.arguments": [{"name": "points"}]}),
    *_template("an argument twice", {"spec.arguments": [_ARGUMENT, _ARGUMENT]}, False, "spec.arguments"),
    *_template("an argument with a dash", {"spec.arguments": [{"name": "a-b"}]}, False, "spec.arguments[0].name"),
    *_template("an argument with a quote", {"spec.arguments": [{"name": "a", "value": 'x"} or up{a="'}]}, False,
               "spec.arguments[0].value"),
    *_template("an argument that is a number", {"spec.arguments": [{"name": "a", "value": 0.5}]}, False,
               "spec.arguments[0].value"),
    *_template("a metric twice", {"spec.metrics": [_TOLD, _TOLD]}, False, "spec.metrics"),
    *_template("an unknown metric", {"spec.metrics": [{"metric": "charm"}]}, False, "spec.metrics[0].metric"),
    *_template("an unknown bound", {"spec.metrics": [{"metric": "errorRate", "fromArguments": {"charm": "a"}}]}, False,
               "spec.metrics[0].fromArguments.charm"),
    *_template("a bound of another metric", {"spec.metrics": [{"metric": "latency", "ratio": 2}]}, False,
               "ratio and points are of rates"),
    *_template("predictions by a ratio", {"spec.metrics": [{"metric": "predictionDrift", "ratio": 2}]}, False,
               "predictionDrift: points above 0, no ratio"),
    *_template("a long name", {"metadata.name": "a" * 64}, False, "metadata.name"),
    *_template("a name with a dot", {"metadata.name": "a.b"}, False, "without a dot"),
    *_template("a rate alone", {"spec.metrics": ABSENT, "spec.rates": [_RATE]}),
    *_template("all of a rate", {
        "spec.arguments": [{"name": "route"}],
        "spec.rates": [{**_RATE, "revisionLabel": "arm", "ratio": 0, "points": 5, "total": {
            "counter": "seen:sum", "labels": {"a": "x-1", "model": "{{name}}", "route": "{{arguments.route}}"}}}]}),
    *_template("a rate by a label with a dash", {"spec.rates": [
        {**_RATE, "total": {"counter": "a", "labels": {"a-b": "x"}}}]}, False,
        "is not the name of a label in Prometheus"),
    *_template("a rate of bad ones",
               {"spec.rates": [{"name": "r", "total": {"counter": "a"}, "bad": {"counter": "b"}}]}),
    *_template("a rate of good and bad", {"spec.rates": [{**_RATE, "bad": {"counter": "b"}}]}, False, "good or bad"),
    *_template("a rate of neither", {"spec.rates": [{"name": "r", "total": {"counter": "a"}}]}, False, "good or bad"),
    *_template("a rate twice", {"spec.rates": [_RATE, _RATE]}, False, "spec.rates"),
    *_template("three rates", {"spec.rates": [{**_RATE, "name": f"r{n}"} for n in range(3)]}, False, "spec.rates"),
    *_template("an empty list of rates", {"spec.rates": []}, False, "spec.rates"),
    *_template("a rate that is called latency", {"spec.rates": [{**_RATE, "name": "latency"}]}, False, "not called"),
    *_template("a rate of no counter", {"spec.rates": [{**_RATE, "total": {"counter": "a{}"}}]}, False,
               "spec.rates[0].total.counter"),
    *_template("a rate of another namespace", {"spec.rates": [
        {**_RATE, "good": {"counter": "a", "labels": {"namespace": "other"}}}]}, False, "set by the operator"),
    *_template("a rate of a revision", {"spec.rates": [
        {**_RATE, "total": {"counter": "a", "labels": {"revision": "x"}}}]}, False, "set by the operator"),
    *_template("a rate of a revision by another label", {"spec.rates": [
        {**_RATE, "revisionLabel": "arm", "total": {"counter": "a", "labels": {"arm": "x"}}}]}, False,
        "set by the operator"),
    *_template("a rate by namespaces", {"spec.rates": [{**_RATE, "revisionLabel": "namespace"}]}, False,
               "set by the operator"),
    *_template("a rate with a quote", {"spec.rates": [
        {**_RATE, "total": {"counter": "a", "labels": {"x": 'a"} or up{b="'}}}]}, False, "spec.rates[0].total.labels"),
    *_template("a rate that none is within", {"spec.rates": [{**_RATE, "ratio": 0, "points": 0}]}, False,
               "no revision could be within"),
    Case("a query of a namespace", {"spec.queries": [_QUERY]}, False,
         "query and webhook stand in ClusterAnalysisTemplates alone", "AnalysisTemplate"),
    Case("a webhook of a namespace", {"spec.queries": [
        _JOB, {"name": "q", "webhook": {"url": "https://h/n"}, "successCondition": "result < 5.0"}]}, False,
        "query and webhook stand in ClusterAnalysisTemplates alone", "AnalysisTemplate"),
    *_template("a job", {"spec.queries": [_JOB]}),
    *_template("jobs alone", {"spec.metrics": ABSENT, "spec.queries": [_JOB, {**_JOB, "name": "other"}]}),
    *_template("all of a job", {"spec.queries": [{**_JOB, "successCondition": "result.accuracy > 0.9",
        "failureCondition": "result.accuracy < 0.5", "interval": "5m", "count": 3, "dryRun": True, "job": {
            "image": "a/b@sha256:" + "0" * 64, "command": ["sh", "-c"], "args": ["exit $A"], "timeout": "90s",
            "serviceAccountName": "models", "credentialsSecret": "keys", "cpu": "500m", "memory": "2Gi",
            "backoffLimit": 1}}]}),
    *_template("a job without an image", {"spec.queries": [{"name": "smoke", "job": {}}]}, False,
               "spec.queries[0].job.image"),
    *_template("a job of many words", {"spec.queries": [
        {**_JOB, "job": {"image": "a", "args": ["a" * 1000, "b" * 100]}}]}, False, "at most 1024 characters together"),
    *_template("a job in a pod of one's own", {"spec.queries": [
        {**_JOB, "job": {"image": "a", "securityContext": {"privileged": True}}}]}, False,
        "spec.queries[0].job.securityContext"),
    *_template("a job and a webhook", {"spec.queries": [{**_JOB, "webhook": {"url": "https://h/n"}}]}, False,
               "a query has one of query, webhook, job, datadog"),
    *_template("a number of Datadog's", {"spec.queries": [_DATADOG]}),
    *_template("all of Datadog", {"spec.queries": [{**_DATADOG, "datadog": {
        "site": "datadoghq.eu", "credentialsSecret": "dd", "queries": {"a": "sum:a{*}", "b_2": "sum:b{*}"},
        "formula": "a / b_2", "aggregator": "sum", "window": "1h", "timeout": "30s"}}]}),
    *_template("Datadog without a condition", {"spec.queries": [{**_DATADOG, "successCondition": ""}]}, False,
               "needs successCondition"),
    *(row for name, patch, says in [
        ("without a Secret", {"credentialsSecret": ABSENT}, "datadog.credentialsSecret"),
        ("at a site of one's own", {"site": "metadata.internal"}, "datadog.site"),
        ("without a query", {"query": ABSENT}, "datadog has query, or queries with a formula"),
        ("with a formula of no queries", {"formula": "a"}, "datadog has query, or queries with a formula"),
        ("with queries and no formula", {"query": ABSENT, "queries": {"a": "b"}},
         "datadog has query, or queries with a formula"),
        ("with a query and queries", {"queries": {"a": "b"}, "formula": "a"},
         "datadog has query, or queries with a formula"),
        ("with six queries", {"query": ABSENT, "formula": "a", "queries": {f"q{n}": "b" for n in range(6)}},
         "datadog.queries"),
        ("with a query of another name", {"query": ABSENT, "formula": "a", "queries": {"A-b": "c"}},
         "is not a name for formulas"),
        ("of a second", {"window": "1s"}, "a window is 1m to 24h"),
        ("of a week", {"window": "168h"}, "a window is 1m to 24h"),
        ("by a percentile", {"aggregator": "percentile"}, "datadog.aggregator"),
    ] for row in _template(f"Datadog {name}", {"spec.queries": [{**_DATADOG, "datadog": {
        field: value for field, value in {**_DATADOG["datadog"], **patch}.items() if value is not ABSENT}}]},
        False, says)),
    *_template("a pipeline", {"spec.queries": [{"name": "p", "pipeline": {"name": "golden"}}]}),
    *_template("all of a pipeline", {"spec.queries": [{"name": "p", "successCondition": "result.metrics.accuracy > 0.9",
        "pipeline": {"name": "golden answers", "version": "v3", "serviceAccountName": "runs",
                     "credentialsSecret": "keys", "timeout": "1h"}}]}),
    *_template("a pipeline without a name", {"spec.queries": [{"name": "p", "pipeline": {"version": "v3"}}]}, False,
               "pipeline.name"),
    *_template("a pipeline by its path", {"spec.queries": [{"name": "p", "pipeline": {"name": "../x"}}]}, False,
               "pipeline.name"),
    *_template("a number of CloudWatch's", {"spec.queries": [_WATCH]}),
    *_template("all of CloudWatch", {"spec.queries": [{**_WATCH, "cloudWatch": {
        "region": "us-gov-west-1", "credentialsSecret": "aws", "serviceAccountName": "metrics", "period": "10m",
        "timeout": "30s", "queries": [
            {"id": "m1", "metric": {"namespace": "AWS/X", "name": "Errors", "stat": "TM(5%:95%)",
             "dimensions": {"Revision Of": "{{candidate}}", "Name": "{{ name }}"}}},
            {"id": "share_2", "expression": "100 * m1 / 3"}]}}]}),
    *(row for name, patch, says in [
        ("without a region", {"region": ABSENT}, "cloudWatch.region"),
        ("at an address of one's own", {"region": "a.example.com/x"}, "cloudWatch.region"),
        ("without queries", {"queries": ABSENT}, "cloudWatch.queries"),
        ("with no queries", {"queries": []}, "cloudWatch.queries"),
        ("of neither metric nor expression", {"queries": [{"id": "a"}]}, "metric or expression, and not both"),
        ("of both", {"queries": [{"id": "a", "expression": "b", "metric": {"namespace": "A", "name": "b"}}]},
         "metric or expression, and not both"),
        ("with an id twice", {"queries": [{"id": "a", "expression": "b"}, {"id": "a", "expression": "c"}]},
         "cloudWatch.queries"),
        ("with an id in capitals", {"queries": [{"id": "A", "expression": "b"}]}, "cloudWatch.queries[0].id"),
        ("by a statistic of two words", {"queries": [
            {"id": "a", "metric": {"namespace": "A", "name": "b", "stat": "the best"}}]}, "queries[0].metric.stat"),
        ("with a dimension that begins with a colon", {"queries": [
            {"id": "a", "metric": {"namespace": "A", "name": "b", "dimensions": {":a": "b"}}}]},
         "is not the name of a dimension"),
        ("of half a minute", {"period": "30s"}, "a period is whole minutes, 1m to 24h"),
        ("of a minute and a half", {"period": "90s"}, "a period is whole minutes, 1m to 24h"),
        ("of two days", {"period": "48h"}, "a period is whole minutes, 1m to 24h"),
    ] for row in _template(f"CloudWatch {name}", {"spec.queries": [{**_WATCH, "cloudWatch": {
        field: value for field, value in {**_WATCH["cloudWatch"], **patch}.items() if value is not ABSENT}}]},
        False, says)),
    *_template("an agreement alone", {"spec.metrics": ABSENT, "spec.agreements": [{"name": "differ"}]}),
    *_template("all of an agreement", {"spec.agreements": [{
        "name": "differ", "points": 0.5, "output": "scores", "tolerance": 0.0, "interval": "30s", "delay": "90s",
        "timeout": "10m", "serviceAccountName": "models", "credentialsSecret": "buckets"}]}),
    *(row for name, patch, says in [
        ("without points", {"points": 0}, "spec.agreements[0].points"),
        ("of all pairs", {"points": 100}, "spec.agreements[0].points"),
        ("of less than nothing", {"tolerance": -0.1}, "spec.agreements[0].tolerance"),
        ("about two outputs", {"output": "a,b"}, "spec.agreements[0].output"),
        ("every ten seconds", {"interval": "10s"}, "an interval is 30s at least"),
        ("named like a metric", {"name": "latency"}, "an agreement is not called"),
        ("at a store of one's own", {"uri": "s3://a/b"}, "spec.agreements[0].uri"),
    ] for row in _template(f"an agreement {name}", {"spec.agreements": [{"name": "differ", **patch}]}, False, says)),
    *_template("three agreements", {"spec.agreements": [{"name": name} for name in "abc"]}, False, "spec.agreements"),
    *_template("an agreement twice", {"spec.agreements": [{"name": "a"}, {"name": "a"}]}, False, "spec.agreements"),
    *_template("an agreement named like a rate", {"spec.agreements": [{"name": "wrong"}], "spec.rates": [_RATE]},
               False, "is there twice"),
    *_template("a job named like an agreement", {
        "spec.agreements": [{"name": "smoke"}], "spec.queries": [_JOB]}, False, "is there twice"),
    *_template("a job twice", {"spec.queries": [_JOB, _JOB]}, False, "spec.queries"),
    *_template("a job named like a rate", {"spec.queries": [{**_JOB, "name": "wrong"}], "spec.rates": [_RATE]},
               False, "is there twice"),
    _queries("a query", _QUERY),
    _queries("queries alone", _QUERY, metrics=ABSENT),
    Case("neither metrics nor queries", {"spec": {}}, False, "metrics, rates, agreements or queries",
         "ClusterAnalysisTemplate"),
    _queries("an empty list of queries", says="spec.queries"),
    _queries("a query twice", _QUERY, _QUERY, says="spec.queries"),
    _queries("seven queries", *({**_QUERY, "name": f"q{n}"} for n in range(7)), says="spec.queries"),
    _queries("all of a query", {**_QUERY, "failureCondition": "result > 9.0", "interval": "30s", "initialDelay": "5m",
             "count": 10, "failureLimit": 2, "inconclusiveLimit": 1, "consecutiveErrorLimit": 0, "dryRun": True}),
    _queries("a query without a condition", {"name": "q", "query": "up"}, says="needs successCondition"),
    _queries("a query and a webhook", {**_QUERY, "webhook": {"url": "https://h/n"}}, says="a query has one of"),
    _queries("a webhook", {"name": "q", "webhook": {"url": "http://n.m.svc/q"}, "successCondition": "result < 5.0"}),
    _queries("neither", {"name": "q", "successCondition": "result < 1.0"}, says="a query has one of"),
    _queries(
        "a webhook at an address without TLS",
        {"name": "q", "webhook": {"url": "http://169.254.169.254/"}, "successCondition": "result < 1.0"},
        says="webhook.url",
    ),
    _queries("a query with empty conditions", {**_QUERY, "successCondition": ""}, says="needs successCondition"),
    _queries("a query every second", {**_QUERY, "interval": "1s"}, says="an interval is 10s at least"),
    _queries("a query that is never measured", {**_QUERY, "count": 0}, says="spec.queries[0].count"),
    _queries("a query named like a metric", {**_QUERY, "name": "errorRate"}, says="spec.queries[0].name"),
    _queries("a query of nothing", {**_QUERY, "query": ""}, says="spec.queries[0].query"),
    _queries("a provider of Argo's", {**_QUERY, "provider": {}}, says="spec.queries[0].provider"),
    Case("a source", {"spec.rollout": {"analysis": {"source": "Contour"}}}),
    Case("a source of its own name", {"spec.rollout": {"analysis": {"source": "EnvoyGateway"}}}),
    Case("an unknown source", {"spec.rollout": {"analysis": {"source": "Linkerd"}}}, False,
         "spec.rollout.analysis.source"),
    Case("a template of an analysis", _used({"name": "house"})),
    Case("a template of the cluster", _used({"name": "house", "clusterScope": True, "arguments": {"points": "0.5"}})),
    Case("two templates of one name", _used({"name": "house"}, {"name": "house", "clusterScope": True})),
    Case("a template and metrics", _used({"name": "house"}, metrics=[{"metric": "latency"}])),
    Case("a template twice", _used({"name": "house"}, {"name": "house"}), False, "spec.rollout.analysis.templates"),
    Case("a template without a name", _used({}), False, "spec.rollout.analysis.templates[0].name"),
    Case("a template elsewhere", _used({"name": "../house"}), False, "spec.rollout.analysis.templates[0].name"),
    Case("three templates", _used(*({"name": f"t{n}"} for n in range(3))), False, "spec.rollout.analysis.templates"),
    Case("an argument that ends a query", _used({"name": "h", "arguments": {"a": 'x"} or up{b="'}}), False,
         "spec.rollout.analysis.templates[0].arguments"),
    Case("an argument of two lines", _used({"name": "h", "arguments": {"a": "x\n"}}), False,
         "spec.rollout.analysis.templates[0].arguments"),
    Case("an argument of no name", _used({"name": "h", "arguments": {"A B": "x"}}), False,
         "spec.rollout.analysis.templates[0].arguments"),
    Case("templates demanded", {"spec.requiredTemplates": [{"name": "platform", "clusterScope": True}]},
         kind="ClusterModelPolicy"),
    Case("templates alone", {"spec": {"requiredTemplates": [{"name": "house"}]}}, kind="ModelPolicy"),
    Case("neither rules nor templates", {"spec": {}}, False,
         "a policy has rules, requiredTemplates, signedBy or requiredDocuments", "ModelPolicy"),
    Case("a template demanded twice", {"spec.requiredTemplates": [{"name": "a"}, {"name": "a"}]}, False,
         "spec.requiredTemplates", "ModelPolicy"),
]  # fmt: skip
