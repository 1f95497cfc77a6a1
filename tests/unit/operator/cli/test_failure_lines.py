"""A reconcile that failed is the first thing that people see of a resource."""

import copy

import pytest
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.drift_view import DriftView
from mooring_operator.cli.status_view import StatusView
from mooring_operator.reconcile.failures import DeadlineExceeded, with_failure
from rich.console import Console

from tests.unit.cli_world import CANARY, DRIFT, NOW


@pytest.mark.parametrize("item", [CANARY, DRIFT], ids=lambda item: item["kind"])
def test_a_failed_reconcile_is_said(item, capsys):
    failed = copy.deepcopy(item)
    failed["status"] = with_failure(item, DeadlineExceeded(60), NOW)
    monitor = item["kind"] == "DriftMonitor"
    view = DriftView(failed, NOW) if monitor else StatusView(Deployment.parse(failed), [], NOW)
    Console(width=200, color_system=None).print(view)
    assert "\nDeadlineExceeded: this was not done within 60 s" in capsys.readouterr().out
