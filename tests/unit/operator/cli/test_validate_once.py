"""`mooring validate` says each fault once, and looks at all that it was given."""

import pytest
import yaml
from mooring_operator.cli.main import run
from mooring_operator.cli.validation.check import check_document
from mooring_operator.cli.validation.source import read_objects

from tests.unit.spec_case import Case


def problems(**serving):
    text = yaml.safe_dump(Case("", {"spec.serving": serving}).manifest)
    [document] = read_objects(text)
    return [f"{problem.field}: {problem.message}" for problem in check_document(document).problems]


def test_a_mapping_in_the_place_of_a_list_is_one_fault():
    [problem] = problems(env={"A": "b"})
    assert problem == "spec.serving.env: must be a list, got a mapping"


@pytest.mark.parametrize("kind", ["nodeAffinity", "podAffinity"])
def test_an_unknown_operator_is_one_fault(kind):
    expression = {"key": "zone", "operator": "in", "values": ["a"]}
    node = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    pods = [{"topologyKey": "zone", "labelSelector": {"matchExpressions": [expression]}}]
    asked = {"requiredDuringSchedulingIgnoredDuringExecution": node if kind == "nodeAffinity" else pods}
    [problem] = problems(affinity={kind: asked})
    assert '"in" is not one of In, NotIn' in problem


def test_a_negative_number_of_replicas_is_one_fault():
    assert problems(minReplicas=-1) == ["spec.serving.minReplicas: must be at least 0, got -1"]


def test_what_only_the_operator_refuses_is_said():
    [problem] = problems(template={"model": {"args": ["x" * 100_000, "y" * 100_000]}})
    assert problem.startswith("spec.serving: has 200")
    assert problem.endswith("bytes as JSON; at most 163840 are allowed in all")


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump(Case("", {"spec.serving": {"minReplicas": -1}}).manifest))
    given = [str(tmp_path / "none.yaml"), str(bad), str(tmp_path / "nor-this.yaml")]
    assert run(["validate", *given]) == 2
    said = capsys.readouterr()
    assert "spec.serving.minReplicas" in said.out
    assert "none.yaml: no such file" in said.err
    assert "nor-this.yaml: no such file" in said.err
