"""What the documentation refers to is there: links, settings, and the overlays that it tells people to write."""

import json
import os
import re
import shutil

import pytest
import yaml
from mooring_inference.settings import parse_settings
from mooring_operator.adapters.routers.inference_services.manifest import predictor
from mooring_operator.adapters.routers.inference_services.runtime_copy import pinned
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning.identity import serving_snapshot
from mooring_operator.settings import Settings

from tests.kustomized import kustomized
from tests.release.documented import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if path.is_file()
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


def prose(page):
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """What a link may name in a page: its headings, as they are shown as a page of a repository."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    dead = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
        exists = (ROOT / target).exists() and not target.startswith("..")
        if not exists or (anchor and target.endswith(".md") and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_page_is_found_from_the_readme():
    found, seen = {"README.md"}, set()
    while todo := found - seen:
        page = todo.pop()
        seen.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(prose(page)))
        near = {os.path.normpath(os.path.join(os.path.dirname(page), link)) for link in links if link}
        found |= near & set(PAGES)
    assert set(PAGES) - found == {"CHANGELOG.md"}


def test_paths_in_the_documentation_are_there():
    said = {path for page in PAGES for path in re.findall(r"`(manifests/[\w./-]+)`", prose(page))}
    assert "manifests/components/monitoring" in said
    # A release has a folder of this name too, of files.
    assert [
        one
        for one in sorted(said)
        if not (ROOT / one).exists() and not re.fullmatch(r"manifests/\w+\.yaml", one)
    ] == []


def test_every_setting_has_a_row_with_its_default():
    text = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `MOORING_([A-Z_]+)` \|([^|]*)\|", text, re.MULTILINE))
    assert sorted(rows) == sorted(name.upper() for name in Settings.model_fields)
    told = {
        "METRICS": "Prometheus with an address, else Pods",
        "PIPELINES": "KFP with an endpoint, else Jobs",
        "LEASE_NAMESPACE": "the pod's",
    }
    for name, field in Settings.model_fields.items():
        default = told.get(name.upper(), _written(field.default))
        assert rows[name.upper()].strip() == default or _number(rows[name.upper()]) == field.default, name


def _written(default):
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default in (None, (), {}) else str(default)


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def block(page, opening):
    """The YAML of a page that begins with, or has, a line."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [text for text in blocks if opening in text.splitlines()]
    return found


def built(tmp_path, text, *, beside="overlays/mine"):
    """The objects of a kustomization in a copy of manifests/."""
    for folder in ("manifests", "crds"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    folder = tmp_path / "manifests" / beside
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(text)
    return kustomized(folder)


@needs_kubectl
def test_overlay_of_ones_own_is_built_as_documented(tmp_path):
    text = block("docs/install.md", "# manifests/overlays/mine/kustomization.yaml")
    objects = built(tmp_path, text)
    assert {"PodMonitor", "Deployment", "ClusterServingRuntime"} <= {one["kind"] for one in objects}
    # Nothing is left under the name that no registry has.
    assert "localhost/" not in json.dumps(objects)
    (settings,) = [o["data"] for o in objects if o["metadata"]["name"].startswith("mooring-settings-")]
    assert settings["MOORING_PIPELINES"] == "Jobs"
    given = {name.removeprefix("MOORING_").lower(): value for name, value in settings.items()}
    read = Settings(**given)
    assert read.artifact_root == "s3://your-bucket/mooring"
    images = {read.components_image, read.inference_image}
    assert images == {f"registry.example/team/mooring/{name}:0.1.0" for name in ("components", "inference")}


@needs_kubectl
def test_profile_of_ones_own_is_built_as_documented(tmp_path):
    objects = built(tmp_path, block("docs/security.md", "# overlays/mine/kustomization.yaml"))
    (policy,) = [
        one
        for one in objects
        if (one["kind"], one["metadata"]["name"]) == ("ValidatingAdmissionPolicy", "pod-fields.mooring.dev")
    ]
    assert "readers-*" in policy["spec"]["variables"][0]["expression"]
    # It is an installation, and not only the parts that installations share.
    assert [o for o in objects if o["metadata"]["name"].startswith("mooring-settings-")]


@needs_kubectl
def test_capture_is_set_up_as_documented(tmp_path):
    """By the page's resource, on a runtime of which the manifests say that it is ours."""
    objects = built(tmp_path, "resources: [../standalone]\n")
    ours = [pinned(o["kind"], o) for o in objects if o["kind"] == "ClusterServingRuntime"]
    assert {runtime.name: runtime.captures for runtime in ours} == {
        "mooring-inference": True,
        "mooring-inference-gpu": True,
    }
    serving = yaml.safe_load(block("docs/serving.md", "    capture:"))["spec"]["serving"]
    revision = Revision(
        revision="0123456789",
        model_uri="s3://m/1",
        storage_uri="s3://m/1",
        format="onnx",
        serving=serving_snapshot(ServingSpec.model_validate(serving)),
        runtime=ours[0],
    )
    environ = {one["name"]: one["value"] for one in predictor(revision)["model"]["env"]}
    arguments = ours[0].spec["containers"][0]["args"]
    capture = parse_settings(arguments, environ).capture
    assert (capture.uri, capture.retention_hours) == ("s3://captured/vision", 720)


def test_components_that_are_documented_are_those_that_there_are():
    table = (
        (ROOT / "docs" / "install.md").read_text().split("| `manifests/components/` |", 1)[1].split("\n\n")[0]
    )
    components = ROOT / "manifests" / "components"
    there = {
        path.parent.relative_to(components).as_posix() for path in components.rglob("kustomization.yaml")
    }
    # Both overlays have this one.
    assert set(re.findall(r"^\| `([a-z/-]+)` \| ", table, re.MULTILINE)) == there - {"network"}


def test_the_tests_that_pages_name_are_there():
    named = {
        (page, *found)
        for page in PAGES
        for found in re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / page).read_text())
    }
    missing = [
        (page, path, name)
        for page, path, name in sorted(named)
        if not (ROOT / "tests" / path).is_file()
        or not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE)
    ]
    assert named
    assert missing == []
