"""Where the API server notes who asks, clients need not, and cannot note anybody else."""

import subprocess
from contextlib import suppress

import pytest
import yaml

from cluster.api import ApiError
from tests.cluster.people import (
    ARGO,
    OPERATOR,
    Thing,
    annotations,
    install_people,
    outcome,
    policies,
    wait_until_in_force,
)
from tests.cluster.rollout_steps import until
from tests.cluster.test_admission_four_eyes import ELSEWHERE, IRIS, V2, both

NAMESPACE = "mooring-signatures"
WAYS = ("merge", "json", "apply", "update")
SERVED = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture(scope="module")
def iris(control_plane):
    """A ModelDeployment that everybody may try to write; all policies are in force."""
    api = control_plane.api
    if not any(one["name"] == "mutatingadmissionpolicies" for one in api.get(SERVED)["resources"]):
        pytest.skip("this API server has no MutatingAdmissionPolicies of v1")
    install_people(api, NAMESPACE)
    thing = Thing(api, NAMESPACE, IRIS)
    with policies(api):
        wait_until_in_force(api, NAMESPACE)
        with policies(api, "components/signatures"):

            def signed():
                # Of a kind that was just defined the API server says for a while that it does not know it.
                with suppress(ApiError):
                    return thing.create("dora", {}, dry=True)["metadata"].get("annotations")

            until(signed)
            yield thing
            api.delete(thing.path)


def noted(iris):
    """Mooring's annotations by their short names."""
    found = iris.api.request("GET", iris.path)["metadata"].get("annotations", {})
    return {name.removeprefix("mooring.dev/").replace("-", "_"): value for name, value in found.items()}


MADE = {
    "nameless": ("alice", {}, "alice"),
    "borrowed": ("alice", annotations(requested_by="dora"), "alice"),
    "argo": (ARGO, {}, ARGO),
}


@pytest.mark.parametrize(("who", "patch", "by"), MADE.values(), ids=MADE)
def test_who_makes_it_is_noted(iris, who, patch, by):
    assert outcome(lambda: iris.create(who, patch)) == ""
    assert noted(iris) == {"requested_by": by}


CHANGED = {
    # Who asks for a revision, whatever they write.
    "revision": ("dora", V2, {"requested_by": "dora"}),
    "revision-for-another": ("dora", both(V2, annotations(requested_by="frank")), {"requested_by": "dora"}),
    "elsewhere": ("dora", ELSEWHERE, {"requested_by": "alice"}),
    "taken-over": ("dora", annotations(requested_by="dora"), {"requested_by": "alice"}),
    "removed": ("dora", annotations(requested_by=None), {"requested_by": "alice"}),
    # Who gives a command, whatever they write.
    "command": ("carol", annotations(pause="r"), {"pause": "r", "pause_by": "carol"}),
    "command-for-another": (
        "carol",
        annotations(pause="r", pause_by="bob"),
        {"pause": "r", "pause_by": "carol"},
    ),
    "name-alone": ("dora", annotations(approve_by="bob"), {}),
    "several": (
        "dora",
        annotations(pause="r", approve="s", approve_by="x"),
        {"pause": "r", "pause_by": "dora", "approve": "s", "approve_by": "dora"},
    ),
}


def changes():
    """The table, by every way of writing that the user has."""
    for name, (who, patch, then) in CHANGED.items():
        for way in WAYS:
            takes_away = None in patch.get("metadata", {}).get("annotations", {}).values()
            # Carol may only patch; who applies takes away only what they applied.
            if not (who == "carol" and way == "update") and not (takes_away and way == "apply"):
                yield pytest.param(who, patch, then, way, id=f"{name}-{way}")


@pytest.mark.parametrize(("who", "patch", "then", "way"), list(changes()))
def test_who_asks_is_noted(iris, who, patch, then, way):
    # Nobody approves their own: dora's commands are for a revision that alice asked for.
    iris.start_from(by="alice")
    assert outcome(lambda: iris.change(who, patch, way=way)) == ""
    assert noted(iris) == {"requested_by": "alice", **then}


def test_a_name_stays_with_its_command_and_goes_with_it(iris):
    iris.start_from(by="alice", approve=("r", "bob"))
    for forged in ("dora", None):
        assert outcome(lambda forged=forged: iris.change("dora", annotations(approve_by=forged))) == ""
        assert noted(iris) == {"requested_by": "alice", "approve": "r", "approve_by": "bob"}
    assert outcome(lambda: iris.change(OPERATOR, annotations(approve=None))) == ""
    assert noted(iris) == {"requested_by": "alice"}


def test_it_is_nobody_s_right_to_ask(iris):
    iris.start_from(by="dora")
    assert "alice may not approve" in outcome(lambda: iris.change("alice", annotations(approve="r")))
    assert "dora asked for this revision" in outcome(lambda: iris.change("dora", annotations(approve="r")))


def test_applying_again_and_again_conflicts_with_nobody(iris, control_plane, tmp_path):
    """As kubectl and Argo CD apply: without the annotation in the manifest, and without force."""
    iris.api.delete(iris.path)
    manifest = tmp_path / "iris.yaml"

    def apply(user, version, *options):
        spec = {**IRIS["spec"], "model": {"uri": f"s3://m/iris/{version}", "format": "onnx"}}
        manifest.write_text(yaml.safe_dump({**IRIS, "spec": spec}))
        command = ["kubectl", "--kubeconfig", str(control_plane.kubeconfig), "--as", user, "-n", NAMESPACE]
        done = subprocess.run(
            [*command, "apply", *options, "-f", str(manifest)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return noted(iris)["requested_by"]

    for options in (("--server-side",), ()):
        iris.api.delete(iris.path)
        assert apply("alice", 1, *options) == "alice"
        assert apply("dora", 1, *options) == "alice"
        assert apply("dora", 2, *options) == "dora"
        assert apply(ARGO, 2, *options) == "dora"
        assert apply("alice", 3, *options) == "alice"
