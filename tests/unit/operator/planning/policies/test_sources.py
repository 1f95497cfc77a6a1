"""Which addresses lie where models may come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.policies.sources import covers, parts


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("s3://team-a", "s3://team-a/models/v1"),
        ("s3://team-a/", "s3://team-a/models/v1/"),
        ("s3://team-a/models", "s3://team-a/models"),
        ("s3://team-a/models/", "s3://team-a/models/v1"),
        ("models:/team-a-", "models:/team-a-digits@champion"),
        ("models:/digits@", "models:/digits@champion"),
        ("models:/", "models:/anything/3"),
        ("oci://registry.example:5000/models", "oci://registry.example:5000/models/digits:v2"),
        ("pvc://models", "pvc://models/digits"),
        ("hf://acme", "hf://acme/digits"),
        ("https://models.example/public/", "https://models.example/public/digits.onnx"),
        ("file:///models", "file:///models/digits"),
    ],
)
def test_what_lies_at_or_below_a_source(source, address):
    assert covers(source, address)


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("s3://team-a", "s3://team-ab/models"),
        ("s3://team-a/models", "s3://team-a/models-old/v1"),
        ("s3://team-a/models", "s3://team-a"),
        ("s3://team-a", "gs://team-a/models"),
        ("s3://team-a/models", "s3://team-a/models/../../team-b/v1"),
        ("s3://team-a/models", "s3://team-a/models/./v1"),
        ("s3://team-a/models", "s3://team-a/models//v1"),
        ("s3://team-a/models", "s3://team-a/models/%2e%2e/v1"),
        ("s3://team-a/models", "s3://team-a/models/%252e%252e/v1"),
        ("s3://team-a/models", "s3://team-a/models%2Fv1"),
        ("s3://team-a/models", "s3://team-a/models/v1?versionId=3"),
        ("https://models.example", "https://models.example@evil.example/digits"),
        ("https://models.example", "https://models.example.evil.example/digits"),
        ("https://models.example", "https://models.example:8443/digits"),
        ("https://models.example/public", "https://models.example/public#/digits"),
        ("https://models.example/public", "https://models.example/public\\..\\private"),
        ("models:/team-a-", "models:/team-b-digits/1"),
        ("models:/team-a-", "s3://team-a-digits/1"),
        ("s3://team-a", "models:/s3://team-a/x"),
        ("s3:///", "s3://team-a/models"),
    ],
)
def test_what_does_not(source, address):
    assert not covers(source, address)


ADDRESSES = st.from_regex(r"s3://[a-c]{0,2}(/[a-c.%2e/]{0,8})?", fullmatch=True) | st.text(max_size=20)


@given(ADDRESSES, ADDRESSES)
def test_a_source_covers_only_what_begins_with_its_parts(source, address):
    if covers(source, address) and not source.startswith("models:/"):
        outer, inner = parts(source), parts(address)
        assert inner[: len(outer)] == outer
        assert ".." not in inner
        assert covers(source, source)
        assert covers(source, address + ("" if address.endswith("/") else "/below"))
