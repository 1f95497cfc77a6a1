"""The operator before a Prometheus: what is counted, what is said when nothing can be, and how a rollout ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.adapters.pools import Pool
from mooring_operator.planning.analysis.counting import Counting
from mooring_operator.reconcile.counters import Counters

from tests.operator.played_prometheus import PlayedPrometheus
from tests.operator.world import DIGITS, START, Crash, World

COUNTER = "mooring_inference_requests_total"
COUNTING = Counting(timedelta(seconds=10), timedelta(seconds=5))
STEPS = [{"setWeight": 20}, {"analyse": {"duration": "20m"}}, {"setWeight": 100}]
JUDGED = {"rollout": {"steps": STEPS, "analysis": {"metrics": [{"metric": "errorRate"}]}}}


@dataclass
class Traffic:
    """A hundred requests a second, scraped every five seconds; `bad` are models and the share that they get wrong."""

    world: World
    prometheus: PlayedPrometheus
    bad: dict[str, float] = field(default_factory=dict)
    namespace: str = "ns"
    counters: dict[tuple[str, str], float] = field(default_factory=dict)
    scraped: float = 0.0

    def flow(self) -> None:
        """Let what was served since the last time be counted."""
        now = self.world.now.timestamp()
        self.prometheus.now = now
        self.scraped = self.scraped or now
        while self.scraped + 5 <= now:
            self.scraped += 5
            self._scrape(self.scraped)

    def _scrape(self, at: float) -> None:
        status = self.world.status
        stable, candidate = status.get("stable"), status.get("candidate")
        weight = candidate.get("weight", 0) if candidate else 0
        for arm, share in ((stable, 100 - weight), (candidate, weight)):
            if arm is None or not share:
                continue
            wrong = self.bad.get(arm["storageUri"], 0.01)
            for code, of in (("200", 1 - wrong), ("503", wrong)):
                key = (arm["revision"], code)
                self.counters[key] = self.counters.get(key, 0.0) + round(5 * share * of)
                labels = {"namespace": self.namespace, "model": "digits", "revision": key[0], "code": code}
                self.prometheus.scrape(at, COUNTER, self.counters[key], pod=key[0], **labels)


@pytest.fixture
async def played(world: World) -> PlayedPrometheus:
    made = PlayedPrometheus(now=START.timestamp())
    # Time is the test's: each pass waits for the answer, and asks again at once.
    metrics = made.metrics(lambda: world.now)
    world.counters = lambda: Counters(metrics, COUNTING, patience=60, again=-1)
    await world.start()
    yield made
    await metrics.close()


async def go_on(
    world: World, traffic: Traffic, until: Callable[[], bool] = lambda: False, limit: int = 400
) -> None:
    """Go on until the rollout has ended, or waits for a person."""
    resting = ("Promoted", "RolledBack", "Failed", "Paused", "AwaitingApproval")
    for _ in range(limit):
        traffic.flow()
        pause = await world.step()
        watched = "is watched" in world.status.get("message", "")
        if until() or (
            world.phase in resting and not watched and world.status.get("observedGeneration", 0) > 1
        ):
            return
        world.now += timedelta(seconds=max(pause or 1, 1))
    raise AssertionError(f"does not end: {world.status.get('message')}")


async def judged(world: World, played: PlayedPrometheus, how: dict = JUDGED, **bad: float) -> Traffic:
    """v1 serves, and v2 is asked for."""
    await world.promote("v1", **how)
    world.deploy("v2", **how)
    return Traffic(world, played, {f"s3://m/{model}": share for model, share in bad.items()})


async def test_a_candidate_that_answers_wrongly_is_rolled_back(world: World, played: PlayedPrometheus):
    traffic = await judged(world, played, v2=0.08)
    await go_on(world, traffic)
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    assert world.status["stable"]["storageUri"] == "s3://m/v1"
    assert "errorRate: candidate 8.00% (" in world.status["message"]
    assert world.condition("Analysed")["status"] == "False"
    assert "AnalysisFailed" in world.events()
    assert "evidence" not in world.status["analysis"]


async def test_a_good_one_is_promoted(world: World, played: PlayedPrometheus):
    traffic = await judged(world, played)
    await go_on(world, traffic)
    assert world.phase == "Promoted"
    assert world.status["stable"]["storageUri"] == "s3://m/v2"
    assert world.status["analysis"]["verdict"] == "PASS"
    assert world.kserve.weights == [("s3://m/v2", 20), ("s3://m/v2", 100)]


async def test_nobody_asks_about_other_namespaces(world: World, played: PlayedPrometheus):
    """What a pod of another namespace says of itself with the same names is not counted."""
    traffic = await judged(world, played, v2=0.5)
    traffic.namespace = "foreign"
    await go_on(world, traffic)
    assert world.status["reason"] == "PausedByAnalysis"
    assert played.asked
    assert all('namespace="ns",model="digits"' in query for query in played.asked)
    said = world.condition("Analysed")
    assert said["reason"] == "MetricsUnavailable"
    assert "no series of model digits in namespace ns" in said["message"]


FAULTS = {
    "away": ({"away": True}, "does not answer"),
    "overloaded": ({"status": 503, "body": {}}, "answers 503"),
    "refusing": ({"status": 401, "body": {}}, "refuses who asks: 401"),
    "another": ({"body": b"<html>"}, "is not Prometheus"),
    "erring": ({"status": 422, "body": {"status": "error", "error": "too many samples"}}, "too many samples"),
    "late": ({"ahead": -300.0}, "clock is 300 s behind"),
    "early": ({"ahead": 120.0}, "clock is 120 s ahead"),
    "of vectors": (
        {"body": {"status": "success", "data": {"resultType": "vector", "result": []}}},
        "no time series",
    ),
    "of NaN": (
        {
            "body": {
                "status": "success",
                "data": {
                    "resultType": "matrix",
                    "result": [{"metric": {"revision": "a"}, "values": [[1, "NaN"]]}],
                },
            }
        },
        "has 'NaN', which is no count",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_prometheus_that_cannot_be_read_counts_against_nobody(
    world: World, played: PlayedPrometheus, fault: str
):
    how = {
        "rollout": {
            **JUDGED["rollout"],
            "steps": [STEPS[0], {"analyse": {"duration": "3m", "onInsufficient": "Fail"}}, STEPS[2]],
        }
    }
    changes, said = FAULTS[fault]
    traffic = await judged(world, played, how, v2=0.5)
    for name, value in changes.items():
        setattr(played, name, value)
    await go_on(world, traffic)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    assert world.status["candidate"]["weight"] == 20
    found = world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert said in found["message"]
    # It is mended: what was counted meanwhile counts, each request once.
    played.status, played.body, played.away, played.ahead = 200, None, False, 0.0
    await go_on(world, traffic, until=lambda: world.phase == "RolledBack")
    assert world.status["reason"] == "AnalysisFailed"


async def test_without_an_address_the_setting_is_named(world: World, played: PlayedPrometheus):
    world.counters = lambda: Counters(counting=COUNTING)
    await world.start()
    traffic = await judged(world, played)
    await go_on(world, traffic)
    assert world.status["reason"] == "PausedByAnalysis"
    assert "MOORING_PROMETHEUS_URL" in world.condition("Analysed")["message"]


@pytest.mark.parametrize(
    ("runtime", "source", "said"),
    [
        (
            "bespoke",
            "Auto",
            "what runtime bespoke counts is not known; write one of Mooring, Triton, MLServer, VLLM",
        ),
        (
            "kserve-sklearnserver",
            "Auto",
            "KServe does not count it: KServe's Python servers say how long predictions",
        ),
        (
            "kserve-tritonserver",
            "Auto",
            "Prometheus has no nv_inference_request_success of Triton for revision",
        ),
        ("bespoke", "Istio", "Prometheus has no istio_requests_total of Istio for revision"),
    ],
)
async def test_who_counts_is_chosen_by_the_runtime_or_said(world: World, played, runtime, source, said):
    analysis = {"metrics": [{"metric": "errorRate"}], "source": source}
    how = {"rollout": {"steps": STEPS, "analysis": analysis}, "serving": {"runtime": runtime}}
    traffic = await judged(world, played, how)
    await go_on(world, traffic)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    found = world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert said in found["message"]


async def test_what_was_promoted_is_left_when_it_turns_bad(world: World, played: PlayedPrometheus):
    analysis = {"metrics": [{"metric": "errorRate"}], "afterPromotion": "30m"}
    traffic = await judged(world, played, {"rollout": {"steps": STEPS, "analysis": analysis}})
    await go_on(world, traffic, until=lambda: "is watched" in world.status.get("message", ""))
    assert world.status["stable"]["storageUri"] == "s3://m/v2"
    traffic.bad = {"s3://m/v2": 0.3}
    await go_on(world, traffic, until=lambda: world.phase == "RolledBack")
    assert world.status["reason"] == "AnalysisFailed"
    assert world.status["stable"]["storageUri"] == "s3://m/v1"
    assert "limit" in world.status["message"]


async def test_a_restart_anywhere_takes_each_look_once(world: World, played: PlayedPrometheus):
    """Two operators that end after any of their writes come to what one that never ends comes to."""
    traffic = await judged(world, played, v2=0.02)
    for number in range(60):
        traffic.flow()
        await world.start(crash_after=number % 4)
        with suppress(Crash):
            await world.step()
        world.now += timedelta(seconds=7)
    await world.start()
    found = world.status["analysis"]
    since, until = found["since"], found["until"]
    served = {
        (labels["revision"], labels["code"]): series.at(_time(until), 1e9)
        - (series.at(_time(since), 1e9) or 0)
        for series in played.series.values()
        for labels in [series.labels]
    }
    candidate = found["candidate"]
    wrong, whole = served[candidate, "503"], served[candidate, "503"] + served[candidate, "200"]
    assert f"({wrong:g} of {whole:g})" in found["message"]
    assert whole > 0


async def test_a_slow_prometheus_holds_no_pass_up(world: World, played: PlayedPrometheus):
    traffic = await judged(world, played, v2=0.5)
    await go_on(world, traffic, until=lambda: bool(world.status.get("analysis")))
    stalled = Stalling()
    world.counters = lambda: Counters(stalled, COUNTING, patience=0.01)
    await world.start()
    world.now += timedelta(seconds=30)
    for _ in range(3):
        assert await world.step() == 1.0
    assert stalled.asked == 1
    assert world.objects.get(DIGITS)["status"]["analysis"]["verdict"] == "INSUFFICIENT"
    stalled.release()


@pytest.mark.parametrize("then", ["Pass", "Fail"])
async def test_a_step_ends_with_no_look_that_nobody_has_answered(
    world: World, played: PlayedPrometheus, then: str
):
    """An answer on its way is neither too little evidence for a candidate nor against it."""
    steps = [STEPS[0], {"analyse": {"duration": "1m", "onInsufficient": then}}, STEPS[2]]
    traffic = await judged(world, played, {"rollout": {**JUDGED["rollout"], "steps": steps}}, v2=0.5)
    stalled = Stalling()
    # Minutes are the world's: nobody gives up the question by the clock on the wall.
    pool = Pool("metrics", MetricsUnavailableError, deadline=3600)
    world.counters = lambda: Counters(stalled, COUNTING, patience=0.01, pool=pool)
    await world.start()
    await go_on(world, traffic, until=lambda: "not been answered yet" in world.status.get("message", ""))
    assert (world.phase, world.status["candidate"]["weight"]) == ("Canary", 20)
    # Who never answers does not hold it up for ever.
    await go_on(world, traffic)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    assert world.status["candidate"]["weight"] == 20
    assert "what was counted up to then has not been answered yet" in world.status["message"]
    stalled.release()


class Stalling:
    """A port that does not answer before it is released."""

    def __init__(self) -> None:
        self.asked, self._free = 0, asyncio.Event()

    async def counts(self, *_: object) -> tuple[dict, dict]:
        self.asked += 1
        await self._free.wait()
        return {}, {}

    def release(self) -> None:
        self._free.set()


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
