"""Runs of a pipeline: what is asked of a backend, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from mooring_operator.api.resources import Resources

# A backend may take a state back: KFP's goes PENDING, FAILED, RUNNING, SUCCEEDED where a run was launched twice.
SURE_AFTER = timedelta(seconds=5)
"""For how long a run has to be seen as ended, where it left no document, before that is believed."""

TENANT = "{namespace}"
"""In the name of the namespaces for runs it stands for the resource's own namespace."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Purpose: TypeAlias = Literal["Test", "Measurement", "Training"]
"""What a pipeline of the user's own is for."""
RunPhase: TypeAlias = Literal["Pending", "Running", "Succeeded", "Failed", "Canceled"]


@dataclass(frozen=True)
class RunOwner:
    """The resource that a run is made for: what is left of the run goes with it."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class OwnPipeline:
    """A pipeline of the user's own, by its name where pipelines are kept; without a version, the newest.

    needs: parameters that it has to take, beside those that every one of its purpose has.
    purpose: which contract it has to fulfil.
    """

    name: str
    version: str | None = None
    needs: tuple[str, ...] = ()
    purpose: Purpose = "Test"


@dataclass(frozen=True)
class Trainer:
    """A container of the user's that trains; it gets `TRAINING`, one of the parameters, as JSON behind `args`."""

    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


TRAINING = "training"
"""The parameter that says on which rows to train, and where the model goes."""


@dataclass(frozen=True)
class RunRequest:
    """A run to launch.

    run_id: a UUID chosen by the caller.
    name: what people read in a list of runs.
    pipeline: the name of a shipped pipeline.
    own: a pipeline of the user's that stands for the shipped one.
    trainer: the container that pipeline `retrain` is about.
    timeout: how long the run may take once it has started.
    service_account, credentials_secret: the identity that it has in its namespace.
    resources: of its pod; the administrator's defaults when left out.
    kept: how long it stays once it has finished; the administrator's time when left out, and at most.
    """

    run_id: str
    name: str
    pipeline: str
    parameters: Mapping[str, JsonValue]
    namespace: str
    owner: RunOwner
    timeout: timedelta
    service_account: str | None = None
    credentials_secret: str | None = None
    resources: Resources | None = None
    kept: timedelta | None = None
    own: OwnPipeline | None = None
    trainer: Trainer | None = None


@dataclass(frozen=True)
class RunState:
    """Where a run is.

    message: why it failed, or what a pending run waits for.
    queued: it waits for its turn among other runs, which is no time of its own.
    timed_out: the backend ended it because it took too long.
    started_at: since when its time counts; None where the backend does not say.
    """

    run_id: str
    phase: RunPhase
    message: str = ""
    queued: bool = False
    timed_out: bool = False
    started_at: datetime | None = None


def pause_in_run(elapsed: timedelta, allowed: timedelta) -> float:
    """Give the seconds until a run is looked at again.

    A run cannot be watched. Ask often at first, when a short run ends, and less often later.
    """
    pause = min(max(elapsed.total_seconds() / 10, 1.0), 15.0)
    return min(pause, max((allowed - elapsed).total_seconds(), 1.0))
