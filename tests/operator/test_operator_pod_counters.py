"""The operator without a Prometheus: it reads what pods show of themselves, and what becomes of a rollout by that."""

import gzip
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import pytest
from mooring_inference.observability.metrics import ServingMetrics
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.metrics import pods as pods_module
from mooring_operator.adapters.metrics.pods import MOST_PODS, POD, PodCounters
from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.planning.analysis.counting import MOST_LOOKS, Counting
from mooring_operator.planning.analysis.queries import AnswerUnusableError
from mooring_operator.planning.analysis.sources import SOURCES
from mooring_operator.reconcile.counters import Counters

from tests.operator.faults import CLOSE
from tests.operator.world import START, World

NEW, OLD = "c0ffee0001", "beef000002"
EVERY = timedelta(seconds=10)
COUNTING = Counting(EVERY, timedelta(), by_pods=True)
STEPS = [{"setWeight": 20}, {"analyse": {"duration": "20m"}}, {"setWeight": 100}]
METRICS = [{"metric": "errorRate"}, {"metric": "latency", "quantile": 90, "slower": 50}]


def judged_by(*metrics, **step):
    steps = [STEPS[0], {"analyse": {"duration": "20m", **step}}, STEPS[2]]
    return {"rollout": {"steps": steps, "analysis": {"metrics": list(metrics or METRICS[:1])}}}


@dataclass
class Pods:
    """Pods whose servers are the runtime's own counters."""

    world: World
    deployment: str = "digits"
    servers: dict[str, ServingMetrics] = field(default_factory=dict)

    def start(self, name: str, revision: str, *, ready: bool = True, answers: bool = True, **spec) -> None:
        """Begin a pod, or its server anew where there is one of that name."""
        ref = Ref(POD, "ns", name)
        labels = {
            "mooring.dev/model-deployment": self.deployment,
            "mooring.dev/revision": revision,
            "component": "predictor",
        }
        if self.world.objects.find(ref) is None:
            self.world.objects.create(POD, "ns", {"metadata": {"name": name, "labels": labels}, "spec": spec})
        serving = {"name": "kserve-container", "containerID": f"containerd://{uuid4()}"}
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        status = {"phase": "Running", "containerStatuses": [serving], "conditions": conditions}
        self.world.objects.change(ref, lambda before: {**before, "status": status})
        self.servers[name] = metrics = ServingMetrics()
        if answers:
            scheme = "https:" if spec else ""
            self.world.emulator.shown[f"{scheme}{name}:8080"] = lambda: metrics.exposition()[0]

    def stop(self, name: str) -> None:
        self.world.objects.delete(Ref(POD, "ns", name))
        self.world.emulator.shown.pop(f"{name}:8080", None)

    def answer(self, name: str, revision: str, code: int, times: int, seconds: float = 0.02) -> None:
        series = self.servers[name].of(self.deployment, revision)
        for _ in range(times):
            series.began()
            series.answered("v2-rest", code, seconds)


def asked(source="Mooring", metric="errorRate"):
    services = {NEW: "iris-rc0ffee00", OLD: "iris-rbeef0000"}
    return SOURCES[source].question(metric, "ns", "digits", services, int(EVERY.total_seconds()))


@pytest.fixture
def pods(world: World) -> Pods:
    return Pods(world)


@pytest.fixture
def metrics(world: World) -> PodCounters:
    return PodCounters(KubernetesCluster(world._connection))


class Watcher:
    """Asks look by look, as a rollout does."""

    def __init__(self, metrics: PodCounters, question=None) -> None:
        self.metrics, self.question = metrics, question or asked()
        self.since = self.now = START

    async def look(self):
        """Give (candidate's events, requests, stable's events, requests) of the looks of one more interval."""
        self.now += EVERY
        found = await self.metrics.looks(self.question, NEW, OLD, self.since, self.now)
        self.since = self.now
        return [(x.candidate, x.candidate_of, x.stable, x.stable_of) for x in found]


# --- counting -----------------------------------------------------------------------------------


