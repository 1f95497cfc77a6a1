"""One connection to the API server: requests, their count, and what bad answers mean."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
from lightkube import ConfigError, KubeConfig, SingleConfig
from lightkube.config.client_adapter import AsyncClient, ConnectionParams, user_auth
from lightkube.config.models import User

from mooring_operator.adapters.cluster import (
    Conflict,
    Forbidden,
    InvalidName,
    Manifest,
    Ref,
    Refused,
    Unavailable,
)
from mooring_operator.api import forms
from mooring_operator.api.forms import Form

_CONNECT_TIMEOUT = 5.0
_REQUEST_TIMEOUT = 30.0
_UNAVAILABLE = (401, 408, 429)
# What the API server answers 500 to, and always will: an apply that does not fit the kind's schema, and an object
# that etcd does not take.
_UNFIT = ("failed to create typed patch object", "etcdserver: request is too large")
_JSON = "application/json"
_NOT_ALLOWED = " is forbidden: User "
"""How RBAC says no; a webhook, a policy or a quota says it in other words."""

Count = Callable[[str, str, int], None]
"""Is told of every request: verb, resource and status code; 0 where no answer came."""


def load_config(kubeconfig: Path | None = None) -> SingleConfig:
    """Find the API server and the credentials: `kubeconfig`, or the pod's, or KUBECONFIG, or ~/.kube/config.

    Raises:
        ConfigError: there is none, or it is broken.
    """
    try:
        config = (KubeConfig.from_env() if kubeconfig is None else KubeConfig.from_file(kubeconfig)).get()
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"the Kubernetes configuration cannot be read: {error!r}") from error
    if config is None:
        raise ConfigError("the Kubernetes configuration names no current context")
    # Nobody in particular, as behind `kubectl proxy`; lightkube insists on somebody.
    return config if config.user is not None else config._replace(user=User())


async def authorization(config: SingleConfig) -> str | None:
    """Give the Authorization header's value as of now; None where a certificate, or nobody, speaks for us.

    Raises:
        ConfigError: the token's file or the credential plugin does not give one.
    """
    auth = user_auth(config.user)
    if auth is None:
        return None
    request = httpx2.Request("GET", config.cluster.server)
    flow = auth.async_auth_flow(request)
    await anext(flow)
    await flow.aclose()
    return request.headers.get("Authorization")


class Connection:
    """Sends requests, counts them, and turns bad answers into `ClusterError`."""

    def __init__(self, config: SingleConfig, count: Count = lambda verb, resource, code: None) -> None:
        timeout = httpx2.Timeout(_REQUEST_TIMEOUT, connect=_CONNECT_TIMEOUT)
        self._http = AsyncClient(config, ConnectionParams(timeout=timeout))
        self._count = count

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        resource: str,
        body: Any = None,
        content_type: str = _JSON,
        params: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Send one request; give the answer's JSON.

        Raises:
            Conflict: status 409.
            Unavailable: no answer, or one that says to come again; Forbidden where a permission is missing.
            NotFound: status 404.
            Refused: any other status of 400 and above.
        """
        headers = {"Accept": _JSON}
        content = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = json.dumps(body, separators=(",", ":")).encode()
        try:
            response = await self._http.request(method, path, content=content, params=params, headers=headers)
        except (httpx2.HTTPError, ConfigError, OSError) as error:
            self._count(verb, resource, 0)
            raise Unavailable(f"the API server does not answer: {error!r}") from error
        self._count(verb, resource, response.status_code)
        if response.status_code >= 400:
            raise _error(response)
        answer: Manifest = response.json()
        return answer


class NotFound(Refused):
    """There is no such object; or, where `kind_unknown`, no such kind."""

    def __init__(self, message: str, *, kind_unknown: bool) -> None:
        super().__init__(message)
        self.kind_unknown = kind_unknown


def _error(response: httpx2.Response) -> Conflict | Unavailable | Refused:
    code, message = response.status_code, _message(response)
    if code == 409:
        return Conflict(message)
    if code == 403 and _NOT_ALLOWED in message:
        # Nothing is wrong with the object: the operator lacks a permission, and may get it.
        return Forbidden(message)
    if (code >= 500 and not message.startswith(_UNFIT)) or code in _UNAVAILABLE:
        return Unavailable(message, _retry_after(response))
    if code == 404:
        # Only paths that no API serves are answered without a Status.
        return NotFound(message, kind_unknown=not _is_json(response))
    return Refused(message)


def _is_json(response: httpx2.Response) -> bool:
    return bool(response.headers.get("Content-Type", "").startswith(_JSON))


def _message(response: httpx2.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:200].strip()}"


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def group_path(api_version: str) -> str:
    """Give the path of one version of an API group.

    Raises:
        InvalidName: it is none.
    """
    version = _checked("apiVersion", api_version, forms.API_VERSION)
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def collection_path(api_version: str, plural: str, namespace: str | None) -> str:
    """Give the path of all objects of a kind, in one namespace or in all.

    Raises:
        InvalidName: a part would not be one segment of the path, or is no name that Kubernetes gives.
    """
    segments = [group_path(api_version)]
    if namespace is not None:
        segments += ["namespaces", _checked("namespace", namespace, forms.LABEL)]
    return "/".join([*segments, _checked("plural", plural, forms.LABEL)])


def object_path(ref: Ref) -> str:
    """Give the path of one object.

    Raises:
        InvalidName: as `collection_path`.
    """
    name = _checked(f"{ref.kind.kind}: name", ref.name, forms.OBJECT_NAME)
    namespace = ref.namespace if ref.kind.namespaced else None
    return f"{collection_path(ref.kind.api_version, ref.kind.plural, namespace)}/{name}"


def label_selector(labels: Mapping[str, str]) -> str:
    """Give the selector of what has all of `labels`.

    Raises:
        InvalidName: a key or a value is none of a label, and would select something else.
    """
    return ",".join(
        f"{_checked('label', key, forms.LABEL_KEY)}={_checked(f'label {key}', value, forms.LABEL_VALUE)}"
        for key, value in labels.items()
    )


def _checked(what: str, name: str, form: Form) -> str:
    if not form.fits(name):
        raise InvalidName(f"{what} {name!r:.80} is not {form.allowed}")
    return name
