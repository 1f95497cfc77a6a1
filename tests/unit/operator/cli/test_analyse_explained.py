"""``mooring analyse NAME`` without a Prometheus: what the operator has found, told out of its status."""

from __future__ import annotations

from datetime import timedelta

import pytest
from mooring_operator.api.analysis_template import AnalysisTemplateSpec, ClusterAnalysisTemplateSpec
from mooring_operator.cli import whole_analysis
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.explained_analysis import explain
from mooring_operator.cli.main import run
from mooring_operator.cli.whole_analysis import Subject, view
from mooring_operator.planning.analysis.agreements import PairCounts
from mooring_operator.planning.analysis.counting import Answer, Counted, Request
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.measuring import Measurement, described, limits_of, queries_of
from mooring_operator.planning.analysis.templates import Found, resolve
from rich.console import Console

from tests.unit.operator.planning.judged import Answering, rollout
from tests.unit.operator.planning.world import spec_of

FIRST, LAST = {"setWeight": 20}, {"setWeight": 100}
METRICS = [{"metric": "errorRate"}, {"metric": "predictionDrift"}]
JUDGED = rollout(FIRST, {"analyse": {"duration": "30m"}}, LAST, analysis={"metrics": METRICS})


def begun(how=JUDGED, kind=Answering, steps=8, **world):
    """v1 is promoted, and v2 has been looked at a few times."""
    made = kind(spec_of("v1", rollout=how), **world)
    made.settle()
    made.apply(spec_of("v2", rollout=how))
    for _ in range(steps):
        made.step()
        made.now += timedelta(seconds=10)
    return made


def told(made, how=JUDGED, templates=None):
    """Give what is found, and how it is shown."""
    spec = spec_of("v2", rollout=how)
    found = explain(Subject("iris", "ns", spec, made.status, "", "", templates or {}))
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(view(found))
    return found, console.export_text()


def test_the_evidence_so_far_is_told_by_metric():
    made = begun(bad={"v2": 0.02})
    found, shown = told(made)
    status = made.status.analysis
    assert found.verdict == status.verdict == "INSUFFICIENT"
    assert shown.startswith(f"INSUFFICIENT  {status.message}")
    errors, drift = found.document()["metrics"]
    assert (errors["candidate"]["events"], errors["looks"]) == (4.0 * errors["looks"], errors["looks"])
    assert errors["looks"] > 2
    assert drift["moved"] in ("class 0", "class 1")
    assert f"candidate {status.candidate}, stable {status.stable}" in shown
    assert "counted by Mooring, " in shown


def test_who_counted_is_told_and_what_stops_it():
    made = begun()
    made.counting = type(made.counting)(made.counting.every, made.counting.lag, by_pods=True)
    made.step()
    shown = told(made)[1]
    assert shown.rstrip().endswith("\ncounted by the pods themselves, without a Prometheus")
    assert shown.count(made.status.analysis.message) == 1
    made.unavailable = "Prometheus does not answer"
    for _ in range(3):
        made.step()
        made.now += timedelta(seconds=10)
    shown = told(made)[1]
    assert "nothing can be counted now: Prometheus does not answer" in shown
    assert shown.count("Prometheus does not answer") == 1


def test_an_analysis_that_has_ended_keeps_its_verdict():
    made = begun(bad={"v2": 0.3})
    made.go_on()
    found, shown = told(made)
    assert found.verdict == "FAIL"
    assert "exceeded by" in shown
    assert "it has ended: what was found of each metric is kept no longer" in shown
    assert "METRIC" not in shown


class Measured(Answering):
    """A world with a template whose query is a webhook, which gives a number at each look."""

    template = ClusterAnalysisTemplateSpec.model_validate(
        {
            "queries": [
                {
                    "name": "accuracy",
                    "webhook": {"url": "http://labels.ml.svc/accuracy"},
                    "successCondition": "result >= 0.9",
                    "interval": "10s",
                    "count": 1000,
                    "failureLimit": 1000,
                }
            ]
        }
    )
    templates = {("ClusterAnalysisTemplate", "labels"): Found(template, 1)}  # noqa: RUF012

    def observe(self):
        analysis, _ = resolve(spec_of("v2", rollout=BY_WEBHOOK).rollout.analysis, self.templates, "ns")
        judged = self.spec.rollout.model_copy(update={"analysis": analysis})
        self.spec = self.spec.model_copy(update={"rollout": judged})
        return super().observe()

    def count(self, request):
        answer = super().count(request)
        measured = [Measurement(request.until.timestamp(), "Failure", "0.85")]
        return type(answer)(request, answer.metrics, measured={"accuracy": measured})


