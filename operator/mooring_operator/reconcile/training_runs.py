"""Asks for trainings, and for what comes after them, and reads what was found of the model."""

import logging
from contextlib import suppress
from datetime import timedelta

from mooring_artifacts.run_documents import RunFailure, Verdict
from mooring_artifacts.uris import hide_queries

from mooring_operator.adapters.documents import DocumentInvalid, DocumentsUnavailable
from mooring_operator.adapters.pipelines import (
    LaunchUncertain,
    Pipelines,
    PipelinesRefused,
    PipelinesUnavailable,
)
from mooring_operator.api import API_VERSION
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.retraining import Retrain, Retraining
from mooring_operator.api.types import format_time
from mooring_operator.planning.drift.retraining import Trained, TrainingSeen, converted_uri
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import (
    TRAINING,
    JsonValue,
    OwnPipeline,
    RunOwner,
    RunRequest,
    RunState,
    Trainer,
)
from mooring_operator.planning.runs.texts import first_wide
from mooring_operator.planning.status.wording import one_line
from mooring_operator.reconcile.answers import Answers, Place, shown

logger = logging.getLogger(__name__)

TRAINING_PIPELINE = "retrain"
REGISTERING_PIPELINE = "register-model"
_REGISTERS_FOR = timedelta(minutes=10)


class TrainingRuns:
    """The runs of a training and of its registration at `tracking_uri`; none may take longer than `longest`."""

    def __init__(
        self, pipelines: Pipelines, answers: Answers, longest: timedelta, tracking_uri: str = ""
    ) -> None:
        self._pipelines = pipelines
        self._answers = answers
        self._longest = longest
        self._tracking_uri = tracking_uri

    async def look(self, owner: Owner, status: DriftMonitorStatus) -> TrainingSeen:
        """Look up the run that goes on; one that cannot be asked about now holds up nothing else."""
        training = status.retraining
        if training is None or not training.current:
            return TrainingSeen()
        run_id = training.current
        runs: dict[str, RunState | None] = {}
        with suppress(PipelinesUnavailable, PipelinesRefused):
            runs[run_id] = shown(await self._pipelines.get(owner.namespace, run_id))
        seen = runs.get(run_id)
        if training.stage == "Training" or seen is None or seen.phase in ("Pending", "Running"):
            return TrainingSeen(runs)
        try:
            return TrainingSeen(runs, await self._result(owner, training))
        except DocumentsUnavailable as error:
            logger.warning("what run %s wrote down cannot be read yet: %s", run_id, error)
            return TrainingSeen()

    async def launch(
        self, owner: Owner, spec: DriftMonitorSpec, status: DriftMonitorStatus, training: Retraining
    ) -> str | None:
        """Make the run of this stage, if it is not there; give why it never will be, None where that is not known."""
        assert spec.retrain is not None
        asked = spec.retrain
        try:
            if training.stage == "Training":
                await self._pipelines.launch(
                    self._training(owner, spec.deployment or "", asked, status, training)
                )
            else:
                await self._pipelines.launch(await self._registering(owner, asked, status, training))
        except (PipelinesRefused, LaunchUncertain) as error:
            return hide_queries(str(error))
        except (PipelinesUnavailable, DocumentsUnavailable) as error:
            logger.warning("run %s could not be launched yet: %s", training.current, error)
        return None

    def _training(
        self,
        owner: Owner,
        deployment: str,
        asked: Retrain,
        status: DriftMonitorStatus,
        training: Retraining,
    ) -> RunRequest:
        own, trainer = None, None
        if asked.pipeline is not None:
            own = OwnPipeline(asked.pipeline.name, asked.pipeline.version, purpose="Training")
        else:
            trainer = Trainer(asked.image or "", tuple(asked.command), tuple(asked.args))
        told = document_of(owner, deployment, self._names(status), training)
        parameters: dict[str, JsonValue] = {TRAINING: told}
        if own is not None:
            parameters |= {"model_uri": training.model_uri, "run_id": training.run_id}
        return RunRequest(
            run_id=training.run_id,
            name=f"{owner.namespace}/{owner.name} training",
            pipeline=TRAINING_PIPELINE,
            parameters=parameters,
            namespace=owner.namespace,
            owner=_run_owner(owner),
            timeout=min(asked.timeout, self._longest),
            service_account=asked.service_account_name,
            credentials_secret=asked.credentials_secret,
            resources=asked.resources,
            own=own,
            trainer=trainer,
        )

    def _names(self, status: DriftMonitorStatus) -> list[JsonValue]:
        """Give the features that drifted, without those whose names a run cannot carry."""
        names = status.evaluation.drifted_names if status.evaluation else []
        return [
            name for name in names if "{{$" not in name and not (self._pipelines.narrow and first_wide(name))
        ]

    async def _registering(
        self, owner: Owner, asked: Retrain, status: DriftMonitorStatus, training: Retraining
    ) -> RunRequest:
        # What is converted is loaded and run as well.
        timeout = min(asked.timeout if asked.convert else _REGISTERS_FOR, self._longest)
        place = _place(owner, training.registration_id)
        return RunRequest(
            run_id=training.registration_id,
            name=f"{owner.namespace}/{owner.name} registration",
            pipeline=REGISTERING_PIPELINE,
            parameters={
                "model_uri": training.model_uri,
                **({"converts": True, "converted_uri": converted_uri(training)} if asked.convert else {}),
                "registration": self._registration(owner, asked, training),
                "verdict_uri": await self._answers.address(place, timeout),
                "run_id": training.registration_id,
            },
            namespace=owner.namespace,
            owner=_run_owner(owner),
            timeout=timeout,
            service_account=asked.service_account_name,
            credentials_secret=asked.credentials_secret,
            resources=asked.resources if asked.convert else None,
        )

    def _registration(self, owner: Owner, asked: Retrain, training: Retraining) -> dict[str, JsonValue]:
        if asked.register_as is None:
            return {}
        rows = [part.uri for part in (training.baseline, training.window) if part is not None]
        return {
            "name": asked.register_as,
            "alias": asked.alias,
            "trackingUri": self._tracking_uri,
            "reason": f"DriftMonitor {owner.namespace}/{owner.name} saw drift, or worse performance, "
            f"from {format_time(training.alarm)} on",
            "rows": list(dict.fromkeys(rows)),
        }

    async def _result(self, owner: Owner, training: Retraining) -> Trained | str | None:
        run_id = training.registration_id
        try:
            found = await self._answers.documents.verdict(self._answers.uri(_place(owner, run_id)))
        except DocumentInvalid as error:
            return one_line(str(error), 1000)
        if found is None or found.run_id != run_id:
            return None
        if isinstance(found, RunFailure):
            return one_line(found.error.message, 1000)
        return _trained(found, converted=found.model_uri == converted_uri(training))


