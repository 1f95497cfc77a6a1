"""Kubeflow Pipelines as the operator's pipeline backend, over the v2beta1 REST API.

Launching exactly once: GET the run; on 404, and only then, POST it once. A POST whose outcome is
unknown raises LaunchUncertain, and the caller's next `launch` starts again with the GET.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp_server_api

from mooring_operator.adapters.pipelines.kfp_catalog import KfpCatalog, Place
from mooring_operator.adapters.pipelines.kfp_client import (
    KfpClient,
    KfpRefused,
    KfpSettings,
    KfpUnavailable,
    identifier,
)
from mooring_operator.adapters.pipelines.kfp_words import message_of
from mooring_operator.adapters.pipelines.port import LaunchUncertain, PipelinesRefused, PipelinesUnavailable
from mooring_operator.adapters.pools import Pool
from mooring_operator.planning.manifests import containers
from mooring_operator.planning.runs import pipeline_contract
from mooring_operator.planning.runs.run import OwnPipeline, RunPhase, RunRequest, RunState
from mooring_operator.planning.runs.texts import LARGEST_NARROW, first_wide

_PHASES: dict[str, RunPhase] = {
    "PENDING": "Pending",
    "PAUSED": "Pending",
    "RUNNING": "Running",
    "CANCELING": "Running",
    "SUCCEEDED": "Succeeded",
    "SKIPPED": "Succeeded",
    "FAILED": "Failed",
    "CANCELED": "Canceled",
}
# What KFP answers where the version of the pipeline (500) or the experiment (404) is gone.
_IDS_MAY_BE_STALE = (400, 404, 500)
_LONGEST_NAME = 255
_SECRET = "credentials_secret"  # noqa: S105 - the parameter with the name of one
_PLACEHOLDER = "{{$"


class KfpPipelines:
    """Runs on KFP; `pipelines` maps names to compiled YAML files, uploaded when first used."""

    def __init__(
        self, settings: KfpSettings, pipelines: dict[str, Path], *, pool: Pool | None = None
    ) -> None:
        self._settings = settings
        self._pool = pool or Pool("pipelines", PipelinesUnavailable)
        self._launching: set[str] = set()
        self._client = KfpClient(settings)
        self._catalog = KfpCatalog(
            self._client, pipelines, experiment=settings.experiment, image=settings.image
        )

    async def launch(self, run: RunRequest) -> None:
        """Make the run exist, exactly once.

        Raises:
            PipelinesUnavailable: try again later, with the same run id.
            LaunchUncertain: KFP failed while it made the run.
            PipelinesRefused: KFP does not take this run.
        """
        _check_parameters(run)
        if run.trainer is not None and (fault := containers.fault_of(run.trainer)) is not None:
            raise PipelinesRefused(fault)
        await self._pool.thread(self._launch, run)

    async def get(self, namespace: str, run_id: str) -> RunState | None:
        """Give the state of a run; None when KFP does not know it."""
        return await self._pool.thread(self._get, run_id)

    async def terminate(self, namespace: str, run_id: str) -> None:
        """Ask a run to stop; one that is unknown or finished stays as it is.

        KFP notes this before it tells the Workflow, and refuses to be asked again until it has heard from
        the Workflow: where the telling failed, a later call is the one that counts.
        """
        await self._pool.thread(self._terminate, run_id)

    @property
    def narrow(self) -> bool:
        """Keep no character beyond U+FFFF: the database would fail a run after its Workflow was made."""
        return True

    def url(self, namespace: str, run_id: str) -> str:
        """Give the run's page in the KFP UI."""
        base = (self._settings.ui or self._settings.host).rstrip("/")
        return f"{base}/#/runs/details/{run_id}"

    def _launch(self, run: RunRequest) -> None:
        # The thread of a launch that was given up at its deadline may be about to POST the run.
        if run.run_id in self._launching:
            raise PipelinesUnavailable(f"run {run.run_id} is still being launched")
        self._launching.add(run.run_id)
        try:
            self._launch_missing(run)
        finally:
            self._launching.discard(run.run_id)

    def _launch_missing(self, run: RunRequest) -> None:
        if self._get(run.run_id) is not None:
            return
        namespace = run.namespace if self._settings.multi_user else ""
        if namespace and run.credentials_secret is not None:
            # Where all runs share a namespace, who may name its Secrets is not for a tenant's namespace to say.
            run = replace(run, parameters={**run.parameters, _SECRET: run.credentials_secret})
        if run.own is not None:
            self._launch_own(run, run.own, namespace)
            return
        remembered = self._catalog.known(run.pipeline, namespace, run.trainer)
        place = self._catalog.look_up(run.pipeline, namespace, run.trainer)
        try:
            self._create(run, place)
        except (KfpRefused, KfpUnavailable) as error:
            self._catalog.forget(run.pipeline, namespace, run.trainer)
            if remembered is None or error.status not in _IDS_MAY_BE_STALE:
                raise _judged(error) from error
            current = self._catalog.look_up(run.pipeline, namespace, run.trainer)
            if current == remembered:
                raise _judged(error) from error
            # KFP looks up what a run refers to before it makes anything: nothing has begun.
            self._create_anew(run, current)

    def _launch_own(self, run: RunRequest, own: OwnPipeline, namespace: str) -> None:
        """Launch a pipeline of the user's, with those of the parameters that it takes."""
        place, spec = self._catalog.look_up_own(own, namespace)
        contract = pipeline_contract.CONTRACTS[own.purpose]
        if broken := pipeline_contract.violations(spec, contract, own.needs):
            raise PipelinesRefused(f"pipeline {own.name!r} does not fulfil the contract: {'; '.join(broken)}")
        taken = pipeline_contract.taken(spec, run.parameters)
        self._create_anew(replace(run, parameters=taken), place)

    def _create_anew(self, run: RunRequest, place: Place) -> None:
        try:
            self._create(run, place)
        except (KfpRefused, KfpUnavailable) as error:
            raise _judged(error) from error

    def _create(self, run: RunRequest, place: Place) -> None:
        body = kfp_server_api.V2beta1Run(
            run_id=run.run_id,
            display_name=_shown(run.name),
            experiment_id=place.experiment_id,
            pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
                pipeline_id=place.pipeline_id, pipeline_version_id=place.version_id
            ),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(run.parameters)),
            service_account=run.service_account,
        )
        create = self._client.runs.run_service_create_run
        created = self._client.call(create, body, experiment_id=place.experiment_id)
        if identifier(created.run_id, "run") != run.run_id:
            # Nobody will look for that run: leave nothing behind.
            self._client.call(self._client.runs.run_service_terminate_run, created.run_id)
            raise PipelinesRefused(
                f"KFP made run {created.run_id} where {run.run_id} was asked for: it does not honour run_id"
            )

    def _get(self, run_id: str) -> RunState | None:
        run = self._client.find(self._client.runs.run_service_get_run, run_id)
        if run is None:
            return None
        identifier(run.run_id, "run")
        phase = _PHASES.get(run.state or "", "Pending")
        return RunState(run_id, phase, message_of(run, phase), started_at=_began(run))

    def _terminate(self, run_id: str) -> None:
        try:
            self._client.find(self._client.runs.run_service_terminate_run, run_id)
        except KfpRefused:
            # 400: the run has ended, or KFP believes that it is ending.
            state = self._get(run_id)
            if state is not None and state.phase == "Pending":
                raise