async def test_a_look_is_what_all_pods_of_both_counted_since_the_one_before(pods: Pods, metrics: PodCounters):
    pods.start("new-a", NEW)
    for name in ("old-a", "old-b"):
        pods.start(name, OLD)
        pods.answer(name, OLD, 200, 500)
    watcher = Watcher(metrics)
    assert await watcher.look() == []
    pods.answer("new-a", NEW, 200, 9)
    pods.answer("new-a", NEW, 503, 1)
    pods.answer("old-a", OLD, 503, 2)
    pods.answer("old-b", OLD, 200, 88)
    assert await watcher.look() == [(1, 10, 2, 90)]
    # A pod that is new has counted nothing before.
    pods.start("old-c", OLD)
    pods.answer("old-c", OLD, 200, 7)
    assert await watcher.look() == [(0, 0, 0, 7)]


async def test_who_asks_again_gets_the_same_looks(pods: Pods, metrics: PodCounters):
    """No matter how often, and which metric: pods are read once for a look."""
    pods.start("new", NEW)
    pods.start("old", OLD)
    watcher = Watcher(metrics)
    await watcher.look()
    pods.answer("new", NEW, 200, 10)
    before = watcher.since
    first = await watcher.look()
    pods.answer("new", NEW, 503, 10)
    calls = len(pods.world.emulator.calls)
    again = await metrics.looks(watcher.question, NEW, OLD, before, watcher.now)
    buckets = await metrics.histograms(asked(metric="latency"), before, watcher.now)
    assert [(x.candidate, x.candidate_of) for x in again] == [(0, 10)] == [x[:2] for x in first]
    assert [found.total for found in buckets[NEW].values()] == [10]
    assert len(pods.world.emulator.calls) == calls
    assert await watcher.look() == [(10, 10, 0, 0)]


async def test_a_pod_that_ends_makes_no_look_and_the_next_one_is_whole(pods: Pods, metrics: PodCounters):
    """Its last counts are known to nobody: it may have answered nothing but errors."""
    for name, revision in (("new-a", NEW), ("new-b", NEW), ("old", OLD)):
        pods.start(name, revision)
    watcher = Watcher(metrics)
    await watcher.look()
    pods.answer("new-b", NEW, 503, 50)
    pods.answer("old", OLD, 200, 50)
    pods.stop("new-b")
    with pytest.raises(MetricsUnavailableError, match=f"pods ended between two looks, 1 of revision {NEW}"):
        await watcher.look()
    pods.answer("old", OLD, 200, 3)
    assert await watcher.look() == [(0, 0, 0, 3)]


async def test_a_server_that_begins_anew_in_its_pod_is_one_that_ended(pods: Pods, metrics: PodCounters):
    """Also where it shows more than the one before did."""
    pods.start("new", NEW)
    pods.start("old", OLD)
    pods.answer("new", NEW, 200, 1)
    watcher = Watcher(metrics)
    await watcher.look()
    pods.start("new", NEW)
    pods.answer("new", NEW, 200, 30)
    with pytest.raises(MetricsUnavailableError, match="what they counted last is not known"):
        await watcher.look()
    pods.answer("new", NEW, 200, 4)
    assert await watcher.look() == [(0, 4, 0, 0)]


async def test_where_no_look_of_an_hour_was_whole_the_next_that_is_counts(pods: Pods, metrics: PodCounters):
    """Nobody asks about more than so many at once, and whoever asks again asks about the same time."""
    pods.start("new", NEW)
    pods.start("old", OLD)
    watcher = Watcher(metrics)
    await watcher.look()
    since = watcher.since
    for looks in range(1, MOST_LOOKS + 4):
        pods.start("new", NEW)
        until = since + min(looks, MOST_LOOKS) * EVERY
        with pytest.raises(MetricsUnavailableError, match="pods ended between two looks"):
            await metrics.looks(watcher.question, NEW, OLD, since, until)
    pods.answer("new", NEW, 200, 6)
    found = await metrics.looks(watcher.question, NEW, OLD, since, until)
    assert [x.candidate_of for x in found] == [6]


