"""Applies the demo's resources and waits for what should become of them."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
from mooring_operator.adapters.api_server import Connection, NotFound, load_config
from mooring_operator.adapters.cluster import Kind, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.api.names import REVISION_LABEL

from cluster.demo.manifests import NAME, NAMESPACE
from cluster.serving.replica import POD_PORT

_KINDS = {
    "ModelDeployment": Kind("mooring.dev/v1alpha1", "ModelDeployment", "modeldeployments"),
    "AnalysisTemplate": Kind("mooring.dev/v1alpha1", "AnalysisTemplate", "analysistemplates"),
    "DriftMonitor": Kind("mooring.dev/v1alpha1", "DriftMonitor", "driftmonitors"),
}
ADMISSION = {
    "ClusterRole": ("rbac.authorization.k8s.io", "clusterroles"),
    "ValidatingAdmissionPolicy": ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
}
_ANSWERED = re.compile(r"^mooring_inference_requests_total\{[^}]*\} (\S+)$", re.MULTILINE)
_APPLY = {"fieldManager": "mooring-demo", "force": "true"}


class Unexpected(Exception):
    """The demo did not show what it should have."""


class Observer:
    """Looks at the cluster with the eyes of the demo's user."""

    def __init__(self, kubeconfig: Path) -> None:
        self._connection = Connection(load_config(kubeconfig))
        self._cluster = KubernetesCluster(self._connection)
        self._said: dict[str, str] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def has_kserve(self) -> bool:
        """Whether the cluster knows InferenceServices."""
        try:
            await self._connection.send(
                "get", "GET", "/apis/serving.kserve.io/v1beta1", resource="apiresources"
            )
        except NotFound:
            return False
        return True

    async def install(self, definitions: Iterable[dict[str, Any]]) -> None:
        """Apply Mooring's definitions and make the demo's namespace."""
        for definition in definitions:
            await self._put("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        await self._put(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        )
        await self._until_served()

    async def install_policies(self, manifests: Iterable[dict[str, Any]]) -> None:
        """Apply the roles and policies that say who may give commands."""
        for manifest in manifests:
            group, plural = ADMISSION[manifest["kind"]]
            await self._put(f"/apis/{group}/v1/{plural}", manifest)

    async def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply one of our resources."""
        kind = _KINDS[manifest["kind"]]
        await self._put(f"/apis/{kind.api_version}/namespaces/{NAMESPACE}/{kind.plural}", manifest)

    async def get(self, kind: str) -> dict[str, Any]:
        """Read the demo's resource of a kind; empty where there is none."""
        return await self._cluster.get(Ref(_KINDS[kind], NAMESPACE, NAME)) or {}

    async def received(self, revision: str) -> int:
        """Give how many requests a revision's servers have answered by their own count, whoever got the answers."""
        pods = await self._connection.send(
            "list",
            "GET",
            f"/api/v1/namespaces/{NAMESPACE}/pods",
            resource="pods",
            params={"labelSelector": f"{REVISION_LABEL}={revision}"},
        )
        total = 0
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            for pod in pods["items"]:
                text = (await http.get(f"http://{pod['status']['podIP']}:{POD_PORT}/metrics")).text
                total += sum(int(float(count)) for count in _ANSWERED.findall(text))
        return total

    async def delete(self) -> None:
        """Remove the namespace and all that is in it."""
        await self._connection.send(
            "delete", "DELETE", f"/api/v1/namespaces/{NAMESPACE}", resource="namespaces"
        )

    async def follow(
        self,
        kind: str,
        done: Callable[[Mapping[str, Any]], bool],
        *,
        seconds: float,
        say: Callable[[str], None],
        wrong: Callable[[Mapping[str, Any]], bool] = lambda status: False,
        look: Callable[[Mapping[str, Any]], None] = lambda status: None,
    ) -> dict[str, Any]:
        """Say every new message in status until ``done(status)``, and have ``look`` see each; give that status.

        Raises:
            Unexpected: ``wrong(status)``, or so many ``seconds`` have passed.
        """
        deadline = time.monotonic() + seconds
        while True:
            resource = await self.get(kind)
            status: dict[str, Any] = resource.get("status", {})
            current = status.get("observedGeneration") == resource.get("metadata", {}).get("generation")
            line = f"{status.get('phase', '')}: {status.get('message', '')}"
            if current and line != self._said.get(kind):
                say(line)
                self._said[kind] = line
            if current:
                look(status)
            if current and done(status):
                return status
            if current and wrong(status):
                raise Unexpected(f"{kind} {NAME} came to {line}")
            if time.monotonic() > deadline:
                raise Unexpected(f"{kind} {NAME} is still at {line!r} after {seconds:g} s")
            await asyncio.sleep(0.2)

    async def _put(self, collection: str, manifest: Mapping[str, Any]) -> None:
        path = f"{collection}/{manifest['metadata']['name']}"
        await self._connection.send(
            "patch",
            "PATCH",
            path,
            resource="",
            body=manifest,
            content_type="application/apply-patch+yaml",
            params=_APPLY,
        )

    async def _until_served(self) -> None:
        """A definition takes a moment until objects of its kind are accepted."""
        deadline = time.monotonic() + 30
        while True:
            try:
                for kind in _KINDS.values():
                    path = f"/apis/{kind.api_version}/{kind.plural}"
                    await self._connection.send(
                        "list", "GET", path, resource=kind.plural, params={"limit": "1"}
                    )
                return
            except NotFound:
                if time.monotonic() > deadline:
                    raise Unexpected("the API server does not serve mooring.dev after 30 s") from None
                await asyncio.sleep(0.1)
