"""The cluster, as far as the command line needs it: read, list, watch and annotate our resources."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mooring_operator.api import forms
from mooring_operator.cli.errors import CliError, RefusedError

if TYPE_CHECKING:
    import httpx2
    from lightkube import Client, KubeConfig

Object = dict[str, Any]

_GROUP, _VERSION = "mooring.dev", "v1alpha1"
_PLURALS = {
    "ModelDeployment": "modeldeployments",
    "DriftMonitor": "driftmonitors",
    "ModelPolicy": "modelpolicies",
    "AnalysisTemplate": "analysistemplates",
}
_GLOBAL = {"ClusterAnalysisTemplate": "clusteranalysistemplates"}
_OTHERS = {
    "InferenceService": ("serving.kserve.io", "v1beta1", "inferenceservices"),
    "Rollout": ("argoproj.io", "v1alpha1", "rollouts"),
    "Canary": ("flagger.app", "v1beta1", "canaries"),
    "Deployment": ("apps", "v1", "deployments"),
}
"""Resources of others that can be adopted, and whose pods they are: group, version and plural."""
_READER = "mooring-view"
_INSTALL_HINT = "install Mooring's resources: mooring crds | kubectl apply --server-side -f -"
_FILES_HINT = "is it the right one (--context)? mooring adopt -f FILE reads one from a file"


class Cluster:
    """A connection; `namespace` is where names are looked up."""

    def __init__(self, client: "Client", server: str) -> None:
        self._client = client
        self._server = server
        self.namespace: str = client.namespace

    def get(self, kind: str, name: str) -> Object:
        """Give one object.

        Raises:
            CliError: there is none, or the cluster does not say.
        """
        with self._explained(kind, name):
            return _plain(self._client.get(_resource(kind), name))

    def list_all(self, kind: str, *, all_namespaces: bool = False) -> list[Object]:
        """Give the objects of a kind, by namespace and name."""
        namespace = "*" if all_namespaces else None
        with self._explained(kind, all_namespaces=all_namespaces):
            found = [_plain(item) for item in self._client.list(_resource(kind), namespace=namespace)]
        return sorted(found, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))

    def watch(self, kind: str, name: str, resource_version: str) -> Iterator[Object | None]:
        """Yield the object whenever it changes, and None when it is deleted."""
        with self._explained(kind, name):
            changes = self._client.watch(
                _resource(kind),
                fields={"metadata.name": name},
                resource_version=resource_version,
                on_error=_watch_again,
            )
            for change, item in changes:
                yield None if change == "DELETED" else _plain(item)

    def events(self, kind: str, name: str) -> list[Object]:
        """Give the Events about an object, oldest first; none where they may not be read."""
        from lightkube import ApiError
        from lightkube.resources.core_v1 import Event

        about: dict[str, Any] = {"involvedObject.kind": kind, "involvedObject.name": name}
        try:
            with self._explained("Event"):
                found = [event.to_dict() for event in self._client.list(Event, fields=about)]
        except CliError as error:
            if isinstance(error.__cause__, ApiError):
                return []
            raise
        return sorted(found, key=event_time)

    def annotate(
        self, kind: str, name: str, annotations: Mapping[str, str | None], *, role: str = ""
    ) -> Object:
        """Set annotations, or remove those that are None; give the object. `role` is the ClusterRole for it.

        Raises:
            RefusedError: a policy of the API server says no.
            CliError: it did not come to that.
        """
        from lightkube.types import PatchType

        change = {"metadata": {"annotations": dict(annotations)}}
        with self._explained(kind, name, verb="change", role=role):
            return _plain(self._client.patch(_resource(kind), name, change, patch_type=PatchType.MERGE))

    def user(self) -> str:
        """Give the name that the API server knows the caller by; empty when it does not say."""
        from lightkube.resources.authentication_v1 import SelfSubjectReview

        try:
            with self._explained("SelfSubjectReview"):
                review = self._client.create(SelfSubjectReview())
        except CliError:
            return ""
        info = review.status.userInfo if review.status else None
        return (info.username or "") if info else ""

    @contextmanager
    def _explained(
        self, kind: str, name: str = "", verb: str = "read", role: str = "", *, all_namespaces: bool = False
    ) -> Iterator[None]:
        """Turn what the client raises into a sentence."""
        import httpx2
        from lightkube import ApiError

        if name and not forms.OBJECT_NAME.fits(name):
            hint = "write the name alone, without its kind" if name.count("/") == 1 else ""
            raise CliError(f"{name!r} is not {forms.OBJECT_NAME.allowed}", hint=hint)
        what = f"{kind} {name}".strip()
        try:
            yield
        except ApiError as error:
            where = "all namespaces" if all_namespaces else f"namespace {self.namespace}"
            raise _api_failure(error, what, verb, where, role) from error
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == 404:
                # Of a group that nobody has defined a resource in, the API server says no more.
                raise _no_such_resource(kind) from error
            raise CliError(f"{self._server} answered HTTP {error.response.status_code}") from error
        except httpx2.TimeoutException as error:
            raise CliError(f"the cluster at {self._server} does not answer in time") from error
        except (httpx2.HTTPError, OSError) as error:
            hint = "is the cluster up, and does --context name the right one?"
            raise CliError(f"cannot reach the cluster at {self._server}: {error}", hint=hint) from error


def connect(
    context: str | None = None,
    namespace: str | None = None,
    transport: "httpx2.BaseTransport | None" = None,
) -> Cluster:
    """Connect by KUBECONFIG, ``~/.kube/config`` or, in a pod, its service account.

    Raises:
        CliError: there is no usable configuration.
    """
    import yaml
    from lightkube import Client
    from lightkube.config.models import User
    from lightkube.core.exceptions import ConfigError

    try:
        config = _configuration().get(context)
        if config is None:
            raise ConfigError("no current context is set")
        if config.user is None:
            # A context needs no user where the server asks for none, as behind kubectl proxy.
            config = config._replace(user=User())
        client = Client(config, namespace=namespace, field_manager="mooring-cli", transport=transport)
    except (ConfigError, yaml.YAMLError, KeyError, ValueError, TypeError) as error:
        hint = "set KUBECONFIG, or choose a context with --context"
        # Parsers write several lines, a missing entry is its bare name.
        why = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise CliError(f"no usable cluster configuration: {why}", hint=hint) from error
    except OSError as error:
        raise CliError(f"the cluster configuration cannot be read: {error}") from error
    if not forms.LABEL.fits(client.namespace):
        raise CliError(f"namespace {client.namespace!r} is not {forms.LABEL.allowed}")
    return Cluster(client, config.cluster.server or "the cluster")


def _configuration() -> "KubeConfig":
    """Choose as kubectl does: what the person has set goes before what a pod is given."""
    from lightkube import KubeConfig
    from lightkube.config.kubeconfig import SERVICE_ACCOUNT
    from lightkube.core.exceptions import ConfigError

    named = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    found = [path for path in named if path.exists()]
    if len(found) > 1:
        return KubeConfig.from_dict(_merged(found), fname=found[0])
    if named:
        return KubeConfig.from_file((found or named)[0])
    own = Path("~/.kube/config").expanduser()
    if own.exists():
        return KubeConfig.from_file(own)
    if not Path(SERVICE_ACCOUNT, "token").exists():
        raise ConfigError(
            "KUBECONFIG is not set, there is no ~/.kube/config, and this is no pod with a token"
        )
    return KubeConfig.from_service_account()


def _merged(paths: list[Path]) -> Object:
    """Merge configurations as kubectl does: what comes first wins."""
    import yaml

    merged: Object = {"clusters": [], "contexts": [], "users": []}
    for path in paths:
        one = yaml.safe_load(path.read_text()) or {}
        for part in ("clusters", "contexts", "users"):
            known = {entry["name"] for entry in merged[part]}
            merged[part] += [entry for entry in one.get(part) or [] if entry["name"] not in known]
        if one.get("current-context"):
            merged.setdefault("current-context", one["current-context"])
    return merged


def event_time(event: Object) -> str:
    """Give the time of an Event's last occurrence, as RFC 3339."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return next((str(time) for time in times if time), "")


