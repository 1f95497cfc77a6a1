"""The few calls to an API server that a cluster needs to set itself up, on the standard library alone."""

from __future__ import annotations

import copy
import http.client
import json
import select
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]

_MANAGER = "mooring-cluster"
_BUSY_S = 30.0


class ApiError(Exception):
    """The API server refused a request. ``code`` is the HTTP status, ``message`` its own words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class _Kept(threading.local):
    """A connection of each thread, kept between its requests: a new one costs more than most requests do."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        self._connection = http.client.HTTPSConnection(address, context=context, timeout=60)

    def open(self) -> http.client.HTTPSConnection:
        """Give it, to be opened anew where the API server has closed it."""
        if self._connection.sock is not None:
            # Nothing is to come before the next request but the end.
            ended = select.poll()
            ended.register(self._connection.sock, select.POLLIN)
            if ended.poll(0):
                self._connection.close()
        return self._connection


class Api:
    """An API server and the token to use it."""

    def __init__(self, server: str, *, token: str, authority: bytes) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}
        context = ssl.create_default_context(cadata=authority.decode())
        self._kept = _Kept(urlsplit(server).netloc, context)
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def acting_as(self, user: str) -> Api:
        """The same API server as another user, who needs no credentials: the token's owner may impersonate."""
        other = copy.copy(self)
        other._headers = {**self._headers, "Impersonate-User": user}
        return other

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        content: str = "application/json",
    ) -> Object:
        """Send a request. ``body`` is an object, or bytes of type ``content``."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        deadline = time.monotonic() + _BUSY_S
        while True:
            try:
                return self._send(method, path, data, {**self._headers, "Content-Type": content})
            except ApiError as error:
                # Kinds that were just defined answer this for a moment.
                if error.code != 429 or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def get(self, path: str) -> Object | None:
        """An object, or None if it does not exist."""
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def items(self, path: str) -> list[Object]:
        """The objects of a collection."""
        found: list[Object] = self.request("GET", path)["items"]
        return found

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Create an object; the API server's answer."""
        return self.request("POST", self.path(manifest).rpartition("/")[0], manifest)

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        """Create or change an object by server-side apply."""
        return self.apply_text(self.path(manifest), json.dumps(manifest).encode())

    def apply_text(self, path: str, manifest: bytes) -> Object:
        """Apply a YAML document as it is: the largest definitions take seconds to parse here."""
        query = f"?fieldManager={_MANAGER}&force=true"
        return self.request("PATCH", path + query, manifest, content="application/apply-patch+yaml")

    def merge(self, path: str, patch: Mapping[str, Any]) -> Object:
        """Change an object by a merge patch. ``PATH/status`` changes its status."""
        return self.request("PATCH", path, patch, content="application/merge-patch+json")

    def delete(self, path: str) -> None:
        """Delete an object, if it exists."""
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.code != 404:
                raise

    def path(self, manifest: Mapping[str, Any]) -> str:
        """Where an object lives, such as ``/api/v1/namespaces/default/configmaps/x``."""
        version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        plural, namespaced = self._plural(version, kind)
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        namespace = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{root}{namespace}/{plural}/{metadata.get('name', '')}"

    def _send(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Object:
        connection = self._kept.open()
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            text = response.read()
        except BaseException:
            # What is left of the answer is none to the next request.
            connection.close()
            raise
        if response.status >= 400:
            raise ApiError(response.status, _message(text))
        result: Object = json.loads(text) if text.startswith(b"{") else {}
        return result

    def _plural(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._plurals:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for resource in self.request("GET", root)["resources"]:
                if "/" not in resource["name"]:
                    self._plurals[version, resource["kind"]] = resource["name"], resource["namespaced"]
        return self._plurals[version, kind]


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:500]
