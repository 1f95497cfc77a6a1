"""Users with real roles on a real API server, and the policies that decide what they may ask for."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import json
from pathlib import Path

from cluster.api import ApiError
from tests.cluster.rollout_steps import OURS, install, until
from tests.kustomized import kustomized
from tests.operator.objects import merge

ROOT = Path(__file__).parents[2]
SYSTEM = "mooring-system"
RBAC = "rbac.authorization.k8s.io"
POLICIES = "/apis/admissionregistration.k8s.io/v1"

OPERATOR = f"system:serviceaccount:{SYSTEM}:mooring-operator"
ARGO = "system:serviceaccount:argocd:argocd-application-controller"
ROLES = {
    "alice": ("mooring-edit",),
    "bob": ("mooring-approver",),
    "carol": ("mooring-operator-of-rollouts",),
    # Has every right that there is for people, and is to have four eyes all the same.
    "dora": ("mooring-edit", "mooring-approver", "mooring-operator-of-rollouts"),
    "eve": ("mooring-view",),
    "frank": ("mooring-edit", "makes-pods"),
    ARGO: ("mooring-edit", "makes-pods"),
}
"""Who has which ClusterRoles in the namespaces of the tests. The API server's administrator has all rights."""

MAKES_PODS = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "makes-pods"},
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}],
}


@functools.cache
def rendered(folder):
    """The objects of a folder under manifests/."""
    return kustomized(ROOT / "manifests" / folder)


def install_people(api, *namespaces):
    """Make the namespaces, Mooring's definitions and roles, and everybody's role bindings."""
    install(api, SYSTEM, *namespaces)
    for found in rendered("base"):
        if found["kind"] in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
            api.apply(found)
    api.apply(MAKES_PODS)
    for namespace, (user, roles) in itertools.product(namespaces, ROLES.items()):
        for role in roles:
            bind(api, namespace, user, role)


def bind(api, namespace, user, role):
    """Give a user a ClusterRole in a namespace."""
    api.apply(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{user}-{role}".replace(":", "-"), "namespace": namespace},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
        }
    )


@contextlib.contextmanager
def policies(api, folder="base", profile=None):
    """Have the policies of a folder in force, with an administrator's profile, and out of force at the end."""
    found = [one for one in rendered(folder) if one["apiVersion"] == "admissionregistration.k8s.io/v1"]
    for one in found:
        api.apply(with_profile(one, profile) if profile else one)
    try:
        yield
    finally:
        # Others use this API server too.
        for one in found:
            api.delete(api.path(one))
        # What asks for names is in the base; around a component it is still in force.
        if folder == "base":
            until(lambda: _out_of_force(api), what="policies that are gone are still in force")


def _out_of_force(api):
    """Whether nobody is asked any more who gives a command: policies hold for a moment after they were deleted."""
    metadata = {"name": "probe", "namespace": "default", "annotations": {"mooring.dev/approve": "0123456789"}}
    probe = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": metadata,
        "spec": {"model": {"uri": "s3://m/probe", "format": "onnx"}},
    }
    try:
        api.request(
            "POST", "/apis/mooring.dev/v1alpha1/namespaces/default/modeldeployments?dryRun=All", probe
        )
    except ApiError as error:
        return "ValidatingAdmissionPolicy" not in error.message
    return True


def with_profile(policy, profile):
    """The policy with the profile that docs/security.md tells administrators to write there, as they write it."""
    changed = copy.deepcopy(policy)
    for variable in changed["spec"].get("variables", []):
        if variable["name"] == "profile":
            variable["expression"] = json.dumps(profile)
    return changed


def wait_until_in_force(api, namespace):
    """Wait until the administrator too, who may do everything, is asked for a name."""
    model = {"uri": "s3://m/iris", "format": "onnx"}
    kind = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment"}
    probe = Thing(api, namespace, {**kind, "metadata": {"name": "probe"}, "spec": {"model": model}})
    wait_until_refused(lambda: probe.create(None, annotations(approve="r"), dry=True), "must say who asks")


