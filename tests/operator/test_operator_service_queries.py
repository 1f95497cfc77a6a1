"""Queries that pods ask monitoring services, before the operator: the pod's own program asks a server of the tests."""

import httpx2 as httpx
import pytest
from mooring_artifacts.webhooks import INSUFFICIENT
from mooring_components.measuring.__main__ import run
from mooring_operator.adapters.checks.owned_jobs import JOB
from mooring_operator.reconcile.counters import Counters

from tests.operator.test_operator_analysis import COUNTING
from tests.operator.test_operator_job_queries import Measured, begin, by_jobs, demand, go_on
from tests.operator.world import World
from tests.unit.components.monitoring import Monitoring, Reply, serving
from tests.unit.components.test_measuring_datadog import KEYS, columns, documented
from tests.unit.operator.planning.manifests.test_pods import expanded

DATADOG = {
    "credentialsSecret": "datadog",
    "query": "avg:errors{version:{{candidate}},pool:{{arguments.pool}}}",
}


class Programs(Measured):
    """Plays a kubelet that runs what pods are to run."""

    def __init__(self, world: World, service: Monitoring, keys) -> None:
        super().__init__(world)
        self._service, self._keys = service, keys

    def play(self) -> None:
        for job in self._objects.list(JOB):
            if "status" not in job:
                [container] = job["spec"]["template"]["spec"]["containers"]
                environment = {one["name"]: expanded(one["value"]) for one in container["env"]}
                says = self._keys.parent / "says"
                client = httpx.Client(base_url=self._service.url, timeout=5, trust_env=False)
                code = run({**environment, "MOORING_SECONDS": "0.5"}, self._keys, says, client)
                self.outcome = {0: "Complete", INSUFFICIENT: "PodFailurePolicy"}[code]
                self.says = says.read_text()
                super().play()


@pytest.fixture
async def datadog(world: World, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir()
    for name, value in KEYS.items():
        (keys / name).write_text(value)
    with serving(Monitoring([columns(0.01)], documented)) as service:
        played, play = Programs(world, service, keys), world.kserve.play

        def play_both():
            play()
            played.play()

        world.kserve.play = play_both
        world.counters = lambda: Counters(
            counting=COUNTING, patience=60, again=-1, rules=world.rules, providers=by_jobs(world)
        )
        await world.start()
        demand(world, job=None, datadog=DATADOG, successCondition="result < 0.05", count=2, failureLimit=1)
        service.keys = keys
        yield service


async def test_a_number_of_datadog_lets_a_revision_through(world: World, datadog: Monitoring):
    await begin(world)
    await go_on(world)
    assert world.phase == "Promoted"
    assert "smoke: 0 of 2 failed, last 0.01" in world.status["analysis"]["measured"]
    asked = datadog.asked[0][2].decode()
    assert f"version:{world.status['analysis']['candidate']},pool:a-1" in asked


async def test_one_beyond_the_bound_rolls_back(world: World, datadog: Monitoring):
    datadog.replies = [columns(0.2)]
    await begin(world)
    await go_on(world)
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    assert "smoke: 2 of 2 measurements failed (limit 1); the last: 0.2" in world.status["message"]


@pytest.mark.parametrize(
    ("replies", "key", "said"),
    [
        ([columns()], None, "it gives no data for the last 300 s"),
        ([Reply({}, 429, {"Retry-After": "90"})], None, "Datadog asks to wait for 90 s"),
        ([columns(1)], "apiKey", "Datadog refuses the keys of Secret datadog (401)"),
    ],
)
async def test_what_comes_to_no_number_is_a_condition_and_traffic_stays(
    world: World, datadog: Monitoring, replies, key, said
):
    datadog.replies = replies
    if key is not None:
        (datadog.keys / key).write_text("wrong")
    demand(world, job=None, datadog=DATADOG, successCondition="result < 0.05", consecutiveErrorLimit=1)
    await begin(world)
    await go_on(world)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    assert world.status["candidate"]["weight"] == 20
    found = world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert found["message"].startswith(f"AnalysisTemplate house, query smoke: {said}")
