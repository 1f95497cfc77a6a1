"""What kopf tells is passed on: what changed, what is gone, and what is only there when a watch begins."""

import asyncio

import kopf
import pytest
from lightkube import SingleConfig
from lightkube.config.models import Cluster, Context, User
from mooring_operator import handlers

CONFIG = SingleConfig(
    context_name="c",
    context=Context(cluster="c", user="u"),
    cluster=Cluster(server="http://api"),
    user=User(),
)
OURS = {"modeldeployments": "ModelDeployment", "driftmonitors": "DriftMonitor"}
BEHIND = ("inferenceservices", "services", "endpointslices", "httproutes")


class Intake:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *args, **options: self.told.append((name, *args, options))


def told(plural, type):
    """Have kopf's handler of a kind called with an event; give what the intake is told."""
    registry, intake = kopf.OperatorRegistry(), Intake()
    handlers.register(registry, intake, CONFIG, namespaced=False, cluster_policies=True)
    (handler,) = [
        found
        for found in registry._watching.get_all_handlers()
        if plural in (found.selector.plural, found.selector.any_name)
    ]
    asyncio.run(handler.fn(event={"type": type, "object": {"metadata": {"name": "x"}}}))
    return intake.told


RESOURCE = {"metadata": {"name": "x"}}


@pytest.mark.parametrize(("type", "listed"), [(None, True), ("ADDED", False), ("MODIFIED", False)])
@pytest.mark.parametrize("plural", OURS)
def test_what_is_listed_is_told_from_what_changes(plural, type, listed):
    assert told(plural, type) == [("changed", OURS[plural], RESOURCE, {"listed": listed})]


@pytest.mark.parametrize(("type", "listed"), [(None, True), ("ADDED", False), ("MODIFIED", False)])
@pytest.mark.parametrize("plural", BEHIND)
def test_what_is_behind_a_deployment_too(plural, type, listed):
    assert told(plural, type) == [("behind_changed", RESOURCE, {"listed": listed})]


def test_what_is_gone_is_told_as_such():
    assert told("modeldeployments", "DELETED") == [("deleted", "ModelDeployment", RESOURCE, {})]
    assert told("inferenceservices", "DELETED") == [("behind_gone", RESOURCE, {})]
