"""What can be configured, and what is refused with one clear line."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.capture.columns import read_hmac_key
from mooring_inference.capture.layout import plan_layout
from mooring_inference.capture.sampling import Sample
from mooring_inference.capture.settings import CaptureSettingsError, Drop, Hmac, parse_bucket, parse_capture

from tests.unit.inference.capture.capture_records import (
    SECONDS,
    capturing,
    record,
    rows,
    settings,
    signature,
    spec,
)

KEY = b"a key that is known to this test"
# What a sample of 0.3 holds of r0 to r39 with that key.
DRAWN = [2, 9, 15, 22, 25, 27, 31, 33, 38]


def test_without_a_place_there_is_no_capture():
    assert (
        parse_capture({"capture_uri": None, "capture_sample": None, "route": "stable", "deployment": "iris"})
        is None
    )


def test_all_settings_are_read():
    found = parse_capture(
        {
            "capture_uri": "s3://bucket/prefix",
            "capture_sample": "0.25",
            "capture_features": "a, b,a",
            "capture_mask": "a=drop,x=y=hmac,c=bucket:1,5,10",
            "capture_hmac_key_file": "/keys/hmac",
            "capture_flush_seconds": "5",
            "capture_retention_hours": "48",
            "capture_buffer_bytes": "2097152",
            "capture_spool_dir": "/spool",
            "capture_spool_bytes": "4194304",
            "route": "shadow",
            "deployment": "iris",
        }
    )
    assert found.masks == {"a": Drop(), "x=y": Hmac(), "c": parse_bucket("1,5,10")}
    assert (found.sample, found.features, found.flush_seconds, found.retention_hours) == (
        0.25,
        ("a", "b"),
        5,
        48,
    )
    assert (found.buffer_bytes, found.spool_bytes) == (2 << 20, 4 << 20)
    assert (found.hmac_key_file, found.spool_dir) == (Path("/keys/hmac"), Path("/spool"))
    assert (found.route, found.deployment, str(found.place)) == ("shadow", "iris", found.uri)


@pytest.mark.parametrize(
    ("field", "text", "wanted"),
    [
        ("capture_uri", "relative/path", "an absolute path or an address"),
        ("capture_uri", "ftp://host/x", "an absolute path"),
        ("capture_uri", "s3://", "an absolute path"),
        ("capture_uri", "/", "an absolute path"),
        ("capture_uri", "s3://bucket/../other", "the segment '..'"),
        ("capture_sample", "1.1", "a number from 0 to 1"),
        ("capture_sample", "nan", "a number from 0 to 1"),
        ("capture_sample", "all", "a number from 0 to 1"),
        ("capture_features", ",", "names separated by commas"),
        ("capture_mask", "a", "FEATURE=drop"),
        ("capture_mask", "a=rot13", "FEATURE=drop"),
        ("capture_mask", "=drop", "FEATURE=drop"),
        ("capture_mask", "a=bucket:", "rising numbers"),
        ("capture_mask", "a=bucket:5,1", "rising numbers"),
        ("capture_mask", "a=bucket:1,inf", "rising numbers"),
        ("capture_mask", "a=drop,a=hmac", "each feature once"),
        ("capture_flush_seconds", "0", "seconds from 0.1 to 3600"),
        ("capture_retention_hours", "0.5", "hours, 1 or more"),
        ("capture_buffer_bytes", "1.5", "bytes from 1048576"),
        ("capture_spool_dir", "", "a path"),
        ("route", "canary", "stable, candidate, shadow"),
        ("deployment", " ", "a name"),
    ],
)
def test_a_wrong_value_is_refused_with_its_flag_and_what_is_allowed(field, text, wanted):
    with pytest.raises(CaptureSettingsError) as error:
        parse_capture({"capture_uri": "/data", field: text})
    assert str(error.value).startswith(f"--{field}: expected ")
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_of_capture_without_a_place_are_an_error():
    with pytest.raises(CaptureSettingsError, match="--capture_sample: needs --capture_uri"):
        parse_capture({"capture_sample": "0.5"})


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        (
            {"features": "x[2]"},
            None,
            r"--capture_features: the model has no 'x\[2\]'; it has x, x\[0\], x\[1\]",
        ),
        ({"mask": "z=drop"}, None, r"--capture_mask: the model has no 'z'; it has x, x\[0\], x\[1\], t, i"),
        ({"mask": "i=hmac"}, None, "--capture_mask: i holds lists, and only drop"),
        ({"mask": "t=bucket:1"}, None, "--capture_mask: t is BYTES, and bucket is for numbers"),
        ({}, {"x": ["a"]}, r"feature_names of input x: expected names for shape \[-1, 2\], got 1"),
        ({}, {"x": ["a", "a"]}, "feature_names of input x: a name is there twice"),
        ({}, {"x": ["a", "t"]}, "feature 't' is there twice"),
        ({}, {"x": ["a", "request"]}, "feature 'request' of input x: the name is taken"),
        ({}, {"x": ["a", "prediction.y"]}, "feature 'prediction.y' of input x: the name is taken"),
        ({}, {"w": ["a"]}, "feature_names: the model has no 'w'; it has x, t, i"),
    ],
)
def test_names_that_the_model_does_not_have_are_an_error_when_it_is_loaded(tmp_path, values, names, message):
    sig = signature([spec("x"), spec("t", "BYTES", (None,)), spec("i", shape=(None, 3, 3))])
    with pytest.raises(CaptureSettingsError, match=message):
        plan_layout(sig, settings(tmp_path, **values), names)


def test_rows_too_wide_for_columns_are_lists(tmp_path):
    layout = plan_layout(signature([spec("x", shape=(None, 150_528))]), settings(tmp_path))
    assert layout.inputs[0].width is None


def test_the_key_comes_from_a_file_or_the_environment_and_is_never_shown(tmp_path):
    (tmp_path / "key").write_text("0123456789abcdef\n")
    assert read_hmac_key(tmp_path / "key", {}) == b"0123456789abcdef"
    assert read_hmac_key(None, {"MOORING_CAPTURE_HMAC_KEY": "f" * 16}) == b"f" * 16
    (tmp_path / "short").write_text("secret")
    for path, environ, message in [
        (None, {}, "hmac needs a key"),
        (tmp_path / "absent", {}, "--capture_hmac_key_file: .*absent cannot be read: No such file"),
        (tmp_path / "short", {}, "--capture_hmac_key_file: .* holds 6 bytes; a key needs 16 or more"),
        (None, {"MOORING_CAPTURE_HMAC_KEY": "secret"}, "MOORING_CAPTURE_HMAC_KEY holds 6 bytes"),
    ]:
        with pytest.raises(CaptureSettingsError, match=message) as error:
            read_hmac_key(path, environ)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
@pytest.mark.parametrize(
    "ids",
    [
        [f"5f3a9c-{n:x}" for n in range(100_000)],
        [str(n) for n in range(100_000)],
        [str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in range(100_000)],
    ],
    ids=["counters", "numbers", "uuids"],
)
def test_the_sample_has_its_share_of_ids_of_any_kind(share, ids):
    sample = Sample(share, KEY)
    kept = sum(map(sample.has, ids))
    # Six standard deviations of fair draws.
    assert abs(kept - share * len(ids)) <= 6 * (share * (1 - share) * len(ids)) ** 0.5


def test_the_sample_is_the_same_in_every_process_and_release():
    drawn = [number for number in range(40) if Sample(0.3, KEY).has(f"r{number}")]
    assert drawn == DRAWN


def test_who_does_not_know_the_key_cannot_tell_what_is_in_the_sample():
    ids = [f"r{number}" for number in range(2000)]
    samples = [Sample(0.5, key) for key in (KEY, b"another key, of 32 bytes or more", None, None)]
    drawn = [tuple(map(sample.has, ids)) for sample in samples]
    for one in range(len(drawn)):
        for other in range(one):
            # Two draws that know nothing of each other agree on about half.
            agreed = sum(a == b for a, b in zip(drawn[one], drawn[other], strict=True))
            assert 800 < agreed < 1200


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_sample_holds_the_smaller_one(request_id, first, second):
    small, large = sorted((first, second))
    assert not Sample(small, KEY).has(request_id) or Sample(large, KEY).has(request_id)


def test_requests_and_labels_outside_the_sample_are_left_out_together(tmp_path):
    environ = {"MOORING_CAPTURE_KEY": KEY.decode()}
    # Replicas: one answers, another is told what was true.
    captures = [capturing(tmp_path, sample="0.3", environ=environ) for _ in range(2)]
    ids = [f"r{number}" for number in range(200)]
    for request_id in ids:
        record(captures[0], request_id)
        assert captures[1].labels.record("m", request_id, [1.0])
    assert all(capture.close(SECONDS) for capture in captures)
    wanted = [request_id for request_id in ids if Sample(0.3, KEY).has(request_id)]
    assert 0 < len(wanted) < 200
    assert [row["request"]["id"] for row in rows(tmp_path / "deployment=m")] == wanted
    assert [row["id"] for row in rows(tmp_path / "labels")] == wanted
    assert [capture.counters.sampled_out_total for capture in captures] == [200 - len(wanted)] * 2


def test_without_a_shared_key_no_label_of_a_kept_request_is_lost(tmp_path):
    captures = [capturing(tmp_path, sample="0.3") for _ in range(2)]
    ids = [f"r{number}" for number in range(200)]
    for request_id in ids:
        record(captures[0], request_id)
        assert captures[1].labels.record("m", request_id, [1.0])
    assert all(capture.close(SECONDS) for capture in captures)
    assert 20 < len(rows(tmp_path / "deployment=m")) < 100
    assert [row["id"] for row in rows(tmp_path / "labels")] == ids


def test_the_sample_s_key_comes_from_the_file_then_from_the_environment(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    environ = {"MOORING_CAPTURE_KEY": "another key, of 32 bytes or more"}
    capture = capturing(tmp_path / "kept", sample="0.3", key_file=str(file), environ=environ)
    for number in range(40):
        record(capture, f"r{number}")
    assert capture.close(SECONDS)
    kept = [row["request"]["id"] for row in rows(tmp_path / "kept" / "deployment=m")]
    assert kept == [f"r{number}" for number in DRAWN]
    file.write_bytes(b"short")
    with pytest.raises(
        CaptureSettingsError, match=r"--capture_key_file: .* holds 5 bytes; a key needs 16 or more"
    ):
        capturing(tmp_path / "kept", key_file=str(file))