def document_of(
    owner: Owner, deployment: str, drifted: list[JsonValue], training: Retraining
) -> dict[str, JsonValue]:
    """Give what a training is told: on which rows, and where the model goes."""
    rows: dict[str, JsonValue] = {
        name: _rows(part)
        for name, part in (
            ("baseline", training.baseline),
            ("window", training.window),
            ("labels", training.labels),
        )
        if part is not None
    }
    return {
        "runId": training.run_id,
        "modelUri": training.model_uri,
        "rows": rows,
        "deployment": deployment,
        "namespace": owner.namespace,
        "monitor": owner.name,
        "driftedFeatures": drifted,
    }


def _rows(part: Sought) -> dict[str, JsonValue]:
    rows: dict[str, JsonValue] = {"uri": part.uri}
    for name, moment in (("since", part.since), ("until", part.until)):
        if moment is not None:
            rows[name] = format_time(moment)
    return rows


def _trained(found: Verdict, *, converted: bool) -> Trained | str:
    if found.model_digest is None:
        return "what was found of the model has no modelDigest"
    told = found.registration
    if told is None:
        return Trained(found.model_digest, converted=converted)
    registered = "" if told.version is None else f"{told.name}/{told.version}"
    words = one_line(told.in_words(), 600)
    return Trained(found.model_digest, registered, words, problem=bool(told.problem), converted=converted)


def _run_owner(owner: Owner) -> RunOwner:
    return RunOwner(API_VERSION, "DriftMonitor", owner.name, owner.uid)


def _place(owner: Owner, run_id: str) -> Place:
    return Place(owner.namespace, owner.name, "training", run_id, "verdict.json")
