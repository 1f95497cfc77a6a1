"""The samples in docs/ before KServe's own webhook and controller: what it makes of them.

These tests need KServe's controller; see cluster/README.md.
"""

from pathlib import Path

import pytest
import yaml
from mooring_operator.adapters.routers import kserve
from mooring_operator.adapters.routers.inference_services.revision_manifest import revision_service
from mooring_operator.adapters.routers.inference_services.runtime_copy import copy_of, pinned
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning import identity
from mooring_operator.planning.objects.difference import covers
from mooring_operator.planning.objects.owner import Owner

from tests.cluster.deployed import CLUSTER_RUNTIMES, runtime
from tests.cluster.rollout_steps import install, until

NAMESPACE = "samples"
SAMPLES = sorted((Path(__file__).parents[2] / "docs" / "samples").glob("*.yaml"))
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


@pytest.fixture(scope="module")
def api(kserve_cluster):
    install(kserve_cluster.api, NAMESPACE, kserve=False)
    return kserve_cluster.api


def revision_of(api, spec):
    """The revision of a sample, on a copy of a runtime that serves its format."""
    serving, found = spec.serving, None
    if not serving.is_custom:
        name = serving.runtime or f"serves-{spec.model.format}"
        api.apply(runtime(name, {"name": spec.model.format}))
        found = pinned("ClusterServingRuntime", api.get(f"{CLUSTER_RUNTIMES}/{name}"))
    text = identity.fingerprint([spec.model.uri])
    return Revision(
        revision=text,
        model_uri=spec.model.uri,
        storage_uri=spec.model.uri,
        format=spec.model.format,
        workload=identity.workload_name(text),
        serving=identity.serving_snapshot(serving),
        runtime=found,
    )


@pytest.mark.parametrize("router", ["each", "shared"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_kserve_runs_a_sample_as_it_is_written(api, sample, router):
    document = yaml.safe_load(sample.read_text())
    spec = ModelDeploymentSpec.model_validate(document["spec"])
    owner = Owner(NAMESPACE, f"{document['metadata']['name']}-{router}", "u", 1)
    revision = revision_of(api, spec)
    if router == "shared":
        # This router runs it on the runtime itself, which has to be there by name.
        named = spec.serving.runtime or f"serves-{spec.model.format}"
        serving = revision.serving if spec.serving.is_custom else {**revision.serving, "runtime": named}
        revision = revision.model_copy(update={"serving": serving, "runtime": None})
        manifest, name = kserve.serve(owner, revision), f"{owner.name}-{revision.workload}-predictor"
    else:
        if revision.runtime is not None:
            copy = copy_of(owner, revision, revision.runtime)
            api.apply({**copy, "metadata": {**copy["metadata"], "ownerReferences": []}})
        manifest, name = (
            revision_service(owner, revision, pods=None),
            f"{owner.name}-{revision.workload}-predictor",
        )
    applied = api.apply({**manifest, "metadata": {**manifest["metadata"], "ownerReferences": []}})
    # Or Mooring would write it again and again.
    assert covers(applied["spec"], manifest["spec"])
    made = until(lambda: api.get(f"{DEPLOYMENTS}/{name}"), what=f"KServe makes no Deployment {name}")
    assert_as_written(spec, made["spec"]["template"]["spec"], made["spec"])
    api.delete(api.path(manifest))


def assert_as_written(spec, pod, deployment):
    """What the sample asks for has reached the pods."""
    serving = spec.serving
    [model] = [each for each in pod["containers"] if each["name"] == "kserve-container"]
    arguments = model.get("args", [])
    assert arguments[len(arguments) - len(serving.args) :] == list(serving.args)
    if serving.gpu is not None:
        assert model["resources"]["limits"][serving.gpu.resource_name] == str(serving.gpu.count)
    if serving.service_account_name:
        assert pod["serviceAccountName"] == serving.service_account_name
    if serving.deployment_strategy is not None:
        assert deployment["strategy"]["type"] == (serving.deployment_strategy.type or "RollingUpdate")
    template = serving.template or {}
    asked = {volume["name"] for volume in template.get("volumes", [])}
    assert asked <= {volume["name"] for volume in pod.get("volumes", [])}
    mounts = {mount["mountPath"] for mount in model.get("volumeMounts", [])}
    wanted = template.get("model", {}).get("volumeMounts", [])
    assert {mount["mountPath"] for mount in wanted} <= mounts
    # By this its webhook for pods has the model fetched, of whichever container.
    fetched = (deployment["template"]["metadata"].get("annotations") or {}).get(SOURCE)
    assert fetched == spec.model.uri
