"""A document of a run is believed only when it is exactly one of those there are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.judging import Findings
from mooring_artifacts.run_documents import (
    SCHEMA_VERSION,
    DriftReport,
    RunFailure,
    describe_failure,
    parse_drift_report,
    parse_verdict,
)
from mooring_components.verdicts import Subject, make_verdict, write_verdict
from mooring_operator.adapters.documents import DocumentInvalid, DocumentsUnavailable, StoredDocuments

DIGEST = "sha256:" + "a" * 64
GATES = [{"metric": "accuracy", "min": 0.9}, {"metric": "rmse", "max": 1}]
VERDICT = make_verdict(
    "r", Subject("s3://b/m", DIGEST, DIGEST), Findings({"accuracy": 0.5, "rows": 3.0}), GATES
)
FEATURE = {
    "name": "age",
    "slice": "",
    "kind": "number",
    "rows": 9,
    "drifted": True,
    "ks": {"statistic": 0.5, "pValue": 0.001},
    "psi": None,
    "variation": {"statistic": 0.25, "pValue": 0.001},
    "missing": 0.1,
    "reason": "distance 0.500 (p 0.001)",
    "hint": "9 different integers",
    "eValue": 3.5,
    "test": "Rank",
    "missingBefore": 0.05,
    "likelihoodRatio": {"statistic": 12.5, "pValue": 0.001},
    "jensenShannon": 0.25,
    "wasserstein": 3.5,
    "unseen": 0.0,
    "outOfRange": 0.125,
}
CHANGE = {"name": "zip", "change": "TypeChanged", "baseline": "int64", "window": "string"}
REPORT = {
    "schemaVersion": 1,
    "runId": "r",
    "baselineRows": 10,
    "windowRows": 10,
    "windowDigest": DIGEST,
    "driftedFeatures": ["age"],
    "features": [FEATURE],
    "schemaChanges": [CHANGE],
    "slices": [{"name": "dach", "baselineRows": 3, "windowRows": 2, "problem": ""}],
    "page": True,
}


def verdict(**changes):
    return json.dumps({**json.loads(VERDICT.to_json()), **changes}).encode()


def report(**changes):
    return json.dumps({**REPORT, **changes}).encode()


async def test_what_the_component_writes_is_what_the_operator_reads(tmp_path):
    uri = f"file://{tmp_path}/a b.json".replace(" ", "%20")
    write_verdict(VERDICT, uri)
    assert await StoredDocuments().verdict(uri) == VERDICT


async def test_no_document_is_none(tmp_path):
    assert await StoredDocuments().verdict(f"file://{tmp_path}/none.json") is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schemaVersion": 2}, "schemaVersion"),
        ({"passed": "yes"}, "passed"),
        ({"passed": 1}, "passed"),
        ({"passed": True}, "passed is True with 2 violations"),
        ({"violations": []}, "passed is False with 0 violations"),
        ({"metrics": {"accuracy": "0.5"}}, "metrics.accuracy"),
        ({"metrics": {"accuracy": None}}, "metrics.accuracy"),
        ({"metrics": {f"m{i}": 0.0 for i in range(49)}}, "metrics"),
        ({"metrics": {"rate of\nlines": 1.0}}, "metrics"),
        ({"modelDigest": "sha256:xyz"}, "modelDigest"),
        ({"violations": [{"metric": "accuracy"}]}, "violations.0.value"),
        ({"signedBy": "me"}, "signedBy"),
        ({"run_id": "r"}, "run_id"),
    ],
)
def test_a_verdict_of_another_form_is_invalid_and_the_field_is_named(changes, field):
    with pytest.raises(InputError, match=field):
        parse_verdict(verdict(**changes))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schemaVersion": 2}, "schemaVersion"),
        ({"driftedFeatures": []}, "not the features that drifted"),
        ({"features": [{**FEATURE, "missing": 2}]}, "features.0.missing"),
        ({"features": [{**FEATURE, "ks": {"statistic": 0.5, "pValue": 7}}]}, "features.0.ks.pValue"),
        ({"features": [{**FEATURE, "reason": "x" * 1001}]}, "features.0.reason"),
        ({"features": [{**FEATURE, "test": "a test of\nlines"}]}, "features.0.test"),
        ({"features": [{**FEATURE, "jensenShannon": 1.5}]}, "features.0.jensenShannon"),
        ({"features": [{**FEATURE, "wasserstein": -1}]}, "features.0.wasserstein"),
        ({"features": [{**FEATURE, "outOfRange": "all"}]}, "features.0.outOfRange"),
        ({"windowRows": -1}, "windowRows"),
        ({"features": [{**FEATURE, "slice": "west"}]}, "a feature is of a slice that there is none of"),
        ({"slices": REPORT["slices"] * 11}, "slices"),
        ({"schemaChanges": [{**CHANGE, "change": "Renamed"}]}, "schemaChanges.0.change"),
        ({"schemaChanges": [{**CHANGE, "window": "x" * 201}]}, "schemaChanges.0.window"),
        ({"schemaChanges": [CHANGE] * 401}, "schemaChanges"),
        ({"note": ""}, "note"),
    ],
)
def test_a_report_of_another_form_is_invalid_and_the_field_is_named(changes, field):
    with pytest.raises(InputError, match=field):
        parse_drift_report(report(**changes))


def test_a_report_survives_being_written_and_read():
    found = parse_drift_report(report())
    assert isinstance(found, DriftReport)
    assert json.loads(found.to_json()) == {**REPORT, "performance": None, "operation": None, "arrivals": None}


def test_a_report_of_a_component_that_knows_less_is_read():
    without = {name: value for name, value in REPORT.items() if name != "schemaChanges"}
    feature = {name: value for name, value in FEATURE.items() if name not in ("variation", "hint", "eValue")}
    found = parse_drift_report(json.dumps({**without, "features": [feature]}).encode())
    assert found.schema_changes == []
    assert (found.features[0].variation, found.features[0].hint) == (None, "")
    assert found.features[0].e_value is None


@pytest.mark.parametrize("parse", [parse_verdict, parse_drift_report])
@given(run_id=st.text(max_size=200), message=st.text(max_size=5000))
def test_a_failure_stands_in_the_place_of_either_document_on_one_line(parse, run_id, message):
    failure = describe_failure(run_id, "RunFailed", message)
    assert len(failure.error.message.splitlines()) <= 1
    assert parse(failure.to_json()) == failure


@pytest.mark.parametrize(
    ("error", "field"),
    [
        ({"reason": "not camel", "message": ""}, "error.reason"),
        ({"reason": "RunFailed", "message": "x" * 1001}, "error.message"),
        ({"reason": "RunFailed"}, "error.message"),
        ("it broke", "error"),
    ],
)
def test_a_failure_of_another_form_is_invalid(error, field):
    document = {"schemaVersion": SCHEMA_VERSION, "runId": "r", "error": error}
    with pytest.raises(InputError, match=field):
        parse_verdict(json.dumps(document).encode())


def test_a_verdict_with_an_error_beside_it_is_neither():
    with pytest.raises(InputError, match="not a verdict"):
        parse_verdict(verdict(error={"reason": "RunFailed", "message": "no"}))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"error"', b'["error"]', b'{"passed": true}', b"\xff", b"[" * 100_000, b'{"a": NaN}'],
)
async def test_what_is_no_verdict_at_all_is_invalid_and_the_uri_is_named(content, tmp_path):
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(DocumentInvalid, match=r"v\.json: not a verdict"):
        await StoredDocuments().verdict(f"file://{tmp_path}/v.json")


def test_a_foreign_key_of_any_length_is_shown_in_part():
    with pytest.raises(InputError) as error:
        parse_verdict(verdict(**{"k\n" * 9999: 1}))
    assert len(str(error.value)) < 500
    assert "\n" not in str(error.value)


async def test_a_document_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "v.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(DocumentInvalid, match="1048577 bytes are too many"):
        await StoredDocuments().verdict(f"file://{tmp_path}/v.json")


@pytest.mark.parametrize(
    "uri",
    [
        "/tmp/v.json",
        "http://h/v.json",
        "s3:///v.json",
        "file://host/v.json",
        "s3://b/",
        "",
        "s3://b/../v.json",
    ],
)
async def test_a_uri_that_cannot_hold_a_verdict_is_invalid(uri):
    with pytest.raises(DocumentInvalid, match="document"):
        await StoredDocuments().verdict(uri)


async def test_a_store_that_does_not_answer_is_no_verdict_about_the_model(monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DocumentsUnavailable, match=r"s3://b/v\.json"):
        await StoredDocuments().verdict("s3://b/v.json")


def test_a_failure_is_told_apart_from_a_verdict():
    assert isinstance(parse_verdict(describe_failure("r", "RunFailed", "no").to_json()), RunFailure)
    assert parse_verdict(VERDICT.to_json()) == VERDICT


def test_any_address_that_a_resource_may_have_fits_into_a_verdict():
    assert make_verdict("r", Subject("s3://b/" + "m" * 1017, DIGEST, DIGEST), Findings({}), []).passed