async def test_a_reading_that_lacks_a_pod_is_none_and_the_next_makes_up_for_it(
    pods: Pods, metrics: PodCounters
):
    pods.start("new", NEW)
    pods.start("old", OLD)
    watcher = Watcher(metrics)
    await watcher.look()
    pods.answer("new", NEW, 503, 5)
    pods.answer("old", OLD, 200, 20)
    shown = pods.world.emulator.shown.pop("new:8080")
    with pytest.raises(
        MetricsUnavailableError, match="what pod new counts cannot be read at port 8080: it answers 503"
    ):
        await watcher.look()
    pods.world.emulator.shown["new:8080"] = shown
    pods.answer("old", OLD, 200, 1)
    assert await watcher.look() == [(5, 5, 0, 21)]


async def test_a_pod_that_has_not_started_yet_holds_nobody_up(pods: Pods, metrics: PodCounters):
    pods.start("new", NEW)
    pods.start("old", OLD)
    watcher = Watcher(metrics)
    await watcher.look()
    pods.start("loading", NEW, ready=False, answers=False)
    pods.answer("old", OLD, 200, 4)
    assert await watcher.look() == [(0, 0, 0, 4)]


async def test_what_was_counted_before_the_time_that_is_asked_about_is_no_part_of_it(
    pods: Pods, metrics: PodCounters
):
    """A rollout that is tried again begins where it begins, not where the one before was given up."""
    pods.start("new", NEW)
    pods.start("old", OLD)
    watcher = Watcher(metrics)
    await watcher.look()
    pods.answer("new", NEW, 503, 100)
    watcher.since = watcher.now = watcher.now + timedelta(minutes=20)
    assert await watcher.look() == []
    pods.answer("new", NEW, 200, 1)
    assert await watcher.look() == [(0, 1, 0, 0)]


async def test_what_others_show_is_not_counted(pods: Pods, metrics: PodCounters):
    pods.start("new", NEW)
    pods.start("old", OLD)
    stranger = Pods(pods.world, "other")
    stranger.start("stranger", NEW)
    watcher = Watcher(metrics)
    await watcher.look()
    stranger.answer("stranger", NEW, 503, 9)
    pods.servers["new"].of("another-model", NEW).answered("v2-rest", 503, 0.1)
    pods.answer("old", OLD, 200, 2)
    assert await watcher.look() == [(0, 0, 0, 2)]
    assert not [call for call in pods.world.emulator.calls if call.name == "stranger"]


async def test_triton_is_read_at_its_own_port(pods: Pods, metrics: PodCounters):
    pods.start("new", NEW, answers=False)
    counts = {"success": 10, "failure": 0}
    pods.world.emulator.shown["new:8002"] = lambda: "".join(
        f'nv_inference_request_{what}{{model="m",version="1"}} {count}\n' for what, count in counts.items()
    ).encode()
    watcher = Watcher(metrics, asked("Triton"))
    await watcher.look()
    counts.update(success=18, failure=2)
    assert await watcher.look() == [(2, 10, 0, 0)]


async def test_a_server_that_is_told_to_speak_tls_is_asked_by_tls(pods: Pods, metrics: PodCounters):
    pods.start("new", NEW, containers=[{"name": "kserve-container", "args": ["--tls_cert=/tls/tls.crt"]}])
    watcher = Watcher(metrics)
    await watcher.look()
    pods.answer("new", NEW, 200, 3)
    assert await watcher.look() == [(0, 3, 0, 0)]


# --- what cannot be read ------------------------------------------------------------------------


async def test_without_the_right_it_is_said_how_to_give_it(pods: Pods, metrics: PodCounters):
    pods.start("new", NEW)
    said = 'pods "new" is forbidden: User "mooring" cannot get resource "pods/proxy"'
    pods.world.emulator.fail(403, resource="pods/proxy", message=said)
    with pytest.raises(MetricsUnavailableError, match="component manifests/components/pod-counters"):
        await Watcher(metrics).look()


