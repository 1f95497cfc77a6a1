"""Whose an object is, and what is put right of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.objects.ownership import already_says, name_taken, owner_reference, whose

OWNER = Owner("team-a", "digits", "uid-1", 1)
OURS = {"manager": "mooring", "operation": "Apply", "fieldsV1": {"f:spec": {}}}


def service(**metadata):
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "digits", "namespace": "team-a", **metadata},
        "spec": {"predictor": {"minReplicas": 1}},
    }


def owned(**changes):
    return {"ownerReferences": [{**owner_reference(OWNER), **changes}]}


CASES = {
    "controlled by us": (owned(), "ours"),
    "controlled by an earlier resource of our name": (owned(uid="uid-0"), "leaving"),
    "controlled by a resource of another name": (owned(uid="uid-0", name="other"), "foreign"),
    "controlled by another kind of our name": (owned(uid="uid-0", kind="Deployment"), "foreign"),
    "controlled by our kind in another group": (owned(uid="uid-0", apiVersion="x.dev/v1"), "foreign"),
    "owned by us, controlled by nobody": (owned(controller=False), "foreign"),
    "nobody's, nobody applied": ({}, "foreign"),
    "nobody's, applied by us": ({"managedFields": [OURS]}, "ours"),
    "nobody's, annotated by us": ({"managedFields": [{**OURS, "fieldsV1": {"f:metadata": {}}}]}, "foreign"),
    "nobody's, handed over": ({"annotations": {"mooring.dev/adopt": "digits"}}, "ours"),
    "nobody's, handed to another": ({"annotations": {"mooring.dev/adopt": "digits2"}}, "foreign"),
    "somebody's, handed over": (
        {**owned(uid="uid-0", name="other"), "annotations": {"mooring.dev/adopt": "digits"}},
        "foreign",
    ),
    "somebody's, applied by us": ({**owned(uid="uid-0", name="other"), "managedFields": [OURS]}, "foreign"),
}


@pytest.mark.parametrize("case", CASES)
def test_whose_an_object_is(case):
    metadata, expected = CASES[case]
    assert whose(service(**metadata), OWNER) == expected


texts = st.text(max_size=12)
references = st.fixed_dictionaries(
    {"apiVersion": texts, "kind": texts | st.just("ModelDeployment"), "name": texts, "uid": texts},
    optional={"controller": st.booleans()},
)
entries = st.fixed_dictionaries(
    {
        "manager": texts.filter(lambda name: name != "mooring"),
        "operation": st.sampled_from(["Apply", "Update"]),
    },
    optional={"fieldsV1": st.just({"f:spec": {}})},
)


@given(
    st.lists(references, max_size=4),
    st.lists(entries, max_size=4),
    st.dictionaries(texts | st.just("mooring.dev/applied"), texts, max_size=4),
    st.dictionaries(texts | st.just("app.kubernetes.io/managed-by"), texts | st.just("mooring"), max_size=4),
)
def test_nothing_makes_a_strangers_object_ours(owners, managed, annotations, labels):
    annotations.pop("mooring.dev/adopt", None)
    owners = [owner for owner in owners if owner["uid"] != OWNER.uid]
    found = service(ownerReferences=owners, managedFields=managed, annotations=annotations, labels=labels)
    assert whose(found, OWNER) in ("foreign", "leaving")


WANTED = service(labels={"a": "1"}, annotations={"b": "2"}, **owned())


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"labels": {"a": "1", "team": "x"}}, True),
        ({"annotations": {"b": "2", "c": "3"}}, True),
        ({"ownerReferences": [{"uid": "x", "kind": "y"}, owner_reference(OWNER)]}, True),
        ({"labels": {}}, False),
        ({"labels": None}, False),
        ({"labels": {"a": "2"}}, False),
        ({"annotations": {"b": ""}}, False),
        ({"ownerReferences": []}, False),
        ({"ownerReferences": [{**owner_reference(OWNER), "controller": False}]}, False),
    ],
)
def test_what_was_taken_of_our_part_is_noticed(change, same):
    seen = {**WANTED, "metadata": {**WANTED["metadata"], **change}}
    assert already_says(seen, WANTED) is same


def test_changed_spec_is_noticed():
    assert not already_says({**WANTED, "spec": {"predictor": {"minReplicas": 2}}}, WANTED)


def test_message_tells_how_to_hand_an_object_over():
    assert name_taken(service(), OWNER).endswith(
        "kubectl annotate inferenceservice.serving.kserve.io digits mooring.dev/adopt=digits"
    )
    controlled = service(**owned(uid="uid-0", name="other"))
    assert "belongs to ModelDeployment other" in name_taken(controlled, OWNER)
    assert "annotate" not in name_taken(controlled, OWNER)
