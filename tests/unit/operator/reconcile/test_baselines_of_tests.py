"""The rows that a revision was tested on are the baseline of its monitors, whatever came after."""

import pytest
from mooring_operator.api.rollout_status import CIStatus, Revision
from mooring_operator.planning.drift.sources import KnownTest
from mooring_operator.reconcile.drift_targets import kept_by

DIGEST = "sha256:" + "0123456789abcdef" * 4


def baseline_of(uri, digest, verdict="Passed"):
    tested = CIStatus(
        run_id="0" * 36,
        revision="aaaaaaaaaa",
        verdict=verdict,
        started_at="2026-11-01T00:00:00Z",
        test_data_digest=digest,
    )
    stable = Revision(
        revision="aaaaaaaaaa", model_uri="s3://m/1", storage_uri="s3://m/1", format="onnx", tested=tested
    )
    found = kept_by(stable, {"ci": {"testData": {"uri": uri}}}).tested_on
    return found and found.uri


@pytest.mark.parametrize(
    ("uri", "digest", "read"),
    [
        ("s3://data/iris@latest", DIGEST, f"s3://data/iris@{DIGEST}"),
        ("s3://data/iris@latest", "", "s3://data/iris@latest"),
        ("s3://data/iris@3", DIGEST, "s3://data/iris@3"),
        ("s3://data/rows/", DIGEST, "s3://data/rows/"),
    ],
)
def test_the_version_that_was_the_newest_then_is_read(uri, digest, read):
    assert baseline_of(uri, digest) == read


def test_a_test_that_failed_has_no_rows():
    assert baseline_of("s3://data/iris@latest", DIGEST, "Failed") is None


def test_what_the_test_measured_is_what_labels_are_compared_with():
    tested = CIStatus(
        run_id="0" * 36,
        revision="aaaaaaaaaa",
        verdict="Passed",
        started_at="2026-11-01T00:00:00Z",
        metrics={"accuracy": 0.93, "rows": 2000, "latencyP95Ms": 3},
    )
    stable = Revision(
        revision="aaaaaaaaaa", model_uri="s3://m/1", storage_uri="s3://m/1", format="onnx", tested=tested
    )
    data = {"uri": "s3://d/t", "output": "p", "classes": ["a", "b"], "task": "Classification"}
    known = kept_by(stable, {"ci": {"testData": data}}).tested
    assert (known.figures, known.rows) == ({"accuracy": 0.93}, 2000)
    assert (known.output, known.classes, known.task) == ("p", ["a", "b"], "Classification")
    failed = stable.model_copy(update={"tested": tested.model_copy(update={"verdict": "Failed"})})
    assert kept_by(failed, {}).tested == KnownTest()