async def test_more_pods_than_can_be_read_are_refused(pods: Pods, metrics: PodCounters):
    for number in range(MOST_PODS + 1):
        pods.start(f"old-{number}", OLD)
    with pytest.raises(AnswerUnusableError, match=f"revision {OLD} has more than 50 pods"):
        await Watcher(metrics).look()
    assert not [call for call in pods.world.emulator.calls if call.resource == "pods/proxy"]


TEXTS = {
    "html": (b'mooring_inference_requests_total{code="<html>', "not Prometheus' text format"),
    "endless": (b"x" * (5 * 2**20), "it answers 413"),
    "inflated": (gzip.compress(b"x" * (5 * 2**20)), "it answers 415"),
}


@pytest.mark.parametrize("text", TEXTS)
async def test_a_pod_that_shows_something_else_is_named(pods: Pods, metrics: PodCounters, text: str):
    pods.start("new", NEW)
    body, said = TEXTS[text]
    pods.world.emulator.shown["new:8080"] = lambda: body
    with pytest.raises(
        MetricsUnavailableError, match=f"what pod new counts cannot be read at port 8080: .*{said}"
    ):
        await Watcher(metrics).look()


async def test_a_pod_that_does_not_answer_is_named(pods: Pods, metrics: PodCounters, monkeypatch):
    monkeypatch.setattr(pods_module, "_POD_S", 0.05)
    pods.start("new", NEW)
    pods.world.emulator.fail(5.0, resource="pods/proxy")
    with pytest.raises(MetricsUnavailableError, match=r"what pod new counts .* does not answer within"):
        await Watcher(metrics).look()


async def test_an_api_server_that_goes_away_is_said(pods: Pods, metrics: PodCounters):
    pods.start("new", NEW)
    pods.world.emulator.fail(CLOSE, resource="pods/proxy", times=9)
    with pytest.raises(MetricsUnavailableError, match="what pods count cannot be read: the API server"):
        await Watcher(metrics).look()


async def test_counters_that_no_pod_shows_are_said(pods: Pods, metrics: PodCounters):
    pods.start("new", NEW)
    watcher = Watcher(metrics)
    await watcher.look()
    with pytest.raises(AnswerUnusableError, match="shows mooring_inference_requests_total yet"):
        await watcher.look()


async def test_gateways_and_queries_are_for_a_prometheus(metrics: PodCounters):
    with pytest.raises(AnswerUnusableError, match=r"spec\.rollout\.analysis\.source: a gateway's counters"):
        await Watcher(metrics, asked("Istio")).look()
    with pytest.raises(AnswerUnusableError, match="queries are for a Prometheus"):
        await metrics.values("up", START, START, EVERY)


# --- rollouts -----------------------------------------------------------------------------------