BY_WEBHOOK = rollout(
    FIRST,
    {"analyse": {"duration": "30m"}},
    LAST,
    analysis={"metrics": METRICS[:1], "templates": [{"name": "labels", "clusterScope": True}]},
)


def test_numbers_of_webhooks_are_told():
    made = begun(BY_WEBHOOK, Measured)
    found, shown = told(made, BY_WEBHOOK, Measured.templates)
    (query,) = found.document()["queries"]
    assert (query["query"], query["last"], query["failed"]) == ("accuracy", "0.85", query["measured"])
    assert query["failed"] > 2
    assert "0.85" in shown


def test_where_nothing_is_judged_it_says_so():
    made = Answering(spec_of("v1", rollout=JUDGED))
    made.settle()
    with pytest.raises(CliError, match="iris: no revision is judged"):
        told(made)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("iris", "--metric", "errorRate"), "--metric needs --prometheus"),
        (("iris", "--points", "2"), "--points needs --prometheus"),
        (("iris", "--candidate", "c0ffee0001"), "--candidate needs --prometheus"),
        (("iris.yaml",), "iris.yaml: a file is judged with --prometheus"),
    ],
)
def test_what_only_a_prometheus_tells_is_refused_without(capsys, more, says):
    assert run(["analyse", *more]) == 2
    assert says in capsys.readouterr().err


def test_an_agreement_stands_among_the_metrics_with_its_pairs():
    made = begun(steps=3)
    house = AnalysisTemplateSpec.model_validate({"agreements": [{"name": "differ", "points": 2}]})
    how = rollout(FIRST, LAST, analysis={"templates": [{"name": "house"}]})
    templates = {("AnalysisTemplate", "house"): Found(house, 3)}
    analysis, _ = resolve(spec_of("v2", rollout=how).rollout.analysis, templates, "ns")
    evidence = Evidence.from_text("", limits_of(analysis), queries_of(analysis), watched=False)
    pairs = PairCounts(200, 3, 180)
    one = Measurement(1.0, "Success", "3 of 200 differ", settled=300, pairs=pairs)
    at = made.status.analysis.since
    request = Request("ns", "iris", "a", "b", (), (), at, timedelta(seconds=10), at)
    evidence = evidence.after(Answer(request, measured={"differ": [one]}), analysis.risk)
    changed = {"evidence": evidence.to_text(), "measured": described(evidence.queries, evidence.tallies, "")}
    found = made.status.analysis.model_copy(update=changed)
    made.status = made.status.model_copy(update={"analysis": found})
    whole, shown = told(made, how, templates)
    [row] = [line for line in shown.splitlines() if line.startswith("differ ")]
    assert "1.50% (3 of 200)" in row
    assert " -  " in row
    assert "2%" in row
    assert whole.document()["queries"] == []
    assert "QUERY" not in shown
    assert found.measured == "differ: 1 looks, last 3 of 200 differ"


def test_what_prometheus_has_no_series_of_is_told_beside_the_verdict(monkeypatch):
    async def nothing(request, address, token):
        return Answer(request, {name: Counted(before=Counted()) for name in request.metrics})

    monkeypatch.setattr(whole_analysis, "_answer", nothing)
    made = begun(steps=1)
    subject = Subject("iris", "ns", spec_of("v2", rollout=JUDGED), made.status, "aaaa", "bbbb", {})
    found = whole_analysis.judge_whole(
        subject, address="http://p", token="", window=timedelta(minutes=5), every=10, until=made.now
    )
    assert (found.verdict, len(found.compared.told)) == ("INSUFFICIENT", 1)
    assert (
        "no series of model iris in namespace ns with revision aaaa or bbbb; is the" in found.compared.told[0]
    )
