"""Rules of policies that ask for what no run measures get a warning: they would never be met."""

import json

import pytest
from mooring_operator.cli.commands.validate import check_manifest
from mooring_operator.cli.files import Manifest

from tests.unit.spec_case import Case

KNOWN = "known are accuracy, balancedAccuracy, precision, recall, f1"


@pytest.mark.parametrize("kind", ["ModelPolicy", "ClusterModelPolicy"])
@pytest.mark.parametrize(
    ("expression", "unknown", "meant"),
    [
        ("metrics.acuracy >= 0.9", "acuracy", "accuracy"),
        ("has(metrics.latencyP95ms) && metrics.latencyP95ms < 100.0", "latencyP95ms", "latencyP95Ms"),
        ('metrics["F1"] > 0.5', "F1", "f1"),
        ("metrics['roc'] > 0.5", "roc", "rocAuc"),
        ("metrics.wholly_other > 0.5", "wholly_other", None),
        ("metrics.accuracy >= 0.9 || metrics['f1'] > 0.5", None, None),
        ("model.uri != 'metrics.foo' && deployment.labels.metrics.foo == ''", None, None),
        ("serving.mymetrics.foo == 1.0", None, None),
        ("size(metrics) > 0", None, None),
    ],
)
def test_an_unknown_metric_in_a_rule_is_a_warning(kind, expression, unknown, meant):
    manifest = Case("", {"spec.rules": [{"name": "r", "expression": expression}]}, kind=kind).manifest
    (finding,) = check_manifest(Manifest("f", json.dumps(manifest)))
    assert finding["valid"]
    said = [(problem["field"], problem["message"]) for problem in finding["warnings"]]
    hint = f"did you mean {meant}? " if meant else ""
    expected = [("spec.rules[0].expression", f"metrics: {unknown!r} is not a metric; {hint}{KNOWN}")]
    assert [(field, message[: len(expected[0][1])]) for field, message in said] == (
        expected if unknown else []
    )
