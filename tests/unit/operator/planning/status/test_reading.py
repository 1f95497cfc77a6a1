"""A status of any form is read as far as it can be, and what is served is never guessed at."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.rollout_status import Candidate, HistoryEntry, ModelDeploymentStatus, Revision
from mooring_operator.api.types import Condition
from mooring_operator.planning.status.conditions import RECONCILED
from mooring_operator.planning.status.reading import Unreadable, read_status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = {"revision": "3f2a91c0de", "model_uri": "s3://m/v1", "storage_uri": "s3://m/v1", "format": "onnx"}
STATUS = ModelDeploymentStatus(
    observed_generation=3,
    phase="Canary",
    reason="Pausing",
    message="a step",
    stable=Revision(**MODEL, serving={"minReplicas": 2}),
    candidate=Candidate(**MODEL, started_at=NOW, step_started_at=NOW, weight=10),
    previous=Revision(**MODEL),
    history=[
        HistoryEntry(
            revision=name,
            model_uri="s3://m",
            outcome="Promoted",
            reason="Promoted",
            started_at=NOW,
            finished_at=NOW,
        )
        for name in ("one", "two", "three")
    ],
    conditions=[Condition(type="Ready", status="Unknown", reason="Pausing", last_transition_time=NOW)],
)


def wire(**changes):
    status = STATUS.model_dump(mode="json", by_alias=True, exclude_none=True)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = status
        for part in parents:
            node = node[int(part) if part.isdigit() else part]
        node[int(last) if last.isdigit() else last] = value
    return status


def test_a_status_that_is_whole_is_read_whole():
    read = read_status(ModelDeploymentStatus, wire())
    assert (read.status, read.lost) == (STATUS, ())
    assert read_status(ModelDeploymentStatus, None).status == ModelDeploymentStatus()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"phase": "Analyzing"}, "phase"),
        ({"candidate__startedAt": "yesterday"}, "candidate"),
        ({"candidate__serving": {"minReplicas": "many"}}, "candidate"),
        ({"previous__serving": {"newField": 1}}, "previous"),
        ({"previous": "v1"}, "previous"),
        ({"ci": {"state": "Running"}}, "ci"),
        ({"observedGeneration": "three"}, "observed_generation"),
    ],
)
def test_a_field_that_cannot_be_read_is_left_out_and_named(changes, field):
    read = read_status(ModelDeploymentStatus, wire(**changes))
    assert read.status == STATUS.model_copy(
        update={field: ModelDeploymentStatus.model_fields[field].get_default()}
    )
    (path,) = {one.split(":")[0].split(".")[1] for one in read.lost}
    assert path == next(iter(changes)).split("__")[0]


def test_of_a_list_only_the_item_is_left_out():
    read = read_status(
        ModelDeploymentStatus, wire(history__1__outcome="Archived", conditions__0__status="Maybe")
    )
    assert [entry.revision for entry in read.status.history] == ["one", "three"]
    assert read.status.conditions == []
    assert len(read.lost) == 2


def test_texts_that_are_too_long_are_cut():
    read = read_status(ModelDeploymentStatus, wire(message="x" * 5000, history__0__message="y" * 5000))
    assert read.lost == ()
    assert (len(read.status.message), len(read.status.history[0].message)) == (1024, 256)
    assert read.status.message.endswith("x…")


@pytest.mark.parametrize(
    "stable", ["v1", {}, {**MODEL, "revision": 7}, wire(stable__serving={"env": "none"})["stable"]]
)
def test_a_stable_revision_that_cannot_be_read_is_not_guessed_at(stable):
    with pytest.raises(Unreadable, match=r"status\.stable.* what is served stays as it is") as raised:
        read_status(ModelDeploymentStatus, wire(phase="Unknown", stable=stable))
    assert str(raised.value).startswith("status.stable")


def test_the_word_of_a_failed_reconcile_is_not_read():
    failed = {
        "type": RECONCILED,
        "status": "False",
        "reason": "X",
        "message": "",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
    }
    status = wire()
    status["conditions"].append(failed)
    assert read_status(ModelDeploymentStatus, status).status == STATUS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
FIELDS = sorted(set(wire()) | {"ci", "rejected", "batch", "model", "url", "observed_generation", "nonsense"})


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6), st.sampled_from(["whole", "part"]))
def test_any_status_is_read_or_refused_with_words(damage, how):
    status = {**(wire() if how == "whole" else {}), **damage}
    try:
        read = read_status(ModelDeploymentStatus, status)
    except Unreadable as error:
        refusal = str(error)
        assert refusal.startswith("status.")
        return
    again = read.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert read_status(ModelDeploymentStatus, again) == type(read)(read.status)


@given(JSON)
def test_any_status_of_a_monitor_is_read(found):
    read_status(DriftMonitorStatus, found)
