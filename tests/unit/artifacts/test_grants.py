"""What an administrator's grants let the operator read."""

from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.grants import Grants, line_for_alias, line_to_add, parse_grants

GRANTS = parse_grants(
    """
    - namespaces: [team-a, team-a-*]
      addresses: ["s3://team-a/", "s3://shared/models/digits", "gs://whole", "models:/team-a-"]
    - namespaces: ["*"]
      addresses: ["az://public/", "models:/public-"]
    - {namespaces: [platform], addresses: ["s3://", "models:/"]}
    """
)


@pytest.mark.parametrize(
    ("namespace", "address"),
    [
        ("team-a", "s3://team-a/model"),
        ("team-a", "s3://team-a"),
        ("team-a-dev", "s3://team-a/deep/model.onnx"),
        ("team-a", "s3://shared/models/digits"),
        ("team-a", "s3://shared/models/digits/v2/model.onnx"),
        ("team-a", "gs://whole/any"),
        ("team-a", "models:/team-a-digits@champion"),
        ("team-a", "models:/team-a-digits/3"),
        ("anybody", "az://public/model"),
        ("anybody", "models:/public-digits/1"),
        ("platform", "s3://team-b/model"),
        ("platform", "models:/anything@x"),
    ],
)
def test_what_is_granted_may_be_read(namespace, address):
    assert GRANTS.allows(namespace, address)


@pytest.mark.parametrize(
    ("namespace", "address"),
    [
        ("team-b", "s3://team-a/model"),
        ("team-ab", "s3://team-a/model"),
        ("my-team-a", "s3://team-a/model"),
        ("team-a", "s3://team-ab/model"),
        ("team-a", "s3://team"),
        ("team-a", "gs://team-a/model"),
        ("team-a", "s3://shared/models/digits2"),
        ("team-a", "s3://shared/models"),
        ("team-a", "s3://team-a/../team-b/model"),
        ("team-a", "s3://team-a/%2e%2e/team-b"),
        ("team-a", "s3://team-a//model"),
        ("team-a", "s3://team-b/?x=s3://team-a/"),
        ("team-a", "s3://user@team-a/model"),
        ("team-a", "S3://team-a/model"),
        ("team-a", "models:/team-b-digits/1"),
        ("team-a", "models://team-a-digits"),
        ("team-a", "https://team-a/model"),
        ("team-a", "file:///etc/passwd"),
        ("platform", "gs://any/model"),
        ("platform", "file:///etc/passwd"),
        ("platform", ""),
    ],
)
def test_what_is_not_granted_may_not(namespace, address):
    assert not GRANTS.allows(namespace, address)


def test_nothing_is_granted_by_default():
    for grants in (Grants(), parse_grants(""), parse_grants("[]"), parse_grants("# nothing yet")):
        assert not grants.allows("team-a", "s3://team-a/model")
        assert not grants.allows("team-a", "file:///model")


def test_files_are_for_development():
    grants = parse_grants("", files=True)
    assert grants.allows("team-a", "file:///models/digits")
    assert not grants.allows("team-a", "s3://team-a/model")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("team-a: s3://team-a/", "the grants are no list"),
        ("- s3://team-a/", "grants[0] 's3://team-a/' is no grant"),
        ("- {namespaces: [a]}", "grants[0].addresses None is not allowed"),
        ('- {namespaces: a, addresses: ["s3://a/"]}', "grants[0].namespaces 'a' is not allowed"),
        ('- {namespaces: [], addresses: ["s3://a/"]}', "grants[0].namespaces [] is not allowed"),
        ('- {namespaces: [A_b], addresses: ["s3://a/"]}', "'A_b' is no namespace"),
        ('- {namespaces: ["a/b"], addresses: ["s3://a/"]}', "'a/b' is no namespace"),
        ('- {namespaces: [a], addresses: ["s3://a/*"]}', "no *"),
        ('- {namespaces: [a], addresses: ["s3://a/../b"]}', "the segment '..'"),
        ('- {namespaces: [a], addresses: ["ftp://a/b"]}', "its scheme is none of"),
        ('- {namespaces: [a], addresses: ["file:///models"]}', "MOORING_FILE_ADDRESSES"),
        ('- {namespaces: [a], addresses: ["models:/a@b"]}', "the beginning of a name"),
        ('- {namespaces: [a], adresses: ["s3://a/"]}', "unknown key 'adresses'"),
        ("- {", "the grants are no YAML"),
        ("- {namespaces: [a], aliases: []}", "grants[0].aliases [] is not allowed"),
        *(
            (f'- {{namespaces: [a], aliases: ["{alias}"]}}', f"grants[0].aliases: '{alias}' is not allowed")
            for alias in ("s3://a/", "champion", "models:/a/1", "models:/*", "models:/a@*", "models:/a@b/c")
        ),
    ],
)
def test_grants_that_cannot_be_meant_are_refused(text, said):
    with pytest.raises(InputError) as raised:
        parse_grants(text)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    ["s3://bucket/model", "gs://b/x.onnx"],
)
def test_line_of_a_refusal_grants_just_that(address):
    grants = parse_grants(line_to_add("team-a", address))
    assert grants.allows("team-a", address)
    assert not grants.allows("team-b", address)
    assert not grants.allows("team-a", f"{address}-2")
    assert not grants.allows("team-a", "s3://other/model")
    assert not grants.allows("team-a", "models:/other")


