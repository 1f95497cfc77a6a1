"""What the demo counts of labels that come late."""

import asyncio
import json

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster.demo import labels
from cluster.demo.manifests import BY_LABELS, NAMESPACE, accuracy_template
from cluster.demo.models import exchange


def answer(label):
    return {"outputs": [{"name": "probabilities", "data": [0.5]}, {"name": "label", "data": [label]}]}


@pytest.fixture
def late(tmp_path):
    with labels.LateLabels([3, 8], tmp_path) as late:
        yield late


def counted(folder):
    (found,) = json.loads((folder / "labels.json").read_text())
    assert found["labels"] == {"namespace": NAMESPACE}
    (address,) = found["targets"]
    page = httpx.get(f"http://{address}/metrics").text
    samples = [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "labelled_total"
    ]
    return {(found["model"], found["revision"], found["correct"]): value for found, value in samples}


async def test_an_answer_is_counted_when_its_label_is_known(late, tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "LATE_S", 3600)
    late.answered(0, "new", answer(3))
    assert counted(tmp_path) == {}
    monkeypatch.setattr(labels, "LATE_S", 0)
    late.answered(0, "new", answer(8))
    late.answered(1, "new", answer(8))
    late.answered(1, "old", answer(8))
    async with asyncio.timeout(30):
        while late.known.total() < 3:
            await asyncio.sleep(0)
    expected = {("digits", "new", "false"): 1, ("digits", "new", "true"): 1, ("digits", "old", "true"): 1}
    assert counted(tmp_path) == expected
    assert late.told("new") == "1 of 2 answers were wrong"


def test_the_template_of_the_documentation_asks_for_what_is_counted():
    (template,) = BY_LABELS["analysis"]["templates"]
    shipped = accuracy_template()
    assert shipped["metadata"] == {"name": template["name"], "namespace": NAMESPACE}
    (rate,) = shipped["spec"]["rates"]
    assert rate["good"] == {"counter": "labelled_total", "labels": {"model": "{{name}}", "correct": "true"}}


def test_a_faulty_export_exchanges_labels_and_loses_none():
    assert exchange(exchange(range(10))).tolist() == [*range(10)]
    assert (exchange(range(10)) != range(10)).sum() == 4
