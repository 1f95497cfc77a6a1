"""A reference names one version, says so as it was written, or is refused in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.data_versions.references import (
    Dataset,
    is_latest,
    is_reference,
    parse_dataset,
    parse_reference,
    pin,
)
from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import parse

HEX = "0123456789abcdef" * 4
STORES = st.sampled_from(["s3://b", "s3://b/v", "gs://b/a/c", "az://c/x", "file:///v", "file:///a%20b"])
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True)
SELECTORS = st.sampled_from(["latest", "1", "999999", f"sha256:{HEX}", f"sha256:{HEX[:8]}"])


@given(STORES, NAMES, SELECTORS)
def test_what_is_parsed_is_written_as_it_was(store, name, selector):
    written = f"{store}/{name}@{selector}"
    found = parse_reference(written)
    assert (str(found), found.dataset.name, found.selector) == (written, name, selector)
    assert is_reference(written)
    assert str(parse_dataset(str(found.dataset))) == str(found.dataset)


def test_the_store_may_be_a_whole_bucket():
    assert parse_dataset("s3://b/iris") == Dataset(parse("s3://b", whole_bucket=True), "iris")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b/v/iris", "s3://b/v/iris@", "s3://b/v/iris@0", "s3://b/v/iris@01", "s3://b/v/iris@1000000",
        "s3://b/v/iris@newest", "s3://b/v/iris@sha256:0123", f"s3://b/v/iris@sha256:{HEX}0",
        f"s3://b/v/iris@sha256:{HEX.upper()}", "s3://b/v/@latest", "s3://b/v/iris@1.csv", "s3://b/iris@1/x",
        "file:///v/iris%401", "iris@latest", "", "@latest",
    ],
)  # fmt: skip
def test_other_addresses_name_no_version(uri):
    assert not is_reference(uri)
    with pytest.raises(InputError, match="names no version of a dataset: write STORE/NAME@latest"):
        parse_reference(uri)


@pytest.mark.parametrize(
    "name", ["Iris", "iris ", "-iris", "iris-", "i\u00e4ris", "a" * 64, "..", "a@b", "$(x)"]
)
def test_a_name_with_odd_characters_is_refused(name):
    with pytest.raises(InputError) as refused:
        parse_dataset(f"s3://b/v/{name}", "STORE/NAME")
    assert "STORE/NAME 's3://b/v/" in str(refused.value)


@pytest.mark.parametrize("store", ["s3://b/../v", "http://b/v", "s3:///v", "s3://b//v", "s3://b/v?x=1"])
def test_the_store_is_an_address_like_any_other(store):
    with pytest.raises(InputError):
        parse_reference(f"{store}/iris@latest")


def test_only_the_newest_is_pinned():
    assert is_latest("s3://b/v/iris@latest")
    assert not any(map(is_latest, ("s3://b/v/iris@3", "s3://b/rows.csv", "s3://b/latest", "")))
    digest = f"sha256:{HEX}"
    assert pin("s3://b/v/iris@latest", digest) == f"s3://b/v/iris@{digest}"
    for other in ("s3://b/v/iris@3", f"s3://b/v/iris@sha256:{HEX[:8]}", "s3://b/rows.csv", "s3://b/latest"):
        assert pin(other, digest) == other
