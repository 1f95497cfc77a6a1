"""What the demo gives people to try."""

import re
from pathlib import Path

import yaml

from cluster.demo.manifests import NAMESPACE, own_deployment, policies
from cluster.demo.observer import ADMISSION
from cluster.demo.show import look_around
from tests.unit.cli_world import invoke


def test_the_deployment_to_play_with_is_valid_and_waits_for_a_person(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(own_deployment(tmp_path), sort_keys=False))
    assert invoke(capsys, "validate", str(path))[:2] == (0, f"{path}:1: ModelDeployment mine is valid\n")
    _, rehearsed, _ = invoke(capsys, "rehearse", str(path), "--from-stable")
    assert "awaits approval" in rehearsed
    # What the demo tells people to do names another model.
    edited = re.sub("v1$", "v2", path.read_text(), flags=re.MULTILINE)
    assert [yaml.safe_load(text)["spec"]["model"]["uri"][-3:] for text in (path.read_text(), edited)] == [
        "/v1",
        "/v2",
    ]


def test_people_are_told_where_the_operator_looks(tmp_path):
    text = look_around(Path("/k"), tmp_path / "mine.yaml", pipelines="http://p", front="http://f")
    assert f"looks after namespace {NAMESPACE} alone" in text
    assert f"kubectl apply -f {tmp_path}/mine.yaml" in text.replace(" (not installed here)", "")


def test_the_demo_installs_the_policies_of_commands_and_their_roles():
    found = {(one["kind"], one["metadata"]["name"]) for one in policies()}
    assert {kind for kind, _ in found} == set(ADMISSION)
    assert ("ValidatingAdmissionPolicyBinding", "commands.mooring.dev") in found
    assert ("ClusterRole", "mooring-approver") in found
