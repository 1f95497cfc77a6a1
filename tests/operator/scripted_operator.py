"""The operator's process with pipelines and registry that a test plays: `python -m` this module.

Its first argument is the folder where the test finds the runs and puts the verdicts. Behind it may stand what does
not work: `stall` (evaluations of drift are asked for and never answered), `block` (they hold up the event loop).
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.outages import Outages
from mooring_operator.adapters.rules.engine import LimitedRules
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.planning.rollout.situation import Resolved
from mooring_operator.planning.runs.run import RunRequest
from mooring_operator.runtime.dispatch import Reconcilers
from mooring_operator.settings import Settings, read_settings

from tests.operator.surroundings import Models, Runs
from tests.operator.world import Adapters, controllers


class StallingRuns(Runs):
    """Pipelines that accept what is asked of them for a DriftMonitor, and never answer."""

    async def launch(self, run: RunRequest) -> None:
        if run.owner.kind == "DriftMonitor":
            await asyncio.sleep(3600)
        await super().launch(run)


class BlockingRuns(Runs):
    """Pipelines whose client holds up the event loop for a DriftMonitor."""

    async def launch(self, run: RunRequest) -> None:
        if run.owner.kind == "DriftMonitor":
            time.sleep(3600)  # noqa: ASYNC251 - that is the fault
        await super().launch(run)


RUNS = {"": Runs, "stall": StallingRuns, "block": BlockingRuns}


class BreakingModels(Models):
    """Models of which one breaks the operator."""

    async def resolve(self, model: ModelSpec, namespace: str) -> Resolved:
        if model.uri.endswith("/broken"):
            raise KeyError("s3cret-of-a-store")
        return await super().resolve(model, namespace)


def build(settings: Settings, cluster: Cluster, outages: Outages) -> Reconcilers:
    folder = Path(sys.argv[1])
    adapters = Adapters(
        RUNS["".join(sys.argv[2:])](folder / "runs"),
        BreakingModels(missing={"s3://m/gone"}),
        f"file://{folder}/artifacts",
        lambda: datetime.now(UTC).replace(microsecond=0),
        LimitedRules(),
    )
    return controllers(cluster, adapters)


if __name__ == "__main__":
    # As the operator's own program does: kopf imports a client that it does not need, for a second.
    sys.modules["kubernetes"] = None  # type: ignore[assignment]
    from mooring_operator.main import run

    run(read_settings(), build)
