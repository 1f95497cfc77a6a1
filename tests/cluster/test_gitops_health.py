"""What Argo CD's health checks and kstatus say of every status that the planner can write."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api import reasons_page
from mooring_operator.reconcile.failures import DeadlineExceeded, InternalError, with_failure

from cluster.gitops import Question, judge
from tests.cluster.planned import STORIES
from tests.cluster.planned_others import NOW, monitors, policies, templates

SCRIPTS = Path(__file__).parents[2] / "manifests" / "argocd" / "mooring.dev"
PHASES = {
    "Pending": "Progressing",
    "Testing": "Progressing",
    "Deploying": "Progressing",
    "Canary": "Progressing",
    "Promoting": "Progressing",
    "AwaitingApproval": "Suspended",
    "Paused": "Suspended",
    "Promoted": "Healthy",
    "RolledBack": "Degraded",
    "Failed": "Degraded",
}
KSTATUS = {"Healthy": "Current", "Degraded": "Failed", "Progressing": "InProgress", "Suspended": "InProgress"}
NOT_IN_STATUS = {
    "PolicyAccepted": "policies",
    "InvalidExpression": "policies",
    "InvalidSource": "policies",
    "TemplateAccepted": "templates",
    "InvalidTemplate": "templates",
    "AnalysisTemplateChanged": "Events",
    "ApprovalRefused": "Events",
    "CheckPassed": "Events",
    "NothingToRollBackTo": "Events",
    "WorkloadRefused": "Events",
    "StatusRepaired": "Events",
    "RuntimeChanged": "Events",
    "Registered": "Events",
    "AliasMoved": "Events",
    "AliasNotMoved": "Events",
    "NotRegistered": "Events",
    "OtherOperator": "Events",
    "PromotionRequested": "Events",
    "RetryRequested": "Events",
    "Superseded": "history",
    "Adopted": "history",
    "InternalError": "below",
    "DeadlineExceeded": "below",
    "StatusUnreadable": "below",
}


@pytest.fixture(scope="module")
def deployments(gitops):
    """A resource for every state that the stories come through."""
    return [item for story in STORIES.values() for item in story().seen]


def health(items):
    """Argo CD's word and kstatus' for each resource."""
    scripts = {path.parent.name: path.read_text() for path in SCRIPTS.glob("*/health.lua")}
    asked = [Question(item, scripts[item["kind"]]) for item in items]
    told = judge([*asked, *(Question(item) for item in items)])
    assert [answer.error for answer in told if answer.error] == []
    half = len(items)
    return [
        (argo.value["status"], argo.value["message"], flux.value["status"])
        for argo, flux in zip(told[:half], told[half:], strict=True)
    ]


def conditions(item):
    return {one["type"]: one for one in item["status"]["conditions"]}


def expected(item):
    """The health that our documentation promises."""
    found = conditions(item)
    if any(found.get(kind, {}).get("status") == "False" for kind in ("BatchApplied", "StreamApplied")):
        return "Degraded"
    return "Degraded" if "Stalled" in found else PHASES[item["status"]["phase"]]


def test_every_phase_and_reason_is_among_the_stories(deployments):
    seen = {item["status"]["reason"] for item in deployments}
    seen |= {one["reason"] for item in deployments for one in conditions(item).values()}
    of_deployments = {one.value for one in reasons_page.documented() if one.section != "Drift"}
    assert of_deployments - seen == set(NOT_IN_STATUS)
    assert {item["status"]["phase"] for item in deployments} == set(PHASES)


def test_health_of_every_state_is_what_its_phase_says(deployments):
    for item, (argo, message, flux) in zip(deployments, health(deployments), strict=True):
        wanted = expected(item)
        state = item["status"]["phase"], item["status"]["reason"]
        assert (state, argo) == (state, wanted)
        assert message
        # What spec.batch or spec.stream makes is no part of Ready.
        refused = any(conditions(item).get(kind) for kind in ("BatchApplied", "StreamApplied"))
        assert refused or (state, flux) == (state, KSTATUS[wanted])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STORIES)), st.integers(1, 5)), min_size=1, max_size=4))
def test_a_newer_spec_is_in_progress_whatever_was_before(gitops, picked):
    items = []
    for name, ahead in picked:
        item = STORIES[name]().seen[-1]
        metadata = {**item["metadata"], "generation": item["metadata"]["generation"] + ahead}
        items.append({**item, "metadata": metadata})
    assert {(argo, flux) for argo, _, flux in health(items)} == {("Progressing", "InProgress")}


def test_what_nobody_has_looked_at_is_in_progress(gitops):
    items = []
    for item in (STORIES["held"]().seen[0], next(monitors()), next(policies())):
        # As the definitions have it by default.
        items.append({**item, "status": {"observedGeneration": -1}})
    assert {(argo, flux) for argo, _, flux in health(items)} == {("Progressing", "InProgress")}


@pytest.mark.parametrize(
    ("failure", "wanted"),
    [(InternalError(KeyError()), "Degraded"), (DeadlineExceeded(30), "Progressing")],
)
def test_a_failure_of_the_operator_shows_until_the_spec_changes(gitops, failure, wanted):
    items = [STORIES["slow-start"]().seen[0], list(monitors())[1], list(policies())[1]]
    failed = [{**item, "status": with_failure(item, failure, NOW)} for item in items]
    assert {told[:2] for told in health(failed)} == {(wanted, failure.message)}
    for item in failed:
        item["metadata"] = {**item["metadata"], "generation": 2}
    assert {argo for argo, *_ in health(failed)} == {"Progressing"}


def test_a_monitor_that_works_is_healthy_whatever_it_finds(gitops):
    words = {"Pending": "Progressing", "Watching": "Healthy", "Drifted": "Healthy", "Failed": "Degraded"}
    items = [item for item in monitors() if "status" in item]
    assert {item["status"]["phase"] for item in items} == {*words, "Suspended"}
    seen = {item["status"]["reason"] for item in items}
    of_labels = ("PerformanceDropped", "EstimatedDrop")
    seen |= {
        conditions(item)[kind]["reason"] for item in items for kind in of_labels if kind in conditions(item)
    }
    drift = {one.value for one in reasons_page.documented() if one.section == "Drift"}
    # Events, and the condition that says that all is well again.
    events = {
        "RollbackSkipped",
        "StopRequested",
        "WindowsSkipped",
        "NotificationSent",
        "NotificationFailed",
        "DryRun",
    }
    events |= {"RetrainingStarted", "Retrained", "RetrainingFailed"}
    of_rows = {"RowsLate", "RowsRepeated", "ClockAhead"}
    assert drift - seen == events | of_rows | {"SchemaUnchanged", "BaselineSufficient", "BaselineSmall"}
    for item, (argo, _, flux) in zip(items, health(items), strict=True):
        phase = item["status"]["phase"]
        assert (phase, argo) == (phase, words.get(phase, "Suspended"))
        assert flux == ("Current" if phase == "Suspended" else KSTATUS[argo])


@pytest.mark.parametrize("made", [policies, templates])
def test_a_policy_or_template_is_healthy_when_all_of_it_can_be_applied(gitops, made):
    items = [item for item in made() if "status" in item]
    of_policies = {"ModelPolicy", "ClusterModelPolicy"}
    of_templates = {"AnalysisTemplate", "ClusterAnalysisTemplate"}
    assert {item["kind"] for item in items} == (of_policies if made is policies else of_templates)
    for item, (argo, message, flux) in zip(items, health(items), strict=True):
        ready = conditions(item)["Ready"]
        assert argo == ("Healthy" if ready["status"] == "True" else "Degraded")
        assert message == ready["message"]
        assert flux == KSTATUS[argo]
