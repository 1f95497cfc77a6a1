"""The operator's process with pipelines and registry that a test plays: `python -m` this module.

Its first argument is the folder where the test finds the runs and puts the verdicts.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.rules.engine import LimitedRules
from mooring_operator.main import run
from mooring_operator.runtime.dispatch import Reconcilers
from mooring_operator.settings import Settings, read_settings

from tests.operator.surroundings import Models, Runs
from tests.operator.world import Adapters, controllers


def build(settings: Settings, cluster: Cluster) -> Reconcilers:
    folder = Path(sys.argv[1])
    adapters = Adapters(
        Runs(folder / "runs"),
        Models(),
        f"file://{folder}/artifacts",
        lambda: datetime.now(UTC).replace(microsecond=0),
        LimitedRules(),
    )
    return controllers(cluster, adapters)


if __name__ == "__main__":
    run(read_settings(), build)
