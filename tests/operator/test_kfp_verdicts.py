"""A verdict is believed only when it is exactly one."""

import json
from dataclasses import asdict

import pytest
from mooring_components.verdicts import make_verdict, write_verdict
from mooring_operator.adapters.verdicts import ObjectStoreVerdicts, VerdictInvalid, parse_verdict

DIGEST = "sha256:" + "a" * 64
GATES = [{"metric": "accuracy", "min": 0.9}, {"metric": "rmse", "max": 1}]


def document(**changes):
    verdict = asdict(make_verdict("r", "s3://b/m", DIGEST, {"accuracy": 0.5, "rows": 3.0}, GATES))
    return json.loads(json.dumps({**verdict, **changes}))


async def test_what_the_component_writes_is_what_the_operator_reads(tmp_path):
    uri = f"file://{tmp_path}/a b.json".replace(" ", "%20")
    write_verdict(make_verdict("r", "s3://b/m", DIGEST, {"accuracy": 0.5, "rows": 3.0}, GATES), uri)
    verdict = await ObjectStoreVerdicts().read(uri)
    assert verdict.model_dump() == document()


async def test_no_document_is_none(tmp_path):
    assert await ObjectStoreVerdicts().read(f"file://{tmp_path}/none.json") is None


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
        ({"modelDigest": "sha256:xyz"}, "modelDigest"),
        ({"violations": [{"metric": "accuracy"}]}, "violations.0.value"),
        ({"signedBy": "me"}, "signedBy"),
    ],
)
def test_a_document_of_another_form_is_invalid_and_the_field_is_named(changes, field):
    with pytest.raises(VerdictInvalid, match=field):
        parse_verdict(json.dumps(document(**changes)).encode(), "s3://b/v.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"passed": true}', b"\xff"])
def test_what_is_no_verdict_at_all_is_invalid_and_the_uri_is_named(content):
    with pytest.raises(VerdictInvalid, match=r"s3://b/v\.json: not a verdict"):
        parse_verdict(content, "s3://b/v.json")


async def test_a_document_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "v.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(VerdictInvalid, match="1048577 bytes are too many"):
        await ObjectStoreVerdicts().read(f"file://{tmp_path}/v.json")


@pytest.mark.parametrize(
    "uri", ["/tmp/v.json", "http://h/v.json", "s3:///v.json", "file://host/v.json", "s3://b/", ""]
)
async def test_a_uri_that_cannot_hold_a_verdict_is_invalid(uri):
    with pytest.raises(VerdictInvalid, match="verdict URI"):
        await ObjectStoreVerdicts().read(uri)