@pytest.mark.parametrize("name", ["models:/digits", 'models:/a","models', "models:/a'#b\\", "models:/é"])
def test_line_of_a_refusal_grants_one_registered_model(name):
    grants = parse_grants(line_to_add("team-a", name))
    for address in (f"{name}/1", f"{name}@champion"):
        assert grants.allows("team-a", address)
        assert not grants.allows("team-b", address)
    for other in (f"{name}-secret/1", f"{name}2@champion", "models:/other/1", "s3://other/model"):
        assert not grants.allows("team-a", other)


@given(st.text(max_size=40), st.text(max_size=30))
def test_nothing_escapes_a_grant(tail, namespace):
    grants = parse_grants('- {namespaces: [team-a], addresses: ["s3://team-a/models/"]}')
    for address in (f"s3://team-a/models/{tail}", f"s3://team-a/models{tail}", f"s3://team-a{tail}", tail):
        if grants.allows(namespace, address):
            assert namespace == "team-a"
            assert address.startswith("s3://team-a/models")
            rest = address.removeprefix("s3://team-a/models")
            assert not rest or rest[0] == "/"
            assert ".." not in rest.split("/")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=8))
def test_any_document_is_grants_or_an_error(document):
    with suppress(InputError):
        assert not parse_grants(yaml.safe_dump(document)).allows("team-a", "s3://team-a/model")


@pytest.mark.parametrize(
    ("granted", "moved"),
    [
        ("models:/", {"digits@champion", "digits-2@champion", "iris@champion", "digits@challenger"}),
        ("models:/digits", {"digits@champion", "digits-2@champion", "digits@challenger"}),
        ("models:/digits@", {"digits@champion", "digits@challenger"}),
        ("models:/digits@champion", {"digits@champion"}),
    ],
)
def test_aliases_that_may_be_moved_are_granted_apart(granted, moved):
    grants = parse_grants(f'- {{namespaces: [team-*], aliases: ["{granted}"]}}')
    asked = ["digits@champion", "digits@champion2", "digits-2@champion", "iris@champion", "digits@challenger"]
    may = {each for each in asked if grants.lets_move("team-a", *each.split("@"))}
    assert may - {"digits@champion2"} == moved
    assert ("digits@champion2" in may) == (granted != "models:/digits@champion")
    assert not grants.lets_move("other", "digits", "champion")
    # What may be moved may not be read for that, nor the other way round.
    assert not grants.allows("team-a", "models:/digits/1")
    reads = parse_grants('- {namespaces: [team-a], addresses: ["models:/"]}')
    assert not reads.lets_move("team-a", "digits", "champion")


@pytest.mark.parametrize("name", ["digits", 'a","models', "a'#b\\", "é"])
def test_line_of_a_refusal_grants_one_alias(name):
    grants = parse_grants(line_for_alias("team-a", name, "champion"))
    assert grants.lets_move("team-a", name, "champion")
    assert not grants.lets_move("team-a", f"{name}2", "champion")
    assert not grants.lets_move("team-a", name, "champion2")
    assert not grants.lets_move("team-b", name, "champion")
