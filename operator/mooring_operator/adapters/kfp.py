"""Kubeflow Pipelines as the operator's pipeline backend, over the v2beta1 REST API.

Launching exactly once: GET the run; on 404, and only then, POST it once. A POST whose outcome is
unknown raises PipelinesUnavailable, and the caller's next `launch` starts again with the GET. The
client's own retries are off: KFP creates the Workflow before the database row, so that a repeated
POST with the same run id would start the work twice and then fail.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
from kfp_server_api import ApiException

from mooring_operator.adapters.pipelines import (
    Phase,
    PipelinesRefused,
    PipelinesUnavailable,
    RunRequest,
    RunState,
)

TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - the name of a variable
_PHASES: dict[str, Phase] = {
    "PENDING": "Pending",
    "PAUSED": "Pending",
    "RUNNING": "Running",
    "CANCELING": "Running",
    "SUCCEEDED": "Succeeded",
    "SKIPPED": "Succeeded",
    "FAILED": "Failed",
    "CANCELED": "Canceled",
}


@dataclass(frozen=True)
class KfpSettings:
    """How to reach KFP.

    host: base URL of the API, such as http://ml-pipeline.kubeflow.svc:8888.
    ui: base URL that people open; the API's when empty.
    experiment: where runs are listed; created when missing.
    multi_user: whether experiments and pipelines live in the run's namespace.
    connect_seconds, read_seconds: limits of one request.
    token_path: file with a token of audience pipelines.kubeflow.org, read for each request since
        it is rotated; by default what KF_PIPELINES_SA_TOKEN_PATH says; empty for no token.
    """

    host: str
    ui: str = ""
    experiment: str = "mooring"
    multi_user: bool = False
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    token_path: str | None = None


class KfpPipelines:
    """Runs on KFP; `pipelines` maps names to compiled YAML files, uploaded when first used."""

    def __init__(self, settings: KfpSettings, pipelines: dict[str, Path]) -> None:
        self._settings = settings
        self._pipelines = pipelines
        configuration = kfp_server_api.Configuration(host=settings.host.rstrip("/"))
        # See the module's docstring; 0 and not False, which would hide a redirect's target.
        configuration.retries = urllib3.Retry(0, redirect=0, raise_on_redirect=False)
        self._client = kfp_server_api.ApiClient(configuration)
        self._runs = kfp_server_api.RunServiceApi(self._client)
        self._experiments = kfp_server_api.ExperimentServiceApi(self._client)
        self._catalog = kfp_server_api.PipelineServiceApi(self._client)
        self._uploads = kfp_server_api.PipelineUploadServiceApi(self._client)
        # (namespace, pipeline) -> version reference; namespace -> experiment id.
        self._versions: dict[tuple[str, str], Any] = {}
        self._experiment_ids: dict[str, str] = {}
        self._upload_lock = threading.Lock()

    async def launch(self, run: RunRequest) -> None:
        """Make the run exist, exactly once.

        Raises:
            PipelinesUnavailable: try again later, with the same run id.
            PipelinesRefused: KFP does not take this run.
        """
        await asyncio.to_thread(self._launch, run)

    async def get(self, run_id: str) -> RunState | None:
        """The state of a run; None when KFP does not know it."""
        return await asyncio.to_thread(self._get, run_id)

    async def terminate(self, run_id: str) -> None:
        """Stop a run; one that is unknown or finished stays as it is."""
        await asyncio.to_thread(self._terminate, run_id)

    def url(self, run_id: str) -> str:
        """The run's page in the KFP UI."""
        base = (self._settings.ui or self._settings.host).rstrip("/")
        return f"{base}/#/runs/details/{run_id}"

    def _launch(self, run: RunRequest) -> None:
        if self._get(run.run_id) is not None:
            return
        namespace = run.namespace if self._settings.multi_user else ""
        with self._upload_lock:
            reference = self._version(run.pipeline, namespace)
            experiment_id = self._experiment(namespace)
        body = kfp_server_api.V2beta1Run(
            run_id=run.run_id,
            display_name=run.name,
            experiment_id=experiment_id,
            pipeline_version_reference=reference,
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(run.parameters)),
        )
        try:
            created = self._call(self._runs.run_service_create_run, body, experiment_id=experiment_id)
        except PipelinesRefused:
            # The cached ids may be of a database that was replaced since.
            self._versions.pop((namespace, run.pipeline), None)
            self._experiment_ids.pop(namespace, None)
            raise
        if _identifier(created.run_id, "run") != run.run_id:
            # Nobody will look for that run: leave nothing behind.
            self._call(self._runs.run_service_terminate_run, created.run_id)
            raise PipelinesRefused(
                f"KFP made run {created.run_id} where {run.run_id} was asked for: it does not honour run_id"
            )

    def _get(self, run_id: str) -> RunState | None:
        run = self._find(self._runs.run_service_get_run, run_id)
        if run is None:
            return None
        _identifier(run.run_id, "run")
        phase = _PHASES.get(run.state or "", "Pending")
        return RunState(run_id, phase, _message(run, phase))

    def _terminate(self, run_id: str) -> None:
        try:
            self._find(self._runs.run_service_terminate_run, run_id)
        except PipelinesRefused:
            # KFP answers 400 for a run that has ended or is ending.
            state = self._get(run_id)
            if state is not None and state.phase == "Pending":
                raise

    def _version(self, pipeline: str, namespace: str) -> Any:
        """A reference to the version that holds the packaged YAML, which is uploaded if missing."""
        if (known := self._versions.get((namespace, pipeline))) is not None:
            return known
        path = self._pipelines.get(pipeline)
        if path is None:
            names = ", ".join(sorted(self._pipelines))
            raise PipelinesRefused(f"pipeline {pipeline!r} is not one of {names}")
        content = path.read_bytes()
        name = f"{pipeline}-{hashlib.sha256(content).hexdigest()[:16]}"
        pipeline_id = self._pipeline_id(pipeline, namespace)
        version = self._find_version(pipeline_id, name)
        if version is None:
            version = self._upload(pipeline_id, name, content)
        reference = kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=pipeline_id,
            pipeline_version_id=_identifier(version.pipeline_version_id, "pipeline version"),
        )
        self._versions[namespace, pipeline] = reference
        return reference

    def _pipeline_id(self, name: str, namespace: str) -> str:
        scope: dict[str, Any] = {"namespace": namespace} if namespace else {}
        found = self._find(self._catalog.pipeline_service_get_pipeline_by_name, name, **scope)
        if found is None:
            body = kfp_server_api.V2beta1Pipeline(name=name, display_name=name, namespace=namespace or None)
            found = self._create(self._catalog.pipeline_service_create_pipeline, body)
        if found is None:  # somebody else created it meanwhile
            found = self._call(self._catalog.pipeline_service_get_pipeline_by_name, name, **scope)
        return _identifier(found.pipeline_id, "pipeline")

    def _find_version(self, pipeline_id: str, name: str) -> Any | None:
        page = self._call(
            self._catalog.pipeline_service_list_pipeline_versions, pipeline_id, filter=_name_filter(name)
        )
        return next((v for v in page.pipeline_versions or [] if name in (v.name, v.display_name)), None)

    def _upload(self, pipeline_id: str, name: str, content: bytes) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            # KFP decides by the file's name how to read it.
            file = Path(folder) / "pipeline.yaml"
            file.write_bytes(content)
            upload = self._uploads.upload_pipeline_version
            version = self._create(upload, str(file), name=name, pipelineid=pipeline_id)
        version = version or self._find_version(pipeline_id, name)
        if version is None:
            raise PipelinesUnavailable(f"pipeline version {name} exists in KFP, but cannot be found yet")
        return version

    def _experiment(self, namespace: str) -> str:
        if (known := self._experiment_ids.get(namespace)) is not None:
            return known
        found = self._find_experiment(namespace)
        if found is None:
            body = kfp_server_api.V2beta1Experiment(
                display_name=self._settings.experiment, namespace=namespace or None
            )
            found = self._create(self._experiments.experiment_service_create_experiment, body)
        found = found or self._find_experiment(namespace)
        if found is None:
            raise PipelinesUnavailable(f"experiment {self._settings.experiment} cannot be found yet")
        self._experiment_ids[namespace] = _identifier(found.experiment_id, "experiment")
        return self._experiment_ids[namespace]

    def _find_experiment(self, namespace: str) -> Any | None:
        name = self._settings.experiment
        scope: dict[str, Any] = {"namespace": namespace} if namespace else {}
        page = self._call(
            self._experiments.experiment_service_list_experiments, filter=_name_filter(name), **scope
        )
        return next((e for e in page.experiments or [] if e.display_name == name), None)

    def _find(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any | None:
        """Call; None for 404."""
        return self._call(method, *arguments, absent=404, **options)

    def _create(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any | None:
        """Call; None when it exists already."""
        return self._call(method, *arguments, absent=409, **options)

    def _call(self, method: Callable[..., Any], *arguments: Any, absent: int = 0, **options: Any) -> Any:
        """One request; None for the HTTP status `absent`, the adapter's exceptions for the others."""
        settings = self._settings
        self._authorize()
        try:
            # A pair: the client silently ignores a single number that is not an int.
            timeout = (settings.connect_seconds, settings.read_seconds)
            return method(*arguments, _request_timeout=timeout, **options)
        except ApiException as error:
            if absent and error.status == absent:
                return None
            message = f"KFP answered {error.status}: {_reason(error)}"
            # 408 and 429 are the refusals that time heals; 0 is a TLS failure.
            if error.status in (0, 408, 429) or error.status >= 500:
                raise PipelinesUnavailable(message) from error
            raise PipelinesRefused(message) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # ValueError: an answer that is not of the API's form.
            raise PipelinesUnavailable(f"KFP at {settings.host} cannot be reached: {error}") from error

    def _authorize(self) -> None:
        path = self._settings.token_path
        path = os.environ.get(TOKEN_VARIABLE, "") if path is None else path
        if not path:
            return
        try:
            token = Path(path).read_text().strip()
        except OSError as error:
            raise PipelinesUnavailable(f"the token for KFP cannot be read: {error}") from error
        self._client.set_default_header("Authorization", f"Bearer {token}")


def _identifier(value: str | None, what: str) -> str:
    # The client makes an object without content of anything, a proxy's login page included.
    if not value:
        raise PipelinesUnavailable(f"what answered for KFP named no {what}: it is not KFP")
    return value


def _name_filter(name: str) -> str:
    return json.dumps({"predicates": [{"key": "name", "operation": "EQUALS", "string_value": name}]})


def _message(run: Any, phase: Phase) -> str:
    if phase not in ("Failed", "Canceled"):
        return "being terminated" if run.state == "CANCELING" else ""
    if run.error is not None and run.error.message:
        return str(run.error.message)
    return f"the run {phase.lower()}; KFP does not say why, its page does"


def _reason(error: ApiException) -> str:
    """What KFP wrote for people: in the details it is short, in the message it repeats itself."""
    try:
        body = json.loads(error.body)
        details = [d.get("message") for d in body.get("details", [])]
        return str(next(filter(None, [*details, body.get("message"), body.get("error_message")])))
    except (ValueError, TypeError, AttributeError, StopIteration):
        return str(error.body or error.reason or "no reason given")[:500]