def _judged(error: KfpRefused | KfpUnavailable) -> KfpRefused | KfpUnavailable | LaunchUncertain:
    """What a failed POST means: one that KFP may have acted on leaves it open whether there is a run."""
    if isinstance(error, KfpUnavailable) and error.sent:
        return LaunchUncertain(str(error))
    return error


def _check_parameters(run: RunRequest) -> None:
    """Refuse what KFP would replace, or fail on after it made the Workflow: registries and stores name models, too."""
    for name, value in run.parameters.items():
        text = json.dumps(value, ensure_ascii=False)
        if _PLACEHOLDER in text:
            raise PipelinesRefused(
                f"parameter {name} holds {_PLACEHOLDER!r}, which Kubeflow Pipelines would replace"
            )
        if (wide := first_wide(text)) is not None:
            raise PipelinesRefused(
                f"parameter {name} holds {wide!r}, which Kubeflow Pipelines cannot keep: use characters up to U+FFFF"
            )


def _shown(name: str) -> str:
    """A name that KFP's database holds: another fails the run after its Workflow was made."""
    return "".join(c if c <= LARGEST_NARROW else "?" for c in name)[:_LONGEST_NAME]


def _began(run: Any) -> datetime | None:
    began = run.created_at
    return began.astimezone(UTC) if isinstance(began, datetime) and began.year > 1970 else None
