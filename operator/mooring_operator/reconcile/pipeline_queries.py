"""Queries that runs of Kubeflow Pipelines measure: each launched once, looked at until it has ended, and read."""

import logging
from datetime import datetime, timedelta

from mooring_artifacts.run_documents import RunFailure, Verdict
from pydantic import JsonValue

from mooring_operator.adapters.documents import DocumentInvalid, DocumentsUnavailable
from mooring_operator.adapters.pipelines import (
    LaunchUncertain,
    Pipelines,
    PipelinesRefused,
    PipelinesUnavailable,
)
from mooring_operator.api import API_VERSION
from mooring_operator.api.measuring_pipeline import MeasuringPipeline
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.in_namespace import Due, due
from mooring_operator.planning.analysis.measuring import Reading, UsedQuery
from mooring_operator.planning.runs.run import SURE_AFTER, OwnPipeline, RunOwner, RunRequest, RunState
from mooring_operator.planning.status.wording import one_line
from mooring_operator.reconcile.answers import Answers, Place, shown

_logger = logging.getLogger(__name__)
_PIPELINE = "model-ci"
"""What the user's own pipeline stands for: it has the same contract."""
_MOST_ENDED = 1000
_LATE = "its run has not ended in the time that it has"


class PipelineQueries:
    """Implements `Provider`; no run may take longer than `longest`."""

    def __init__(self, pipelines: Pipelines, answers: Answers, longest: timedelta) -> None:
        self._pipelines = pipelines
        self._answers = answers
        self._longest = longest
        self._ended: dict[str, datetime] = {}
        """Runs that were seen as ended without a document, and in which look first."""

    async def read(self, request: Request, query: UsedQuery) -> list[Reading]:
        """Launch the run of the measurement that is due, or read the one that has ended."""
        asked, spec = due(request, query), query.query.pipeline
        if asked is None or spec is None:
            return []
        try:
            found = await self._look(asked, spec)
        except (PipelinesRefused, LaunchUncertain) as error:
            # Not the same run again: whether work has begun is not known, and asking on would begin more of it.
            return [asked.found(None, problem=one_line(str(error)))]
        except (PipelinesUnavailable, DocumentsUnavailable) as error:
            if asked.is_late(None, min(spec.timeout, self._longest)):
                return [asked.found(None, problem=one_line(str(error)))]
            _logger.info("a measurement is not looked at: %s", one_line(str(error)))
            return []
        if found is None:
            return []
        self._ended.pop(asked.measurement_id, None)
        return [found]

    async def _look(self, asked: Due, spec: MeasuringPipeline) -> Reading | None:
        run = shown(await self._pipelines.get(asked.owner.namespace, asked.measurement_id))
        if run is None:
            await self._launch(asked, spec)
            return None
        if run.phase in ("Pending", "Running"):
            late = asked.is_late(run.started_at, min(spec.timeout, self._longest))
            return asked.found(run.started_at, problem=_LATE) if late else None
        return await self._read_ended(asked, run)

    async def _read_ended(self, asked: Due, run: RunState) -> Reading | None:
        begun = run.started_at
        try:
            document = await self._answers.documents.verdict(self._answers.uri(_place(asked)))
        except DocumentInvalid as error:
            return asked.found(begun, problem=one_line(str(error)))
        if document is not None and document.run_id != asked.measurement_id:
            return asked.found(begun, problem="the document of its run is of another run")
        if isinstance(document, RunFailure):
            return asked.found(begun, problem=one_line(document.error.message))
        if document is None and not self._is_sure(asked):
            return None
        if run.phase != "Succeeded":
            return asked.found(
                begun, problem=f"its run has {run.phase.lower()}: {run.message or 'without a word'}"
            )
        if document is None:
            return asked.found(begun, problem="its run has succeeded, and wrote no verdict to verdict_uri")
        return _of_verdict(asked, document, begun)

    def _is_sure(self, asked: Due) -> bool:
        """Whether a run without a document was seen as ended before: a backend may take a state back."""
        until = asked.request.until
        first = self._ended.setdefault(asked.measurement_id, until)
        while len(self._ended) > _MOST_ENDED:
            self._ended.pop(next(iter(self._ended)))
        return until - first >= SURE_AFTER

    async def _launch(self, asked: Due, spec: MeasuringPipeline) -> None:
        owner, request = asked.owner, asked.request
        timeout, (uri, digest) = min(spec.timeout, self._longest), request.model
        parameters: dict[str, JsonValue] = {
            **asked.query.arguments,
            "model_uri": uri,
            "model_digest": digest,
            "endpoint": request.address,
            "verdict_uri": await self._answers.address(_place(asked), timeout),
            "run_id": asked.measurement_id,
        }
        await self._pipelines.launch(
            RunRequest(
                run_id=asked.measurement_id,
                name=f"{owner.namespace}/{owner.name} {request.candidate} {asked.query.name}",
                pipeline=_PIPELINE,
                namespace=owner.namespace,
                owner=RunOwner(API_VERSION, "ModelDeployment", owner.name, owner.uid),
                timeout=timeout,
                service_account=spec.service_account_name,
                credentials_secret=spec.credentials_secret,
                own=OwnPipeline(spec.name, spec.version, purpose="Measurement"),
                parameters=parameters,
            )
        )


def _of_verdict(asked: Due, verdict: Verdict, begun: datetime | None) -> Reading:
    """Give what conditions see of a verdict; without conditions, it passes or fails by itself."""
    violations: list[JsonValue] = [one_line(violation.message, 200) for violation in verdict.violations]
    if not asked.query.query.conditions:
        if verdict.passed:
            return asked.found(begun)
        return asked.found(begun, failed=one_line(f"the verdict: {violations[0]}"))
    metrics: dict[str, JsonValue] = {name: float(value) for name, value in verdict.metrics.items()}
    return asked.found(begun, {"passed": verdict.passed, "metrics": metrics, "violations": violations})


def _place(asked: Due) -> Place:
    return Place(asked.owner.namespace, asked.owner.name, "analysis", asked.measurement_id, "verdict.json")
