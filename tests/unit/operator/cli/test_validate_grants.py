"""``mooring validate --grants``: what the operator would look up, and what it would not."""

import json

import pytest

from tests.unit.cli_world import invoke

GRANTS = '- {namespaces: [team-a], addresses: ["s3://team-a/", "models:/team-a-"]}\n'


@pytest.fixture
def files(tmp_path):
    def write(uri, namespace="team-a", grants=GRANTS, **model):
        manifest = {
            "apiVersion": "mooring.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "iris", "namespace": namespace},
            "spec": {"model": {"uri": uri, "format": "onnx", **model}},
        }
        (tmp_path / "iris.yaml").write_text(json.dumps(manifest, indent=1))
        (tmp_path / "grants.yaml").write_text(grants)
        return [str(tmp_path / "iris.yaml"), "--grants", str(tmp_path / "grants.yaml")]

    return write


@pytest.mark.parametrize("uri", ["s3://team-a/iris", "models:/team-a-iris@champion", "pvc://models/iris"])
def test_what_is_granted_is_valid(capsys, files, uri):
    code, out, _ = invoke(capsys, "validate", *files(uri))
    assert code == 0
    assert "warning" not in out


def test_refusal_is_a_problem_with_its_line_and_the_grant_to_add(capsys, files):
    arguments = files("models:/iris@champion")
    code, out, _ = invoke(capsys, "validate", *arguments)
    assert code == 1
    assert out.startswith(f"{arguments[0]}:10: spec.model.uri")
    assert '- {namespaces: [team-a], addresses: ["models:/iris/", "models:/iris@"]}' in " ".join(out.split())
    assert invoke(capsys, "validate", arguments[0])[0] == 0


def test_store_that_nobody_granted_is_a_warning(capsys, files):
    code, out, _ = invoke(capsys, "validate", *files("s3://team-a/iris", namespace="team-b"))
    assert code == 0
    assert "warning" in out
    assert '- {namespaces: [team-b], addresses: ["s3://team-a/iris"]}' in " ".join(out.split())
    digest = "sha256:" + "0" * 64
    assert "warning" not in invoke(capsys, "validate", *files("s3://x/iris", digest=digest))[1]


def test_wrong_grants_are_said(capsys, files, tmp_path):
    code, _, err = invoke(capsys, "validate", *files("s3://x/iris", grants="team-a: s3://team-a/"))
    assert (code, "the grants are no list" in err) == (2, True)
    missing = str(tmp_path / "missing.yaml")
    code, _, err = invoke(capsys, "validate", files("s3://x/iris")[0], "--grants", missing)
    assert (code, f"{missing} cannot be read: No such file" in err) == (2, True)


@pytest.mark.parametrize(("granted", "warned"), [('["models:/team-a-"]', False), ('["models:/other"]', True)])
def test_an_alias_that_may_not_be_moved_is_a_warning_with_the_grant_to_add(capsys, files, granted, warned):
    grants = f"{GRANTS}- {{namespaces: [team-a], aliases: {granted}}}\n"
    arguments = files("models:/team-a-iris/3", grants=grants, promoteAlias="champion")
    code, out, _ = invoke(capsys, "validate", *arguments)
    assert code == 0
    line = '- {namespaces: [team-a], aliases: ["models:/team-a-iris@champion"]}'
    assert (line in " ".join(out.split())) == warned
