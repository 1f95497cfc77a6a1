"""Evaluations are asked for with places for their answers, and what they wrote is read."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from mooring_artifacts.drift_question import parse_question
from mooring_artifacts.run_documents import parse_drift_report
from mooring_operator.adapters.documents import StoredDocuments
from mooring_operator.adapters.signed_urls import SignedUrls
from mooring_operator.api import DriftMonitorSpec
from mooring_operator.api.drift_status import EvaluationRun
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.drift_runs import DriftRuns, ask, read_result

RUN = "0f3b8f5e-0000-5000-8000-000000000000"
OWNER = Owner("team", "traffic", "9a1f2f6e-0000-4000-8000-000000000000", 1)
SPEC = DriftMonitorSpec.model_validate(
    {"target": {"name": "digits"}, "baseline": {"uri": "s3://b/base"}, "window": {"uri": "s3://b/window"}}
)
REPORT = {
    "schemaVersion": 1,
    "runId": RUN,
    "baselineRows": 10,
    "windowRows": 10,
    "windowDigest": f"sha256:{0:064x}",
    "driftedFeatures": [],
    "features": [],
}


class Launched:
    narrow = False
    requests = ()

    async def launch(self, request):
        self.requests = (*self.requests, request)


@pytest.fixture
def launched():
    return Launched()


@pytest.fixture
def runs(launched, tmp_path):
    answers = Answers(StoredDocuments(), SignedUrls(), f"file://{tmp_path}")
    return DriftRuns(launched, answers, timedelta(hours=1))


async def test_a_run_is_told_where_its_document_and_its_page_go(runs, launched, tmp_path):
    run = EvaluationRun(run_id=RUN, generation=1, started_at=datetime(2026, 3, 1, tzinfo=UTC))
    await runs.launch(OWNER, SPEC, run)
    parameters, folder = launched.requests[0].parameters, f"file://{tmp_path}/team/traffic/drift/{RUN}"
    assert parameters["report_uri"] == f"{folder}/report.json"
    assert parameters["page_uri"] == f"{folder}/report.html"


@pytest.mark.parametrize(("told", "file"), [({"page": True}, "report.html"), ({"page": False}, ""), ({}, "")])
async def test_a_page_counts_where_the_document_says_so(runs, tmp_path, told, file):
    folder = tmp_path / "team" / "traffic" / "drift" / RUN
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({**REPORT, **told}))
    found = await runs.result(OWNER, RUN)
    assert found.page == (f"file://{folder}/{file}" if file else "")


async def test_sizes_of_a_difference_come_with_the_features(runs, tmp_path):
    folder = tmp_path / "team" / "traffic" / "drift" / RUN
    folder.mkdir(parents=True)
    sizes = {
        "test": "Rank",
        "missingBefore": 0.05,
        "jensenShannon": 0.123456789,
        "wasserstein": 1.23456789e-12,
        "unseen": None,
        "outOfRange": 0.25,
    }
    feature = {"name": "age", "kind": "number", "rows": 9, "drifted": True, "ks": None, "psi": None}
    feature |= {"missing": 0.1, "reason": "rank shift", **sizes}
    told = {"driftedFeatures": ["age"], "features": [feature]}
    (folder / "report.json").write_text(json.dumps({**REPORT, **told}))
    [found] = (await runs.result(OWNER, RUN)).features
    assert (found.test, found.missing_before, found.out_of_range) == ("Rank", 0.05, 0.25)
    assert (found.jensen_shannon, found.wasserstein, found.unseen) == (0.123457, 1.23457e-12, None)


async def test_estimates_of_amounts_come_with_what_to_know_of_them(runs, tmp_path):
    folder = tmp_path / "team" / "traffic" / "drift" / RUN
    folder.mkdir(parents=True)
    estimate = {
        "rows": 900,
        "reference": 5000,
        "metric": {"metric": "mae", "value": 1.5},
        "others": [{"metric": "rmse", "value": 2.25}],
        "hint": "3.0% of the rows are like no labelled row",
    }
    performance = {"problem": {"reason": "AwaitingLabels", "message": "later"}, "estimate": estimate}
    (folder / "report.json").write_text(json.dumps({**REPORT, "performance": performance}))
    found = (await runs.result(OWNER, RUN)).performance.estimate
    assert [(each.metric, each.value) for each in (found.metric, *found.others)] == [
        ("mae", 1.5),
        ("rmse", 2.25),
    ]
    assert found.message == "3.0% of the rows are like no labelled row"


def test_slices_are_asked_and_what_was_found_of_them_is_told_by_their_names():
    slices = [{"name": "dach", "column": "country", "values": ["DE", "AT"]}]
    question = ask(
        SPEC.model_validate({**SPEC.model_dump(by_alias=True, exclude_none=True), "slices": slices})
    )
    assert question["slices"] == slices
    assert [one.name for one in parse_question(question).slices] == ["dach"]
    feature = {
        "kind": "number",
        "rows": 90,
        "missing": 0.0,
        "reason": "",
        "ks": {"statistic": 0.3, "pValue": 0.0001},
        "psi": None,
    }
    report = {
        "schemaVersion": 1,
        "runId": RUN,
        "baselineRows": 900,
        "windowRows": 400,
        "windowDigest": "sha256:" + "a" * 64,
        "driftedFeatures": ["age"],
        "features": [
            {**feature, "name": "age", "drifted": False},
            {**feature, "name": "age", "drifted": True, "slice": "dach"},
        ],
        "slices": [
            {"name": "dach", "baselineRows": 200, "windowRows": 90, "problem": ""},
            {"name": "new", "baselineRows": 300, "windowRows": 9, "problem": "few\nrows"},
        ],
    }
    found = read_result(parse_drift_report(json.dumps(report).encode()))
    assert [(each.title, each.drifted) for each in found.features] == [
        ("age in slice dach", True),
        ("age", False),
    ]
    assert found.columns == (1, 1)
    assert [one.model_dump() for one in found.slices] == [
        {"name": "dach", "baseline_rows": 200, "window_rows": 90, "features_drifted": 1, "message": ""},
        {
            "name": "new",
            "baseline_rows": 300,
            "window_rows": 9,
            "features_drifted": 0,
            "message": "few rows",
        },
    ]


def test_plain_rules_and_settings_of_features_are_asked_as_the_spec_has_them():
    said = {"detectors": {"plain": {"psi": 0.25}}, "featureSettings": [{"match": "x*", "type": "Boolean"}]}
    question = ask(SPEC.model_validate({**SPEC.model_dump(by_alias=True, exclude_none=True), **said}))
    asked = {"ks": {"alpha": 0.05}, "psi": {"threshold": 0.25, "bins": 10}, "plain": True}
    assert {name: question[name] for name in asked} == asked
    assert question["settings"] == [{"match": "x*", "type": "Boolean"}]
    assert parse_question(question).declared.type_of("x1") == "Boolean"
    assert not {"plain", "settings"} & set(ask(SPEC))
