"""Fixtures for tests that need a real API server. A test run starts each cluster once, where it is used."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cluster.building import build
from cluster.control_plane import ControlPlane
from cluster.object_store import ObjectStore
from cluster.programs import ProgramUnavailableError
from cluster.stand_ins import NodeStandIn


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd and an API server; skips where they cannot be had. The first use builds them."""
    yield from _running()


@pytest.fixture(scope="session")
def kserve_cluster() -> Iterator[ControlPlane]:
    """A control plane with controllers and KServe; skips where they cannot be had."""
    yield from _running("controller-manager", "kserve")


@pytest.fixture(scope="session")
def gitops() -> None:
    """What `cluster.gitops.judge` runs; skips where it cannot be had."""
    try:
        build(["gitops"])
    except ProgramUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A real S3 server with a bucket; skips where it cannot be had."""
    store = ObjectStore()
    try:
        store.__enter__()
    except ProgramUnavailableError as error:
        pytest.skip(str(error))
    yield store
    store.__exit__(None, None, None)


@pytest.fixture
def s3_store(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """That server, as what this process' variables name; nothing else of theirs is left."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    return object_store


@pytest.fixture
def node(kserve_cluster: ControlPlane) -> Iterator[NodeStandIn]:
    """Runs the pods and accepts the routes of ``kserve_cluster`` while the test lasts."""
    with NodeStandIn(kserve_cluster.api) as stand_in:
        yield stand_in


def _running(*extras: str) -> Iterator[ControlPlane]:
    control_plane = ControlPlane(extras)
    try:
        control_plane.start()
    except ProgramUnavailableError as error:
        pytest.skip(str(error))
    yield control_plane
    control_plane.stop()