@dataclass
class Traffic:
    """A hundred requests a second to one pod of each revision; `bad` are models and the share that they get wrong."""

    pods: Pods
    bad: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    served: float = 0.0

    def flow(self) -> None:
        now, status = self.pods.world.now.timestamp(), self.pods.world.status
        seconds, self.served = now - (self.served or now), now
        stable, candidate = status.get("stable"), status.get("candidate")
        weight = candidate.get("weight", 0) if candidate else 0
        for arm, share in ((stable, 100 - weight), (candidate, weight)):
            if arm is None:
                continue
            name = f"pod-{arm['revision']}"
            if name not in self.pods.servers:
                self.pods.start(name, arm["revision"])
            wrong = round(seconds * share * self.bad.get(arm["storageUri"], 0.01))
            taken = self.slow.get(arm["storageUri"], 0.02)
            self.pods.answer(name, arm["revision"], 503, wrong)
            right = round(seconds * share) - wrong
            self.pods.answer(name, arm["revision"], 200, right - right // 5, taken)
            self.pods.answer(name, arm["revision"], 200, right // 5, 3 * taken)


async def judged(world: World, how: dict, **bad: float) -> Traffic:
    """v1 serves, and v2 is asked for; the operator knows no Prometheus."""
    # Made anew at every start: what it remembers is a process's.
    world.counters = lambda: Counters(
        PodCounters(KubernetesCluster(world._connection)), COUNTING, patience=60, again=-1
    )
    await world.start()
    await world.promote("v1", **how)
    world.deploy("v2", **how)
    return Traffic(Pods(world), {f"s3://m/{model}": share for model, share in bad.items()})


async def go_on(world: World, traffic: Traffic, *phases: str, meanwhile=lambda: None) -> None:
    for _ in range(300):
        traffic.flow()
        meanwhile()
        pause = await world.step()
        if world.phase in phases and world.status.get("observedGeneration", 0) > 1:
            return
        world.now += timedelta(seconds=max(pause or 1, 1))
    raise AssertionError(f"does not end: {world.phase}: {world.status.get('message')}")


async def test_a_candidate_that_answers_wrongly_is_rolled_back(world: World):
    traffic = await judged(world, judged_by(), v2=0.08)
    await go_on(world, traffic, "RolledBack")
    assert world.status["reason"] == "AnalysisFailed"
    assert world.status["stable"]["storageUri"] == "s3://m/v1"
    assert "errorRate: candidate 8.00% (" in world.status["message"]
    said = world.condition("Analysed")
    assert said["status"] == "False"
    assert said["message"].endswith("(counted by the pods themselves, without a Prometheus)")


async def test_a_good_one_is_promoted(world: World):
    traffic = await judged(world, judged_by())
    await go_on(world, traffic, "Promoted")
    assert world.status["stable"]["storageUri"] == "s3://m/v2"
    assert world.status["analysis"]["verdict"] == "PASS"
    assert "without a Prometheus" in world.condition("Analysed")["message"]


async def test_one_that_is_slow_is_rolled_back_by_what_its_pods_show(world: World):
    """What the stable revision's latency was is known from the looks before, for pods show no past."""
    traffic = await judged(world, judged_by(METRICS[1]))
    traffic.slow = {"s3://m/v2": 0.2}
    await go_on(world, traffic, "RolledBack")
    assert world.status["reason"] == "AnalysisFailed"
    assert "latency: candidate" in world.status["message"]


async def test_a_restart_costs_a_look_and_no_evidence(world: World):
    traffic, passes = await judged(world, judged_by(), v2=0.03), 0
    for passes in range(300):
        traffic.flow()
        if passes % 10 == 9:
            await world.start()
        pause = await world.step()
        if world.phase == "RolledBack":
            break
        world.now += timedelta(seconds=max(pause or 1, 1))
    assert passes > 20
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    # Of what both answered at the same times, nothing was counted twice.
    assert "candidate 3.00% (" in world.status["message"]


async def test_a_candidate_whose_pods_end_all_the_time_is_not_judged_by_what_is_left(world: World):
    traffic = await judged(world, judged_by(duration="5m", onInsufficient="Pass"), v2=0.0)

    def end() -> None:
        candidate = world.status.get("candidate")
        name = f"pod-{candidate['revision']}" if candidate else ""
        if name in traffic.pods.servers:
            traffic.pods.start(name, candidate["revision"])

    await go_on(world, traffic, "Paused", meanwhile=end)
    assert world.status["reason"] == "PausedByAnalysis"
    said = world.condition("Analysed")
    assert (said["status"], said["reason"]) == ("Unknown", "MetricsUnavailable")
    assert "pods ended between two looks, 1 of revision" in said["message"]


async def test_without_the_right_the_rollout_waits_and_goes_on_with_it(world: World):
    traffic = await judged(world, judged_by(duration="3m"), v2=0.3)
    said = 'pods "x" is forbidden: User "mooring" cannot get resource "pods/proxy"'
    fault = world.emulator.fail(403, resource="pods/proxy", message=said, times=10_000)
    await go_on(world, traffic, "Paused")
    assert world.status["candidate"]["weight"] == 20
    assert "component manifests/components/pod-counters lets it" in world.condition("Analysed")["message"]
    world.emulator.faults.remove(fault)
    await go_on(world, traffic, "RolledBack")
    assert world.status["reason"] == "AnalysisFailed"
