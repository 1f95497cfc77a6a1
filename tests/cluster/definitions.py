"""Installs definitions on a real API server, and waits until objects of their kinds are accepted."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mooring_operator.adapters.api_server import Connection, NotFound, load_config
from mooring_operator.api.crds import RESOURCES, custom_resource_definition

_COLLECTION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_APPLY = {"fieldManager": "tests", "force": "true"}


async def install(connection: Connection, others: Iterable[dict[str, Any]] = ()) -> None:
    """Apply Mooring's definitions and the `others`; another module's definition of the same kind is kept."""
    ours = [custom_resource_definition(resource) for resource in RESOURCES]
    for definition in ours:
        await put_definition(connection, definition)
    for definition in others:
        try:
            await connection.send(
                "get", "GET", f"{_COLLECTION}/{definition['metadata']['name']}", resource=""
            )
        except NotFound:
            await put_definition(connection, definition)
    async with asyncio.timeout(60):
        for definition in [*ours, *others]:
            await _served(connection, definition["spec"])


def install_for_a_module(kubeconfig: Path, others: Iterable[dict[str, Any]] = ()) -> None:
    """`install` where no event loop runs: the API server takes seconds for a definition, be it the same as before."""

    async def go() -> None:
        connection = Connection(load_config(kubeconfig))
        try:
            await install(connection, others)
        finally:
            await connection.close()

    asyncio.run(go())


async def put_definition(connection: Connection, definition: dict[str, Any]) -> None:
    """Apply one definition."""
    await connection.send(
        "patch",
        "PATCH",
        f"{_COLLECTION}/{definition['metadata']['name']}",
        resource="",
        body=definition,
        content_type="application/apply-patch+yaml",
        params=_APPLY,
    )


async def _served(connection: Connection, spec: dict[str, Any]) -> None:
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
    while True:
        try:
            await connection.send("list", "GET", path, resource="", params={"limit": "1"})
            return
        except NotFound:
            await asyncio.sleep(0.1)
