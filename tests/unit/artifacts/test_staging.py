"""Addresses of what a registry hands out, and of its copies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.staging import is_proxied, path_of_proxied, staged_uri
from mooring_artifacts.uris import find_fault

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize("written", ["/1/models/m-1", "1/models/m-1", "///1/models/m-1/", "/1/models/m-1/"])
def test_the_path_is_what_is_below_the_servers_root(written):
    assert path_of_proxied(f"mlflow-artifacts:{written}") == "1/models/m-1"


@given(st.text())
def test_whatever_is_written_stays_below_the_root(text):
    uri = f"mlflow-artifacts:/{text}"
    assert is_proxied(uri)
    try:
        path = path_of_proxied(uri)
    except InputError:
        return
    assert not find_fault(path)
    assert not path.startswith("/")


def test_a_copy_has_the_name_of_its_content():
    assert staged_uri("s3://models/team-a/", DIGEST) == f"s3://models/team-a/{'ab' * 32}"
    for other in ("../x", "sha256:a/b", ""):
        with pytest.raises(InputError):
            staged_uri("s3://models/team-a", other)