def _resource(kind: str) -> Any:
    from lightkube.generic_resource import create_global_resource, create_namespaced_resource

    if kind in _GLOBAL:
        return create_global_resource(_GROUP, _VERSION, kind, _GLOBAL[kind])
    if kind in _OTHERS:
        group, version, plural = _OTHERS[kind]
        return create_namespaced_resource(group, version, kind, plural)
    return create_namespaced_resource(_GROUP, _VERSION, kind, _PLURALS[kind])


def _plain(item: Any) -> Object:
    plain: Object = item.to_dict()
    return plain


def _watch_again(error: Exception, count: int) -> Any:
    """Reconnect when a long watch is cut; give up when the cluster stays away."""
    from lightkube.types import OnErrorAction, OnErrorResult

    action = OnErrorAction.RETRY if count < 10 else OnErrorAction.RAISE
    return OnErrorResult(action, sleep=min(0.5 * count, 5.0))


def _no_such_resource(kind: str) -> CliError:
    hint = _FILES_HINT if kind in _OTHERS else _INSTALL_HINT
    return CliError(f"this cluster has no {kind} resource", hint=hint)


def _api_failure(error: Any, what: str, verb: str, where: str, role: str) -> CliError:
    code, message = error.status.code, error.status.message or ""
    ours = what.partition(" ")[0] not in _OTHERS
    _, by_policy, why = message.partition(" denied request: ")
    if by_policy:
        return RefusedError(why)
    if code == 401:
        return CliError("the cluster does not know who you are: log in again")
    if code == 403:
        needed = role or (_READER if verb == "read" and ours else "")
        hint = f"ask an administrator for ClusterRole {needed} in {where}" if needed else ""
        return CliError(f"you may not {verb} {what} in {where}: {message}", hint=hint)
    if code == 404 and "could not find the requested resource" in message:
        return _no_such_resource(what.partition(" ")[0])
    if code == 404:
        there = f"mooring list -n {where.split()[-1]} shows what there is, and mooring list -A elsewhere"
        hint = there if " " in what and ours else ""
        return CliError(f"{what} does not exist in {where}", hint=hint)
    return CliError(f"the cluster refuses to {verb} {what}: {message or f'HTTP {code}'}")
