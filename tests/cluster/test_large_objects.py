"""Many objects as large as a tenant can make them: the operator reads them a few at a time."""

import re
from pathlib import Path

import pytest

from tests.cluster.rollout_steps import OURS, Operator, install, until

NAMESPACE = "large-objects"
MONITORS = f"{OURS}/namespaces/{NAMESPACE}/driftmonitors"
NUMBER = 40
# About 1.2 MB each; etcd takes 1.5.
FEATURES = [f"{number:06}{'f' * 240}" for number in range(2000)]
LABELS = {f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{number:06}/{'d' * 63}": "e" * 63 for number in range(2000)}


@pytest.fixture(scope="module")
def api(control_plane):
    api = control_plane.api
    install(api, NAMESPACE)
    yield api
    api.request("DELETE", f"{MONITORS}?propagationPolicy=Background")


def monitor(number):
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": f"large-{number}", "namespace": NAMESPACE, "labels": LABELS},
        "spec": {
            "target": {"name": "iris"},
            "baseline": {"uri": "s3://d/a"},
            "window": {"uri": "s3://d/b"},
            "features": FEATURES,
            "suspend": True,
        },
    }


def megabytes(process, what):
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+)", status)[1]) / 1024


def test_an_operator_that_starts_takes_no_more_memory_for_them(api, control_plane, tmp_path):
    settings = {"namespaces": NAMESPACE, "pipelines": "None", "cluster_policies": "false"}

    def peak(name, number):
        with Operator(control_plane.kubeconfig, tmp_path / f"{name}.log", **settings) as operator:
            shown = f'mooring_resources{{kind="DriftMonitor",phase="Suspended"}} {number:.1f}'
            until(lambda: operator.ask("/metrics"), lambda said: shown in said or not number, timeout=300)
            return megabytes(operator.process, "VmHWM")

    empty = peak("empty", 0)
    for number in range(NUMBER):
        api.create(monitor(number))
    assert peak("full", NUMBER) - empty < 120
