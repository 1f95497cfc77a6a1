"""Which ClusterModelPolicies bind a namespace: what is looked up, how often, and what is said when it cannot be."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.cluster import Forbidden, Unavailable
from mooring_operator.api.cluster_model_policy import NamespaceSelector
from mooring_operator.reconcile.cluster_policies import ClusterPolicies


class Cluster:
    """Counts what is asked of it."""

    def __init__(self, policies, labels=None):
        self.policies, self.labels, self.asked = policies, labels or {}, []
        self.error = self.blocked = None

    async def list(self, kind, **_):
        self.asked.append(kind.plural)
        found = [{"metadata": {"name": name}, "spec": spec} for name, spec in self.policies.items()]
        if self.blocked is not None:
            await self.blocked.wait()
        if self.error is not None:
            raise self.error
        return found

    async def get(self, ref):
        self.asked.append(f"namespaces/{ref.name}")
        if ref.name not in self.labels:
            return None
        return {"metadata": {"name": ref.name, "labels": self.labels[ref.name]}}


def selects(**labels):
    return {"namespaceSelector": {"matchLabels": labels}}


@pytest.fixture
def clock():
    return [0.0]


def lookup(cluster, clock=None, **options):
    return ClusterPolicies(cluster, clock=lambda: clock[0] if clock else 0.0, **options)


async def test_those_are_given_that_select_the_namespace():
    cluster = Cluster(
        {"all": {}, "prod": selects(stage="prod"), "test": selects(stage="test")},
        {"a": {"stage": "prod"}, "b": None},
    )
    policies = lookup(cluster)
    assert list((await policies.binding("a")).policies) == ["all", "prod"]
    assert list((await policies.binding("b")).policies) == ["all"]
    assert list((await policies.binding("gone")).policies) == ["all"]


async def test_what_was_looked_up_is_shared_for_a_moment(clock):
    cluster = Cluster({"prod": selects(stage="prod")}, {"a": {"stage": "prod"}})
    policies = lookup(cluster, clock)
    for _ in range(5):
        await asyncio.gather(*(policies.binding("a") for _ in range(5)))
    assert cluster.asked.count("clustermodelpolicies") == 1
    clock[0] = 1.0
    cluster.labels = {"a": {}}
    assert (await policies.binding("a")).policies == {}
    assert cluster.asked.count("clustermodelpolicies") == 2


async def test_a_change_that_is_seen_is_looked_at_at_once():
    cluster = Cluster({})
    policies = lookup(cluster)
    assert (await policies.binding("a")).policies == {}
    cluster.policies = {"all": {}}
    policies.changed()
    assert list((await policies.binding("a")).policies) == ["all"]


async def test_a_change_during_a_list_makes_the_list_an_old_one():
    cluster = Cluster({})
    cluster.blocked = asyncio.Event()
    policies = lookup(cluster)
    first = asyncio.create_task(policies.binding("a"))
    await asyncio.sleep(0)
    cluster.policies = {"all": {}}
    policies.changed()
    cluster.blocked.set()
    await first
    assert list((await policies.binding("a")).policies) == ["all"]


async def test_namespaces_are_not_looked_at_where_there_are_no_policies():
    cluster = Cluster({})
    assert (await lookup(cluster).binding("a")).policies == {}
    assert cluster.asked == ["clustermodelpolicies"]


async def test_one_that_cannot_be_read_binds_every_namespace():
    binding = await lookup(Cluster({"new": {"requireMoon": True, **selects(stage="prod")}})).binding("a")
    assert binding.policies == {"new": None}


async def test_a_missing_right_is_said_and_an_outage_is_raised():
    cluster = Cluster({"all": {}})
    cluster.error = Forbidden("clustermodelpolicies is forbidden")
    policies = lookup(cluster)
    binding = await policies.binding("a")
    assert (
        "clustermodelpolicies is forbidden; grant it, or set MOORING_CLUSTER_POLICIES=false" in binding.error
    )
    cluster.error = Unavailable("down")
    with pytest.raises(Unavailable):
        await policies.binding("a")
    cluster.error = None
    assert list((await policies.binding("a")).policies) == ["all"]


async def test_where_they_are_not_used_nothing_is_looked_up():
    cluster = Cluster({"all": {}})
    binding = await lookup(cluster, enabled=False).binding("a")
    assert (binding.policies, binding.error, cluster.asked) == ({}, "", [])


@pytest.mark.parametrize(
    ("operator", "values", "labels", "selected"),
    [
        ("In", ["a", "b"], {"k": "b"}, True),
        ("In", ["a"], {"k": "b"}, False),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "b"}, True),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("NotIn", ["a"], {}, True),
        ("Exists", [], {"k": ""}, True),
        ("Exists", [], {"j": "x"}, False),
        ("DoesNotExist", [], {}, True),
        ("DoesNotExist", [], {"k": ""}, False),
    ],
)
def test_expressions_select_as_kubernetes_does(operator, values, labels, selected):
    expression = {"key": "k", "operator": operator, **({"values": values} if values else {})}
    assert NamespaceSelector.model_validate({"matchExpressions": [expression]}).selects(labels) == selected


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)


@given(LABELS, LABELS)
def test_labels_are_selected_where_all_are_there(wanted, labels):
    selector = NamespaceSelector.model_validate({"matchLabels": wanted})
    assert selector.selects(labels) == (wanted.items() <= labels.items())
