"""Finds the InferenceService that a request is for, by path or by host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.serving.service import Service

Key = tuple[str, str]


@dataclass(frozen=True)
class Target:
    """Where a request goes.

    Attributes:
        service: the InferenceService.
        deployment: the one deployment asked for, as by KServe's Services; None for a share of all.
        path: what the model server sees, percent-encoded as it came.
    """

    service: Service
    deployment: str | None
    path: bytes


class Directory:
    """All InferenceServices by namespace and name."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._services: dict[Key, Service] = {}
        self._hosts: dict[str, Service] = {}

    def __iter__(self) -> Iterator[Service]:
        return iter(list(self._services.values()))

    def get(self, key: Key) -> Service | None:
        """The InferenceService of (namespace, name)."""
        return self._services.get(key)

    def keys(self) -> list[Key]:
        """All (namespace, name)."""
        return list(self._services)

    def add(self, service: Service) -> None:
        """Route to a service from now on."""
        self._services[service.namespace, service.name] = service
        self._hosts[self._host(service)] = service

    def remove(self, key: Key) -> Service | None:
        """Route to it no more."""
        service = self._services.pop(key, None)
        if service is not None:
            self._hosts.pop(self._host(service), None)
        return service

    def resolve(self, host: str, raw_path: bytes) -> Target | None:
        """The target of ``/NAMESPACE/NAME/...`` or of the host ``NAME-NAMESPACE.DOMAIN``.

        NAME may be an InferenceService, ``ISVC-predictor`` (the same split) or one deployment of it.
        """
        by_host = self._hosts.get(host.rpartition(":")[0] or host)
        if by_host is not None:
            return Target(by_host, None, raw_path)
        parts = raw_path.split(b"/", 3)
        if len(parts) < 3:
            return None
        namespace, name = parts[1].decode("latin-1"), parts[2].decode("latin-1")
        rest = b"/" + parts[3] if len(parts) == 4 else b"/"
        service = self._services.get((namespace, name)) or self._services.get(
            (namespace, name.removesuffix("-predictor"))
        )
        if service is not None:
            return Target(service, None, rest)
        for candidate in self._services.values():
            if candidate.namespace == namespace and name in candidate.fleet.names():
                return Target(candidate, name, rest)
        return None

    def _host(self, service: Service) -> str:
        return f"{service.name}-{service.namespace}.{self._domain}"
