"""Rollouts judged by what pods really count, whatever comes between: the operator's process, a real split and a real
Prometheus, while servers begin anew, pods come and go, scrapes fail, and Prometheus is away for a while."""

from __future__ import annotations

import re

import pytest
from scipy.stats import binom

from cluster.programs import ProgramUnavailableError
from tests.cluster.analysed_stage import PATIENCE_S, Users, analysed_stage
from tests.cluster.rollout_steps import until

pytestmark = pytest.mark.timeout(420)

WEIGHT = 20
ANALYSIS = {
    "metrics": [
        {"metric": "errorRate", "ratio": 1, "points": 5},
        {"metric": "latency", "quantile": 90, "slower": 300},
    ]
}
AT_ONCE = {"steps": [{"setWeight": 100}]}


def judged(*before, duration="5m"):
    steps = [{"setWeight": WEIGHT}, *before, {"analyse": {"duration": duration}}, {"setWeight": 100}]
    return {"analysis": ANALYSIS, "steps": steps}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysed")
    try:
        with analysed_stage(folder, v1=False, v2=False, v3=True, v4=False) as stage:
            yield stage
    except ProgramUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def users(stage):
    """Users of v1."""
    stage.apply("v1", AT_ONCE)
    stage.reaches("Promoted", "v1", "stable")
    with Users(stage.url) as users:
        yield users


def revisions(status):
    return status["candidate"]["revision"], status["stable"]["revision"]


def counted(stage):
    """Wait until a look has been taken that began after now, and both revisions have been counted."""
    since = stage.status["analysis"]["until"]

    def holds(seen):
        return seen["until"] > since and "looks" in seen["message"] and "no requests" not in seen["message"]

    until(lambda: stage.status["analysis"], holds, what="no look is taken", timeout=PATIENCE_S)


def disturb(stage, candidate, stable):
    """Have all happen that makes counters reset, series begin and end, and scrapes fail."""
    begin_anew(stage, candidate, stable)
    hidden = min(stage.scale(stable, 2))
    before = stage.proxy.refusals[hidden]
    stage.proxy.refused.add(hidden)
    until(lambda: stage.proxy.refusals[hidden], lambda seen: seen >= before + 4, what="nothing is refused")
    stage.proxy.refused.clear()
    stage.prometheus.close()
    for revision in (stable, candidate):
        stage.replace(revision)
    stage.prometheus.start()
    counted(stage)


def begin_anew(stage, *revisions):
    """Have the servers of revisions end without warning, and wait until they are ready again."""
    before = stage.restarts()
    addresses = [address for revision in revisions for address in stage.pods(revision).values()]
    for address in addresses:
        stage.kill(address)
    until(
        stage.restarts,
        lambda seen: all(seen.get(address, 0) > before[address] for address in addresses),
        what="they do not begin anew",
    )


def numbers(message, metric):
    """What a message says of both: events and requests of the candidate, and of the stable revision."""
    said = re.search(
        rf"{metric}: candidate [\d.]+% \((\d+) of (\d+)\), stable [\d.]+% \((\d+) of (\d+)\), limit", message
    )
    assert said, message
    return tuple(map(int, said.groups()))


def test_one_that_is_as_good_is_promoted_whatever_happens_to_counters(stage, users):
    stage.apply("v2", judged({"approve": {}}))
    candidate, stable = revisions(stage.reaches("AwaitingApproval", "v2"))
    begin_anew(stage, candidate, stable)
    counted(stage)
    assert stage.status["candidate"]["weight"] == WEIGHT
    stage.command("approve", candidate)
    until(
        lambda: stage.status.get("reason"),
        lambda seen: seen == "Analysing",
        what="the step does not begin",
        timeout=PATIENCE_S,
    )
    disturb(stage, candidate, stable)
    status = stage.reaches("Promoted", "v2", "stable")
    assert status["analysis"]["verdict"] == "PASS"
    assert users.wrong == {}
    assert status["stable"]["revision"] == candidate


def test_one_that_fails_is_rolled_back_by_what_it_was_counted_to_fail(stage, users):
    stage.apply("v3", judged())
    candidate, stable = revisions(stage.reaches("Canary", "v3"))
    until(lambda: stage.status.get("analysis"), what="it is not judged", timeout=PATIENCE_S)
    disturb(stage, candidate, stable)
    assert users.wrong == {}
    sent, users.hard = users.sent, 0.5
    begin_anew(stage, candidate, stable)
    status = stage.reaches("RolledBack", "v1", "stable")
    exposed = users.sent - sent
    assert status["reason"] == "AnalysisFailed"
    found = stage.condition()
    assert (found["status"], found["reason"]) == ("False", "AnalysisFailed")
    for said in ("limit stable + 5 points", "evidence", "exceeded by"):
        assert said in found["message"]
    wrong, of, wrong_before, of_before = numbers(found["message"], "errorRate")
    # Too few may be counted where servers end, and never too many.
    assert 0 < wrong <= users.wrong[candidate]
    assert of <= users.answered[candidate]
    assert (wrong_before, 0) == (0, users.wrong[stable])
    assert of_before <= users.answered[stable]
    assert users.wrong[candidate] <= binom.ppf(0.99999, exposed, WEIGHT / 100)


def test_nothing_moves_while_prometheus_is_away_and_all_goes_on_when_it_is_back(stage, users):
    stage.prometheus.close()
    stage.apply("v4", judged(duration="5s"))
    status = stage.reaches("Paused", "v4")
    assert status["reason"] == "PausedByAnalysis"
    assert (status["candidate"]["weight"], status["candidate"]["routed"]) == (WEIGHT, WEIGHT)
    assert status["analysis"]["verdict"] == "INSUFFICIENT"
    found = stage.condition()
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert "does not answer" in found["message"]
    assert "MOORING_PROMETHEUS_URL" in found["message"]
    stage.prometheus.start()
    status = stage.reaches("Promoted", "v4", "stable")
    assert status["analysis"]["verdict"] == "PASS"
    assert users.wrong == {}
