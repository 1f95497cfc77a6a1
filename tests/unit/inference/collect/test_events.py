"""Headers of KServe's logger become events, or one clear error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.collect.events import Event, Place, UnknownTypeError, read_event
from mooring_inference.errors import RequestError

from tests.unit.inference.collect.logger_events import headers, raw


def test_an_event_is_what_its_headers_say():
    said = headers(
        False,
        metadata={"X-Request-Id": ["mine"], "Inference-Header-Content-Length": ["120"]},
        ce_endpoint="canary",
    )
    assert read_event(raw(said)) == Event(
        "a1", False, Place("digits", "canary"), "ml", "predictor", "mine", 120
    )


def test_the_first_versions_of_the_logger_name_no_component_and_no_metadata():
    event = read_event(raw(headers(ce_component=None, ce_metadata=None, ce_endpoint=None)))
    assert (event.component, event.request_id, event.header_length) == ("", None, None)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"ce_id": None}, "ce-id"),
        ({"ce_id": "x" * 257}, "ce-id"),
        ({"ce_id": "a\x07b"}, "ce-id"),
        ({"ce_inferenceservicename": ""}, "ce-inferenceservicename"),
        ({"ce_inferenceservicename": "x" * 254}, "ce-inferenceservicename"),
        ({"ce_specversion": None}, "ce-specversion"),
        ({"ce_specversion": "2.0"}, "ce-specversion"),
        ({"ce_type": "org.kubeflow.serving.inference.other"}, "ce-type"),
        ({"ce_type": None}, "ce-type"),
        ({"ce_metadata": "{"}, "ce-metadata"),
        ({"ce_metadata": "[]"}, "ce-metadata"),
        ({"content_type": "application/cloudevents+json"}, "content-type"),
    ],
)
def test_a_wrong_header_is_named(changed, field):
    with pytest.raises(RequestError) as caught:
        read_event(raw(headers(**changed)))
    assert caught.value.field == field
    assert isinstance(caught.value, UnknownTypeError) == (
        field == "ce-type" and changed["ce_type"] is not None
    )


@pytest.mark.parametrize("length", ["-1", "1e3", "", "²", "9" * 13])
def test_a_length_that_is_none_is_as_if_it_were_not_said(length):
    said = headers(metadata={"Inference-Header-Content-Length": [length]})
    assert read_event(raw(said)).header_length is None


@given(st.dictionaries(st.sampled_from(sorted(raw(headers()))), st.binary(max_size=40)))
def test_whatever_headers_hold_is_an_event_or_a_refusal(changed):
    try:
        event = read_event(raw(headers()) | changed)
    except RequestError:
        return
    assert event.id.isprintable()
    assert event.place.service.isprintable()
