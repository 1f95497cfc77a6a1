"""What a run on KFP refers to, by id: the version of its pipeline, and its experiment.

Ids are remembered, and forgotten when a launch fails in a way that they can cause: a person may
delete a version or an experiment, and a database may be replaced.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api

from mooring_operator.adapters.pipelines.kfp_client import KfpClient, KfpUnavailable, identifier
from mooring_operator.adapters.pipelines.port import PipelinesRefused
from mooring_operator.planning.manifests.containers import with_image, with_trainer
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.runs.run import OwnPipeline, Trainer


@dataclass(frozen=True)
class Place:
    """The ids that a run is launched with."""

    pipeline_id: str
    version_id: str
    experiment_id: str


class KfpCatalog:
    """Finds and makes what runs refer to; `pipelines` maps names to compiled YAML files.

    Where these name Mooring's own image, `image` takes its place: a release's, by digest.
    """

    def __init__(
        self, client: KfpClient, pipelines: dict[str, Path], *, experiment: str, image: str = RunPods.image
    ) -> None:
        self._client = client
        self._pipelines = pipelines
        self._experiment = experiment
        self._image = image
        self._places: dict[tuple[str, str, Trainer | None], Place] = {}
        self._lock = threading.Lock()

    def known(self, pipeline: str, namespace: str, trainer: Trainer | None = None) -> Place | None:
        """Give the ids that are remembered."""
        return self._places.get((namespace, pipeline, trainer))

    def forget(self, pipeline: str, namespace: str, trainer: Trainer | None = None) -> None:
        """Look the ids up anew the next time."""
        self._places.pop((namespace, pipeline, trainer), None)

    def look_up(self, pipeline: str, namespace: str, trainer: Trainer | None = None) -> Place:
        """Give the ids; what is missing is uploaded or made. An empty namespace is for single-user KFP.

        Each `trainer` is a version of the pipeline: what a container runs, no parameter of a run says.

        Raises:
            PipelinesRefused: no such pipeline is shipped, or KFP does not take it.
            KfpUnavailable: KFP fails, or does not answer.
        """
        with self._lock:
            if (known := self.known(pipeline, namespace, trainer)) is not None:
                return known
            pipeline_id, version_id = self._version(pipeline, namespace, trainer)
            place = Place(pipeline_id, version_id, self._experiment_id(namespace))
            self._places[namespace, pipeline, trainer] = place
            return place

    def look_up_own(self, own: OwnPipeline, namespace: str) -> tuple[Place, Mapping[str, Any]]:
        """Give the ids and the compiled spec of a pipeline of the user's, as it is now.

        Raises:
            PipelinesRefused: there is no such pipeline, or no such version of it.
            KfpUnavailable: KFP fails, or does not answer.
        """
        scope: dict[str, Any] = {"namespace": namespace} if namespace else {}
        found = self._client.find(
            self._client.pipelines.pipeline_service_get_pipeline_by_name, own.name, **scope
        )
        where = f" of namespace {namespace}" if namespace else ""
        if found is None:
            raise PipelinesRefused(f"there is no pipeline {own.name!r} in Kubeflow Pipelines{where}")
        pipeline_id = identifier(found.pipeline_id, "pipeline")
        version = self._version_of(pipeline_id, own)
        with self._lock:
            experiment = self._experiment_id(namespace)
        version_id = identifier(version.pipeline_version_id, "pipeline version")
        spec = version.pipeline_spec if isinstance(version.pipeline_spec, dict) else {}
        # Beside a platform spec, KFP has it a level deeper.
        return Place(pipeline_id, version_id, experiment), spec.get("pipeline_spec") or spec

    def _version_of(self, pipeline_id: str, own: OwnPipeline) -> Any:
        if own.version is not None:
            version = self._find_version(pipeline_id, own.version)
        else:
            listing = self._client.pipelines.pipeline_service_list_pipeline_versions
            page = self._client.call(listing, pipeline_id, page_size=1, sort_by="created_at desc")
            version = next(iter(page.pipeline_versions or []), None)
        if version is None:
            which = "a version" if own.version is None else f"version {own.version!r}"
            raise PipelinesRefused(
                f"pipeline {own.name!r} in Kubeflow Pipelines has no {which.removeprefix('a ')}"
            )
        return version

    def _version(self, pipeline: str, namespace: str, trainer: Trainer | None) -> tuple[str, str]:
        """The version that holds the packaged YAML, which is uploaded if missing."""
        path = self._pipelines.get(pipeline)
        if path is None:
            names = ", ".join(sorted(self._pipelines))
            raise PipelinesRefused(f"pipeline {pipeline!r} is not one of {names}")
        text = with_image(path.read_text(), self._image)
        content = (text if trainer is None else with_trainer(text, trainer)).encode()
        name = f"{pipeline}-{hashlib.sha256(content).hexdigest()[:16]}"
        pipeline_id = self._pipeline_id(pipeline, namespace)
        version = self._find_version(pipeline_id, name) or self._upload(pipeline_id, name, content)
        return pipeline_id, identifier(version.pipeline_version_id, "pipeline version")

    def _pipeline_id(self, name: str, namespace: str) -> str:
        scope: dict[str, Any] = {"namespace": namespace} if namespace else {}
        client, catalog = self._client, self._client.pipelines
        found = client.find(catalog.pipeline_service_get_pipeline_by_name, name, **scope)
        if found is None:
            body = kfp_server_api.V2beta1Pipeline(name=name, display_name=name, namespace=namespace or None)
            found = client.create(catalog.pipeline_service_create_pipeline, body)
        if found is None:  # somebody else created it meanwhile
            found = client.call(catalog.pipeline_service_get_pipeline_by_name, name, **scope)
        return identifier(found.pipeline_id, "pipeline")

    def _find_version(self, pipeline_id: str, name: str) -> Any | None:
        listing = self._client.pipelines.pipeline_service_list_pipeline_versions
        page = self._client.call(listing, pipeline_id, filter=_name_filter(name))
        return next((v for v in page.pipeline_versions or [] if _is(name, v.name, v.display_name)), None)

    def _upload(self, pipeline_id: str, name: str, content: bytes) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            # KFP decides by the file's name how to read it.
            file = Path(folder) / "pipeline.yaml"
            file.write_bytes(content)
            upload = self._client.uploads.upload_pipeline_version
            version = self._client.create(upload, str(file), name=name, pipelineid=pipeline_id)
        version = version or self._find_version(pipeline_id, name)
        if version is None:
            raise KfpUnavailable(f"pipeline version {name} exists in KFP, but cannot be found yet")
        return version

    def _experiment_id(self, namespace: str) -> str:
        found = self._find_experiment(namespace)
        if found is None:
            body = kfp_server_api.V2beta1Experiment(
                display_name=self._experiment, namespace=namespace or None
            )
            found = self._client.create(self._client.experiments.experiment_service_create_experiment, body)
        found = found or self._find_experiment(namespace)
        if found is None:
            raise KfpUnavailable(f"experiment {self._experiment} exists in KFP, but cannot be found yet")
        return identifier(found.experiment_id, "experiment")

    def _find_experiment(self, namespace: str) -> Any | None:
        scope: dict[str, Any] = {"namespace": namespace} if namespace else {}
        listing = self._client.experiments.experiment_service_list_experiments
        page = self._client.call(listing, filter=_name_filter(self._experiment), **scope)
        return next((e for e in page.experiments or [] if _is(self._experiment, e.display_name)), None)


def _is(wanted: str, *names: str | None) -> bool:
    # KFP's database compares names without case: of two that differ by it there is only one.
    return any(name is not None and name.casefold() == wanted.casefold() for name in names)


def _name_filter(name: str) -> str:
    return json.dumps({"predicates": [{"key": "name", "operation": "EQUALS", "string_value": name}]})