def outcome(attempt):
    """The words with which the API server forbids it; empty when it was done."""
    try:
        attempt()
    except ApiError as error:
        if " is forbidden: " not in error.message:
            raise
        return error.message
    return ""


def wait_until_refused(attempt, says):
    """Policies are in force a moment after they were written: try until this is refused."""
    until(lambda: outcome(attempt), lambda said: says in said, what=f"nothing is refused with {says!r}")


def wait_until_allowed(attempt):
    """Rights, profiles and the ends of policies too are known a moment later."""
    until(lambda: outcome(attempt), lambda said: not said, what="it is still refused")


class Thing:
    """One ModelDeployment, DriftMonitor or AnalysisTemplate that people try to write."""

    def __init__(self, api, namespace, manifest):
        self.api = api
        self.manifest = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
        self.plural = f"{manifest['kind'].lower()}s"
        self.collection = f"{OURS}/namespaces/{namespace}/{self.plural}"
        self.path = f"{self.collection}/{manifest['metadata']['name']}"

    def remove(self):
        """Delete it as the administrator, without waiting for a garbage collector."""
        self.api.delete(f"{self.path}?propagationPolicy=Background")

    def _acting_as(self, user):
        """The API server as this user; as the administrator where none is named."""
        return self.api if user is None else self.api.acting_as(user)

    def start_from(self, *, by=None, spec=None, status=None, **commands):
        """Have it exist anew: asked for by this user, or by the administrator, with commands and who gave them."""
        self.remove()
        creator = self._acting_as(by)
        noted = annotations(requested_by=by) if by else {}
        creator.request("POST", self.collection, merge(self.manifest, {**noted, "spec": spec or {}}))
        for name, (value, user) in commands.items():
            self.change(user, annotations(**{name: value, f"{name}_by": user}))
        if status:
            self.api.merge(f"{self.path}/status", {"status": status})

    def change(self, user, patch, *, way="merge", dry=False):
        """Change it as a user: by merge patch, JSON patch, server-side apply or update."""
        api, query = self._acting_as(user), "?dryRun=All" if dry else "?"
        if way == "merge":
            content, body = "application/merge-patch+json", patch
        elif way == "update":
            body = merge(api.request("GET", self.path), patch)
            return api.request("PUT", self.path + query, body)
        elif way == "json":
            content, body = (
                "application/json-patch+json",
                _operations(self.api.request("GET", self.path), patch),
            )
        elif way == "apply":
            content, query = "application/apply-patch+yaml", f"{query}&fieldManager=tests&force=true"
            identity = {name: self.manifest["metadata"][name] for name in ("name", "namespace")}
            kind = {name: self.manifest[name] for name in ("apiVersion", "kind")}
            body = {**kind, **patch, "metadata": {**patch.get("metadata", {}), **identity}}
        else:
            raise ValueError(way)
        return api.request("PATCH", self.path + query, json.dumps(body).encode(), content=content)

    def create(self, user, patch, *, dry=False):
        """Create it as a user, with this changed."""
        self.remove()
        query = "?dryRun=All" if dry else ""
        return self._acting_as(user).request("POST", self.collection + query, merge(self.manifest, patch))


def annotations(**commands):
    """The patch that sets Mooring's annotations, approve_by for mooring.dev/approve-by; None removes one."""
    named = {f"mooring.dev/{name.replace('_', '-')}": value for name, value in commands.items()}
    return {"metadata": {"annotations": named}}


def _operations(current, patch):
    """The JSON patch that does what a merge patch does."""
    wanted = merge(copy.deepcopy(current), patch)
    operations = [{"op": "test", "path": "/metadata/uid", "value": current["metadata"]["uid"]}]
    for name in patch.get("metadata", {}):
        operations.append({"op": "add", "path": f"/metadata/{name}", "value": wanted["metadata"][name]})
    return [*operations, {"op": "add", "path": "/spec", "value": wanted["spec"]}]
