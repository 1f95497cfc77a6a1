"""Texts of 100,000 characters: judged at once, and never printed as a whole."""

import json
import time

import pytest
import yaml
from mooring_operator.cli.commands.validate import check_manifest
from mooring_operator.cli.files import Manifest

from tests.unit.cli_world import invoke
from tests.unit.spec_case import Case

LONG = 100_000
TEXTS = [
    "a" * LONG,
    "-" * LONG,
    "a." * (LONG // 2),
    "a/" * (LONG // 2),
    "\x1b" * LONG,
    "0 " * (LONG // 2),
    "🙂" * LONG,
]
FIELDS = [
    "metadata.name",
    "metadata.labels",
    "metadata.annotations",
    "spec.model.uri",
    "spec.model.format",
    "spec.model.digest",
    "spec.model.pollInterval",
    "spec.serving.runtime",
    "spec.serving.mode",
    "spec.serving.resources.limits.cpu",
    "spec.batch.schedule",
    "spec.batch.timeZone",
    "spec.stream.source",
    "spec.ci.testData.labelColumn",
    "spec.ci.testData.schema",
    "kind",
    "apiVersion",
]
MAY_BE_LONG = ("apiVersion", "metadata.annotations")  # of another kind; of any text
KEYS = [
    "",
    "metadata.",
    "metadata.labels.",
    "spec.",
    "spec.serving.nodeSelector.",
    "spec.serving.resources.limits.",
]


@pytest.fixture(autouse=True)
def _imported():
    """What is imported and compiled once is no text's time."""
    check_manifest(Manifest("m.yaml", yaml.safe_dump(Case("", {}).manifest)))


def validate(capsys, tmp_path, manifest):
    """Give what is printed about a manifest, and the seconds that its text takes."""
    path = tmp_path / "m.yaml"
    # Keys of more than 1024 characters have to be marked in YAML: its writer does.
    path.write_text(yaml.dump(manifest, Dumper=yaml.CSafeDumper, allow_unicode=True))
    started = time.process_time()
    _, out, err = invoke(capsys, "validate", str(path))
    taken = time.process_time() - started
    _, as_json, _ = invoke(capsys, "validate", str(path), "-o", "json")
    return out + err, json.loads(as_json), taken


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:2]))
def test_a_long_value(capsys, tmp_path, text):
    for field in FIELDS:
        printed, findings, taken = validate(capsys, tmp_path, _with(field, text))
        assert len(printed) < 3000, (field, printed[:200])
        assert len(json.dumps(findings)) < 8000, field
        assert taken < 2, field
        assert not findings[0]["valid"] or field in MAY_BE_LONG, field


@pytest.mark.parametrize("text", TEXTS[:4], ids=lambda text: repr(text[:2]))
def test_a_long_key(capsys, tmp_path, text):
    for place in KEYS:
        manifest = Case("", {}).manifest
        node = manifest
        for part in place.split(".")[:-1]:
            node = node.setdefault(part, {})
        node[text] = "1"
        printed, findings, taken = validate(capsys, tmp_path, manifest)
        assert len(printed) < 3000, (place, printed[:200])
        assert taken < 2, place
        assert not findings[0]["valid"], place


def _with(field, text):
    manifest = Case("", {}).manifest
    *parents, last = field.split(".")
    node = manifest
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = {"a": text} if last in ("labels", "annotations") else text
    return manifest


def test_many_problems_are_counted_and_many_items_compared_in_one_pass(capsys, tmp_path):
    rules = [{"name": "r", "expression": "true"}] * 5000
    printed, findings, taken = validate(
        capsys, tmp_path, Case("", {"spec.rules": rules}, kind="ModelPolicy").manifest
    )
    assert "4900 more problems" in printed
    assert len(findings[0]["problems"]) == 5000
    assert taken < 15  # PyYAML takes most of it


@pytest.mark.parametrize(
    ("prefix", "valid"), [("iris-", True), ("a" * 30, True), ("a" * 33, False), ("Iris-", False), ("", False)]
)
def test_a_generated_name_is_judged_like_one_that_is_given(capsys, tmp_path, prefix, valid):
    manifest = Case("", {"metadata": {"generateName": prefix}}).manifest
    _, findings, _ = validate(capsys, tmp_path, manifest)
    assert findings[0]["valid"] is valid, findings
