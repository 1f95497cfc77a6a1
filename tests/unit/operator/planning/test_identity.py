"""Revisions are what they mean, not how a spec writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import identity
from mooring_operator.planning.routes import Traits

from tests.unit.operator.planning.world import World, spec_of

MODEL = ModelSpec(uri="s3://m/v1", format="onnx")


def name(serving, **how):
    return identity.revision_of(MODEL, "sha256:1", ServingSpec.model_validate(serving), **how)


def resources(**quantities):
    return {"resources": {"requests": quantities}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (resources(cpu="1"), resources(cpu="1000m")),
        (resources(memory="1Gi"), resources(memory="1024Mi")),
        (resources(memory="1e3"), resources(memory="1k")),
        (resources(cpu=1), resources(cpu="1.0")),
        ({}, {"mode": "Standard", "minReplicas": 1, "env": [], "tolerations": []}),
        ({"minReplicas": 2}, {"minReplicas": 3, "maxReplicas": 9}),
        ({}, {"autoscaling": {"scaler": "HPA", "metric": "cpu", "target": 60}}),
        (
            {"env": [{"name": "A", "value": "1"}, {"name": "B"}]},
            {"env": [{"name": "B"}, {"name": "A", "value": "1"}]},
        ),
        (
            {"tolerations": [{"key": "a"}, {"key": "b", "operator": "Exists"}]},
            {"tolerations": [{"key": "b", "operator": "Exists"}, {"key": "a"}]},
        ),
    ],
)
def test_one_meaning_is_one_revision(one, other):
    assert name(one) == name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (resources(cpu="1"), resources(cpu="1001m")),
        (resources(memory="1Gi"), resources(memory="1G")),
        (resources(cpu="1"), {"resources": {"limits": {"cpu": "1"}}}),
        ({}, {"autoscaling": {"scaler": "None"}}),
        ({}, {"autoscaling": {"scaler": "KEDA", "metric": "cpu"}}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "01"}]}),
        ({}, {"runtime": "mine"}),
        ({}, {"gpu": {"count": 1}}),
        ({}, {"nodeSelector": {"a": "b"}}),
    ],
)
def test_another_meaning_is_another_revision(one, other):
    assert name(one) != name(other)


def test_replicas_are_content_where_another_number_starts_pods_anew():
    knative = {"mode": "Knative", "minReplicas": 1}
    more = {**knative, "minReplicas": 2}
    assert name(knative, scales_in_place=False) != name(more, scales_in_place=False)


@given(st.dictionaries(st.sampled_from(["A", "B", "C", "D"]), st.text("ab$", max_size=3)), st.randoms())
def test_the_order_of_variables_means_nothing_and_their_values_do(values, random):
    env = [{"name": key, "value": value} for key, value in values.items()]
    mixed = random.sample(env, len(env))
    assert name({"env": env}) == name({"env": mixed})
    if env:
        mixed[0] = {**mixed[0], "value": mixed[0]["value"] + "c"}
        assert name({"env": env}) != name({"env": mixed})


def promoted(**serving):
    world = World(spec_of("v1", serving=serving))
    world.settle()
    assert world.status.stable is not None
    return world, world.status.stable


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"minReplicas": 1}, {"minReplicas": 4}),
        ({"minReplicas": 1, "maxReplicas": 9}, {}),
        ({}, {"autoscaling": {"metric": "memory", "target": 70}}),
    ],
)
def test_replicas_change_in_place(before, after):
    world, stable = promoted(**before)
    world.apply(spec_of("v1", serving=after))
    world.settle()
    status = world.status
    assert (status.phase, status.candidate, len(status.history)) == ("Promoted", None, 1)
    assert status.stable is not None
    assert status.stable.revision == stable.revision
    assert status.stable.serving_spec == ServingSpec.model_validate(after)


def test_replicas_of_a_candidate_change_in_place():
    world, _ = promoted()
    steps = {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}
    world.apply(spec_of("v2", rollout=steps))
    world.settle()
    candidate = world.status.candidate
    assert candidate is not None
    world.apply(spec_of("v2", rollout=steps, serving={"minReplicas": 3}))
    world.settle()
    assert world.status.candidate is not None
    assert world.status.candidate.revision == candidate.revision
    assert world.status.candidate.started_at == candidate.started_at
    assert world.status.candidate.serving == {"minReplicas": 3}


def test_replicas_where_they_are_content_are_rolled_out():
    world = World(spec_of("v1"), Traits("Flows", 40, scales_in_place=False))
    world.settle()
    world.apply(spec_of("v1", serving={"minReplicas": 4}))
    world.settle()
    assert len(world.status.history) == 2


@pytest.mark.parametrize(
    "serving",
    [
        {"resources": {"requests": {"cpu": "1000m"}}, "minReplicas": 3},
        {"env": [{"name": "B"}, {"name": "A"}], "autoscaling": {"scaler": "None"}},
        {},
    ],
)
@pytest.mark.parametrize("then", [{}, {"minReplicas": 5}], ids=["as it is", "scaled"])
def test_what_runs_under_a_name_of_before_is_not_rolled_out_anew(serving, then):
    world, stable = promoted(**serving)
    # As it was named when every letter of spec.serving counted.
    letter = {
        "content": stable.digest or stable.storage_uri,
        "format": ["onnx", None],
        "serving": stable.serving,
    }
    former = identity.fingerprint(letter)
    renamed = stable.model_copy(update={"revision": former})
    world.status = world.status.model_copy(update={"stable": renamed})
    autoscaling = {"minReplicas": 5} if then else {}
    world.apply(spec_of("v1", serving={**serving, **autoscaling}))
    world.settle()
    assert world.status.candidate is None
    assert world.status.stable is not None
    assert world.status.stable.revision == former
    assert world.status.stable.serving_spec.min_replicas == then.get(
        "minReplicas", serving.get("minReplicas", 1)
    )


def test_what_failed_under_a_name_of_before_is_not_tried_again():
    world, _ = promoted()
    spec = spec_of("v2", serving={"resources": {"requests": {"cpu": "1000m"}}})
    world.apply(spec)
    target = identity.fingerprint(
        {
            "content": world.observe().model.content,
            "format": ["onnx", None],
            "serving": identity.serving_snapshot(spec.serving),
        }
    )
    world.status = world.status.model_copy(update={"failed_revision": target})
    world.settle()
    assert (world.status.phase, world.status.candidate) == ("Failed", None)
