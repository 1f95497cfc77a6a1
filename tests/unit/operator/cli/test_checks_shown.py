"""Checks of steps, as people see them before a rollout and while it goes."""

from datetime import timedelta

import pytest
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.rehearsal import rehearse
from mooring_operator.cli.rehearsal_world import Script
from mooring_operator.cli.status_view import StatusView
from mooring_operator.reconcile.wire import to_wire
from rich.console import Console

from tests.unit.operator.planning.rollout.test_checks import JOB, WEBHOOK, checking, rollout
from tests.unit.operator.planning.world import spec_of


def shown(fleet):
    spec = fleet.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    item = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": "ml", "generation": fleet.generation},
        "spec": spec,
        "status": to_wire(fleet.status),
    }
    console = Console(width=150, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(StatusView(Deployment.parse(item), [], fleet.now))
    return console.export_text()


def test_a_check_that_goes_on_names_its_job():
    fleet = checking()
    assert f"job of smoke, 2m at most: job/mooring-check-{fleet.checked[0]}" in shown(fleet)


def test_a_check_that_has_ended_says_what_it_found():
    fleet = checking(onFailure="Pause")
    fleet.finds = "Fail"
    fleet.settle()
    assert "job of smoke, 2m at most: failed: it says Fail" in shown(fleet)
    assert "revision" in shown(fleet)


def test_the_address_of_a_webhook_is_shown_without_its_query():
    fleet = checking({"webhook": {"url": "https://gates.example.com/go?key=secret", "timeout": "2m"}})
    assert "https://gates.example.com/go" in fleet.status.message
    assert "secret" not in fleet.status.message
    assert "secret" not in shown(fleet)


@pytest.mark.parametrize("check", [JOB, WEBHOOK], ids=["job", "webhook"])
@pytest.mark.parametrize(
    ("finds", "takes", "end", "at"),
    [
        ("Pass", timedelta(minutes=1), "Promoted", 60),
        ("Fail", timedelta(minutes=1), "RolledBack", 60),
        ("Insufficient", timedelta(minutes=1), "RolledBack", 60),
        ("Pass", None, "RolledBack", 7 * 60),
    ],
)
def test_a_rehearsal_plays_checks(check, finds, takes, end, at):
    script = Script(checks=finds, checks_take=takes, ready_after=timedelta())
    played = rehearse(spec_of("v2", rollout=rollout(check)), script, name="digits", from_stable=True)
    assert played.end == end
    assert abs(played.moments[-1].at.total_seconds() - at) <= 2
    assert "the check to end" in {moment.waits_for for moment in played.moments}


def test_a_rehearsal_has_a_person_approve_what_a_check_left_to_them():
    script = Script(checks="Fail", ready_after=timedelta())
    spec = spec_of("v2", rollout=rollout(WEBHOOK, onFailure="Pause"))
    played = rehearse(spec, script, name="digits", from_stable=True)
    assert played.end == "Promoted"
    assert "PausedByCheck" in {moment.reason for moment in played.moments}
