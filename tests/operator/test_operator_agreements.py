"""Agreement on mirrored requests, before the operator: what pods count decides, and each pair counts once."""

import json
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from mooring_artifacts.measuring import QUESTION
from mooring_operator.adapters.checks.owned_jobs import JOB
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import ANALYSIS_TEMPLATE

from tests.operator.test_gateway_bad_input import Played, played  # noqa: F401
from tests.operator.test_operator_job_queries import Measured, measuring
from tests.operator.world import DIGITS, Crash, World
from tests.unit.operator.planning.manifests.test_pods import expanded

HOUSE = Ref(ANALYSIS_TEMPLATE, "ns", "house")
STEPS = [{"setWeight": 50}, {"analyse": {"duration": "4m"}}, {"setWeight": 100}]
SHADOW = {"strategy": "Shadow", "shadow": {"percent": 100, "duration": "8m"}, "steps": STEPS,
          "analysis": {"templates": [{"name": "house"}]}}  # fmt: skip
CAPTURE = {"store": "s3://kept/all"}


class Pods(Measured):
    """Plays pods that count: twenty pairs a second, of which `share` differ, in the time that they are asked about."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.share, self.per_second, self.fails = 0.0, 20, ""
        self.asked: dict[str, dict] = {}

    def play(self) -> None:
        for job in self._objects.list(JOB):
            if "status" in job:
                continue
            [container] = job["spec"]["template"]["spec"]["containers"]
            question = json.loads(
                expanded(next(e["value"] for e in container["env"] if e["name"] == QUESTION))
            )
            if not self.fails:
                self.asked[job["metadata"]["name"]] = question
            since, until = (datetime.fromisoformat(question[name]) for name in ("since", "until"))
            pairs = int((until - since).total_seconds() * self.per_second)
            counts = {"pairs": pairs, "disagreements": int(pairs * self.share), "failed": 0, "repeated": 0,
                      "stable": 500, "candidate": 400, "until": question["until"]}  # fmt: skip
            self.outcome = "PodFailurePolicy" if self.fails else "Complete"
            self.says = self.fails or json.dumps(counts)
            super().play()

    @property
    def stretches(self) -> list[tuple[str, str]]:
        return sorted((one["since"], one["until"]) for one in self.asked.values())


class Judged:
    """A Shadow that is judged by the template house."""

    def __init__(self, played: Played, pods: Pods) -> None:  # noqa: F811
        self.played, self.world, self.pods = played, played.world, pods

    def demand(self, **fields) -> None:
        agreement = {"name": "differ", "points": 2, "interval": "30s", "delay": "30s", **fields}
        spec = {"agreements": [agreement]}
        self.world.objects.apply(HOUSE, {"metadata": {"name": "house"}, "spec": spec}, "admin")

    def deploy(self, model: str, *, capture=CAPTURE, **rollout) -> None:
        gateway = {"router": "Gateway", "gateway": {"name": "front", "namespace": "gateways"}}
        serving = {"minReplicas": 1, **({"capture": capture} if capture else {})}
        self.world.deploy(model, rollout={**gateway, **SHADOW, **rollout}, serving=serving)

    async def begin(self, **fields) -> None:
        await self.played.gateway.open()
        self.deploy("v1", **fields)
        await self.go_on()
        assert self.world.phase == "Promoted"
        self.deploy("v2", **fields)

    async def go_on(self, until=None, limit=600) -> None:
        for _ in range(limit):
            pause = await self.world.step()
            await self.played.gateway.act()
            status = self.world.status
            rests = status.get("phase") in ("Promoted", "RolledBack", "Failed", "Paused")
            done = until() if until else rests and status["observedGeneration"] == self.generation
            if done:
                return
            self.world.now += timedelta(seconds=max(pause or 1, 1))
        raise AssertionError(f"does not end: {self.world.status}")

    @property
    def generation(self) -> int:
        return self.world.objects.get(DIGITS)["metadata"]["generation"]

    @property
    def analysis(self) -> dict:
        return self.world.status.get("analysis") or {}


@pytest.fixture
async def judged(world: World, played: Played) -> Judged:  # noqa: F811
    found = Judged(played, await measuring(world, Pods(world)))
    found.demand()
    return found


def follow_each_other(stretches) -> bool:
    return all(end == begin for (_, end), (begin, _) in pairwise(stretches))


async def test_revisions_that_agree_are_promoted_by_pairs_of_copies_alone(judged: Judged):
    judged.pods.share = 0.005
    await judged.begin()
    await judged.go_on()
    assert judged.world.phase == "Promoted", judged.world.status
    assert judged.analysis["verdict"] == "PASS"
    assert judged.analysis["message"].startswith("differ: candidate 0.50% (")
    assert "limit 2%" in judged.analysis["message"]
    assert "looks, last " in judged.analysis["measured"]
    # Each second of the copying was asked about once, and none after it.
    assert follow_each_other(judged.pods.stretches)
    first, last = judged.pods.stretches[0][0], judged.pods.stretches[-1][1]
    copied = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    assert timedelta(minutes=6) < copied < timedelta(minutes=10)
    [question] = {(one["stable"], one["candidate"]) for one in judged.pods.asked.values()}
    stable, candidate = judged.analysis["stable"], judged.analysis["candidate"]
    assert question == tuple(f"s3://kept/all/deployment=digits/revision={r}" for r in (stable, candidate))


async def test_one_that_answers_otherwise_is_rolled_back_while_it_gets_copies(judged: Judged):
    judged.pods.share = 0.1
    await judged.begin()
    await judged.go_on()
    assert (judged.world.phase, judged.world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    assert "at 0% of traffic: differ: candidate 10.00% (" in judged.world.status["message"]
    assert "limit 2%, exceeded by 8 points; evidence" in judged.world.status["message"]
    assert len(judged.pods.made) >= 3


async def test_a_pod_that_fails_loses_no_pair(judged: Judged):
    judged.pods.fails = "stable 's3://kept/all': access is denied"
    await judged.begin()
    said = lambda: (judged.world.condition("Analysed") or {}).get("message", "")  # noqa: E731
    await judged.go_on(lambda: "access is denied" in said())
    found = judged.world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert found["message"].startswith("AnalysisTemplate house, agreement differ: stable 's3://kept/all'")
    began = judged.analysis["since"]
    judged.pods.fails = ""
    await judged.go_on()
    assert judged.world.phase == "Promoted"
    assert judged.pods.stretches[0][0] == began
    assert follow_each_other(judged.pods.stretches)


@pytest.mark.parametrize("writes", range(1, 5))
async def test_each_pair_counts_once_also_after_a_crash(judged: Judged, writes):
    """The operator dies after so many writes while a look is under way; whoever comes next goes on."""
    judged.pods.share = 0.005
    await judged.begin()
    await judged.go_on(lambda: len(judged.pods.made) == 2)
    await judged.world.start(crash_after=writes)
    with pytest.raises(Crash):
        await judged.go_on()
    await judged.world.start()
    await judged.go_on()
    assert judged.world.phase == "Promoted"
    assert follow_each_other(judged.pods.stretches)
    counted = sum(20 * (until - since).total_seconds() for since, until in map(_times, judged.pods.stretches))
    told = judged.analysis["message"].partition(" of ")[2].partition(")")[0]
    assert 0 <= counted - float(told) < 20 * 100


def _times(stretch):
    return [datetime.fromisoformat(one) for one in stretch]


async def test_no_pairs_are_no_verdict(judged: Judged):
    judged.pods.per_second = 0
    await judged.begin()
    await judged.go_on()
    assert (judged.world.phase, judged.world.status["reason"]) == ("Paused", "PausedByAnalysis")
    assert judged.analysis["verdict"] == "INSUFFICIENT"


async def test_no_pairs_while_copies_are_sent_are_told(judged: Judged):
    judged.pods.per_second = 0
    await judged.begin()
    said = lambda: (judged.world.condition("Analysed") or {}).get("message", "")  # noqa: E731
    await judged.go_on(lambda: "no request was answered by both" in said())
    assert (
        "stable kept 500, the new one 400, without an id in common: does the gateway send x-request-id"
        in said()
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"strategy": "Canary", "shadow": None}, "strategy Canary sends each request to one revision"),
        ({"capture": None}, "keeps no requests: set spec.serving.capture"),
    ],
)
async def test_where_there_can_be_none_no_pod_is_made_and_the_condition_says_why(
    judged: Judged, fields, said
):
    await judged.begin(**{name: value for name, value in fields.items() if value or name == "capture"} | (
        {"shadow": None} if "strategy" in fields else {}))  # fmt: skip
    told = lambda: (judged.world.condition("Analysed") or {}).get("message", "")  # noqa: E731
    await judged.go_on(lambda: said in told())
    assert judged.pods.made == []
    assert judged.analysis["verdict"] == "INSUFFICIENT"
