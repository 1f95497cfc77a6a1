"""Lists of objects are looked into, as kubectl does: each item is judged, with its line."""

import json

import pytest
import yaml
from mooring_operator.cli.commands.validate import check_manifest
from mooring_operator.cli.files import Manifest
from mooring_operator.cli.validation.source import read_objects

from tests.unit.cli_world import invoke
from tests.unit.spec_case import BASES

GOOD = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment"}


def found(text):
    return check_manifest(Manifest("f", text))


def listed(*items, **changes):
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": list(items), **changes})


BROKEN = """\
apiVersion: v1
kind: List
items:
- apiVersion: mooring.dev/v1alpha1
  kind: ModelDeployment
  metadata: {name: iris}
  spec:
    model: {uri: "s3://m/1", format: onnx}
- apiVersion: v1
  kind: List
  items:
  - apiVersion: mooring.dev/v1alpha1
    kind: DriftMonitor
    metadata: {name: rose}
    spec:
      target: {name: "../x"}
      target: {name: y}
- 5
- apiVersion: v1
  kind: Secret
  metadata: {name: s}
"""


def test_each_item_is_judged_with_its_line():
    findings = found(BROKEN)
    assert [(f["line"], f["kind"], f["name"], f["valid"]) for f in findings] == [
        (4, "ModelDeployment", "iris", True),
        (12, "DriftMonitor", "rose", False),
        (18, "", "", False),
        (19, "Secret", "s", True),
    ]
    assert [(p["line"], p["field"], p["message"]) for f in findings for p in f["problems"]] == [
        (17, "spec.target", "is given twice"),
        (18, "", "must be a mapping with apiVersion and kind, got 5"),
    ]
    assert findings[3]["skipped"] == "Secret of v1 is not Mooring's"


def test_the_command_refuses_a_list_with_a_broken_item(capsys, tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text(BROKEN)
    code, out, _ = invoke(capsys, "validate", str(path))
    assert code == 1
    assert f"{path}:17: spec.target: is given twice" in out


@pytest.mark.parametrize("base", BASES.values(), ids=list(BASES))
def test_an_item_is_judged_as_it_would_be_alone(base):
    broken = json.loads(json.dumps(base)) | {"sepc": {}}
    for item in (base, broken):
        nested = listed(yaml.safe_load(listed(item)))
        (alone,), (within,), (deep,) = found(json.dumps(item)), found(listed(item)), found(nested)
        judged = [[(p["field"], p["message"]) for p in f["problems"]] for f in (alone, within, deep)]
        assert judged[0] == judged[1] == judged[2]
        assert alone["valid"] == (item is base)


def test_a_list_of_one_kind_lends_it_to_its_items():
    item = {"metadata": {"name": "iris"}, "spec": BASES["ModelDeployment"]["spec"]}
    text = listed(item, {**item, "sepc": 1}, **GOOD | {"kind": "ModelDeploymentList"})
    assert [(f["kind"], f["valid"]) for f in found(text)] == [
        ("ModelDeployment", True),
        ("ModelDeployment", False),
    ]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("{apiVersion: v1, kind: List, items: {a: 1}}", "items", "must be a list of objects, got a mapping"),
        (
            "{apiVersion: v1, kind: List, items: abc}",
            "items",
            'must be a list of objects, got the string "abc"',
        ),
        ("{apiVersion: v1, kind: List}", "items", "must be a list of objects, got nothing"),
        ("{kind: List, items: [{a: 1}]}", "apiVersion", "is required"),
        ("{apiVersion: v1, kind: List, items: [], items: [{a: 1}]}", "items", "is given twice"),
        ("{apiVersion: v1, kind: List, kind: List, items: [{a: 1}]}", "kind", "is given twice"),
        (
            "{apiVersion: v1, kind: List, items: [null]}",
            "",
            "must be a mapping with apiVersion and kind, got null",
        ),
        (
            "{apiVersion: v1, kind: List, items: [[]]}",
            "",
            "must be a mapping with apiVersion and kind, got []",
        ),
    ],
)
def test_what_is_no_list_of_objects_is_refused(text, field, message):
    (finding,) = found(text)
    assert [(p["field"], p["message"]) for p in finding["problems"]] == [(field, message)]


def test_an_empty_list_is_skipped_like_an_empty_file():
    (finding,) = found("{apiVersion: v1, kind: List, items: []}")
    assert (finding["valid"], finding["skipped"]) == (True, "the list is empty")


def test_lists_in_lists_end():
    text = "{apiVersion: v1, kind: List, items: [" * 45 + "{}" + "]}" * 45
    (finding,) = found(text)
    assert not finding["valid"]
    many = listed(*[BASES["ModelDeployment"]] * 5000)
    assert len(list(read_objects(many))) == 5000


def test_a_rehearsal_and_policies_look_into_lists(capsys, tmp_path):
    deployments, policies = tmp_path / "deployments.yaml", tmp_path / "policies.yaml"
    deployments.write_text(listed(BASES["ModelDeployment"]))
    policies.write_text(listed(BASES["ClusterModelPolicy"]))
    code, out, _ = invoke(capsys, "rehearse", str(deployments), "--first")
    assert (code, "ModelDeployment iris" in out) == (0, True)
    code, out, _ = invoke(capsys, "validate", str(deployments), "--policies", str(policies))
    assert code == 1
    assert "spec.ci: is missing: models have to be tested (ClusterModelPolicy production)" in out


def test_what_can_be_adopted_is_skipped_with_the_way_to_do_it(tmp_path, capsys):
    path = tmp_path / "isvc.yaml"
    path.write_text("apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: iris}\n")
    code, out = invoke(capsys, "validate", str(path))[:2]
    assert code == 0
    assert "is not Mooring's; mooring adopt -f FILE writes a ModelDeployment for it" in out
