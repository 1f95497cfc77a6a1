"""One connection to the API server: requests, their count, and what bad answers mean."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx2
from lightkube import ConfigError, KubeConfig, SingleConfig
from lightkube.config.client_adapter import user_auth
from lightkube.config.models import User

from mooring_operator.adapters.api_http import Answer, ApiHttp, NoAnswer
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

_UNAVAILABLE = (401, 408, 429)
# What the API server answers 500 to, and always will: an apply that does not fit the kind's schema, and an object
# that etcd does not take.
_UNFIT = ("failed to create typed patch object", "etcdserver: request is too large")
_JSON = "application/json"
_NOT_ALLOWED = " is forbidden: User "
"""How RBAC says no; a webhook, a policy or a quota says it in other words."""

_NO_WORK = ("leases", "selfsubjectreviews")
"""What is sent to become the one who works, and to know who that is."""

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


class Http(Protocol):
    """What carries requests."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str],
    ) -> Answer:
        """Send one request.

        Raises:
            NoAnswer: no answer came.
        """
        ...

    async def read(self, path: str, headers: Mapping[str, str], largest: int) -> Answer:
        """Get something of which no more than `largest` bytes are read; status code 413 stands for more.

        Raises:
            NoAnswer: no answer came.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Connection:
    """Sends requests, counts them, and turns bad answers into `ClusterError`.

    may_write: whether this process may change anything now; it is asked just before each write.
    """

    def __init__(
        self,
        config: SingleConfig,
        count: Count = lambda verb, resource, code: None,
        http: Http | None = None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._http = http or ApiHttp(config)
        self._count = count
        self._may_write = may_write

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

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
                Nothing is sent where this process may not write.
            NotFound: status 404.
            Refused: any other status of 400 and above.
        """
        headers = {"Accept": _JSON}
        content = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = json.dumps(body, separators=(",", ":")).encode()
        if method != "GET" and resource not in _NO_WORK and not self._may_write():
            raise Unavailable(f"nothing is written to {resource}: another replica may lead by now")
        try:
            answer = await self._http.request(method, path, content=content, params=params, headers=headers)
        except NoAnswer as error:
            self._count(verb, resource, 0)
            raise Unavailable(f"the API server does not answer: {error}") from error
        self._count(verb, resource, answer.status)
        if answer.status >= 400:
            raise _error(answer)
        found: Manifest = json.loads(answer.content)
        return found

    async def text(self, path: str, *, resource: str, largest: int) -> tuple[int, bytes]:
        """Get what somebody behind the API server says, which is a stranger: status code and text.

        Raises:
            Unavailable: no answer; Forbidden where the API server says that a permission is missing.
        """
        headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}
        try:
            answer = await self._http.read(path, headers, largest)
        except NoAnswer as error:
            self._count("get", resource, 0)
            raise Unavailable(f"the API server does not answer: {error}") from error
        self._count("get", resource, answer.status)
        if answer.status == 403 and _NOT_ALLOWED in _message(answer):
            raise Forbidden(_message(answer)[:500])
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            # It was asked for as it is, and is not inflated.
            return 415, b""
        return answer.status, answer.content


class NotFound(Refused):
    """There is no such object; or, where `kind_unknown`, no such kind."""

    def __init__(self, message: str, *, kind_unknown: bool) -> None:
        super().__init__(message)
        self.kind_unknown = kind_unknown


def _error(answer: Answer) -> Conflict | Unavailable | Refused:
    code, message = answer.status, _message(answer)
    if code == 409:
        return Conflict(message)
    if code == 403 and _NOT_ALLOWED in message:
        # Nothing is wrong with the object: the operator lacks a permission, and may get it.
        return Forbidden(message)
    if (code >= 500 and not message.startswith(_UNFIT)) or code in _UNAVAILABLE:
        return Unavailable(message, _retry_after(answer))
    if code == 404:
        # Only paths that no API serves are answered without a Status.
        return NotFound(message, kind_unknown=not _is_json(answer))
    return Refused(message)


def _is_json(answer: Answer) -> bool:
    return bool(answer.headers.get("Content-Type", "").startswith(_JSON))


def _message(answer: Answer) -> str:
    try:
        return str(json.loads(answer.content)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.content.decode(errors='replace')[:200].strip()}"


def _retry_after(answer: Answer) -> float | None:
    try:
        return max(0.0, float(answer.headers["Retry-After"]))
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
