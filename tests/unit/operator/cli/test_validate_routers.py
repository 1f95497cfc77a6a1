"""`mooring validate` says what the router of a deployment would refuse, as far as a manifest tells which one it is."""

import pytest
import yaml
from mooring_operator.cli.validation.check import check_document
from mooring_operator.cli.validation.source import read_objects

from tests.unit.spec_case import Case

TRANSFORMER = {"transformer": {"containers": [{"name": "a", "image": "b"}]}}


def problems(**patch):
    text = yaml.safe_dump(Case("", {name.replace("_", "."): value for name, value in patch.items()}).manifest)
    [document] = read_objects(text)
    return [(problem.field, problem.message) for problem in check_document(document).problems]


@pytest.mark.parametrize(
    ("rollout", "field"),
    [
        ({"router": "KServe", "strategy": "Recreate"}, "strategy"),
        ({"router": "Endpoints", "strategy": "Shadow"}, "strategy"),
        ({"router": "Endpoints", "strategy": "ABTest", "abTest": {"sticky": "arm"}}, "abTest.sticky"),
        ({"router": "KServe", "steps": [{"setWeight": 0}, {"setWeight": 100}]}, "steps"),
        ({"router": "KServe", "maxSurge": 1}, "maxSurge"),
        ({"router": "Endpoints", "maxSurge": 1}, "maxSurge"),
        (
            {"router": "Endpoints", "steps": [{"setReplicas": 2}, {"setWeight": 50}, {"setWeight": 100}]},
            "steps",
        ),
        ({"router": "Endpoints", "strategy": "ABTest", "abTest": {"replicas": 2}}, "abTest.replicas"),
    ],
)
def test_a_router_that_is_named_is_held_against_the_strategy(rollout, field):
    [(where, message)] = problems(spec_rollout=rollout)
    assert where == f"spec.rollout.{field}"
    assert message.startswith(f"spec.rollout.{field}")
    assert f"router {rollout['router']} cannot" in message
    assert problems(spec_rollout={**rollout, "router": "Gateway"}) == []
    assert problems(spec_rollout={**rollout, "router": "Auto"}) == []


@pytest.mark.parametrize(
    ("router", "serving", "told"),
    [
        ("KServe", {"runtimePolicy": "Pinned"}, True),
        ("Auto", {"runtimePolicy": "Pinned", "mode": "Knative"}, True),
        ("KServe", {"runtimePolicy": "Follow"}, False),
        ("Auto", {"runtimePolicy": "Pinned"}, False),
        ("Endpoints", {"runtimePolicy": "Pinned"}, False),
    ],
)
def test_a_runtime_that_no_router_pins_is_said(router, serving, told):
    found = problems(spec_rollout={"router": router}, spec_serving=serving)
    assert [where for where, _ in found] == ["spec.serving.runtimePolicy"] * told


def test_mode_knative_has_one_router():
    [(where, message)] = problems(spec_rollout={"strategy": "BlueGreen"}, spec_serving={"mode": "Knative"})
    assert (where, "router Knative cannot" in message) == ("spec.rollout.strategy", True)


@pytest.mark.parametrize(
    ("router", "serving", "most"),
    [("Gateway", {}, 42), ("Auto", {}, 42), ("KServe", {}, 40), ("Gateway", TRANSFORMER, 40)],
)
def test_a_name_and_its_namespace_have_to_fit_into_host_names(router, serving, most):
    def found(length):
        names = {"metadata_name": "a" * 20, "metadata_namespace": "b" * (length - 20)}
        return problems(**names, spec_rollout={"router": router}, spec_serving=serving)

    assert found(most) == []
    [(where, message)] = found(most + 1)
    assert (where, message.endswith("choose a shorter name")) == ("metadata.name", True)
    assert f"have {most + 1} characters together" in message
