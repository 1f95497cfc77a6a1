"""ModelDeployments whose status the planner itself wrote, for every phase and reason."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from mooring_operator.api import ClusterModelPolicySpec, ModelDeploymentSpec, ModelPolicySpec, reasons
from mooring_operator.api.checks import Outcome
from mooring_operator.api.names import COMMAND_PREFIX, asker_annotation
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning.analysis.counting import Counting
from mooring_operator.planning.analysis.templates import Standards
from mooring_operator.planning.objects.owner import NameTaken, Owner
from mooring_operator.planning.policies.rules import RuleAnswers
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.rollout.runtimes import NoRuntime
from mooring_operator.planning.rollout.situation import Observed, Unresolved, Verdict
from mooring_operator.planning.rollout.trouble import dependency_unavailable, invalid_spec
from mooring_operator.planning.routes import Adoption, CollectorState, Traits, Variant
from mooring_operator.planning.runs.run import RunPhase, RunState

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.judged import Answering
from tests.unit.operator.planning.world import CI, ROUTER, World, spec_of

API = "mooring.dev/v1alpha1"
STEPS = [
    {"setWeight": 10},
    {"pause": {"duration": "5m"}},
    {"approve": {"message": "compare the error rates"}},
    {"pause": {}},
    {"setWeight": 100},
]
SWITCH = [{"approve": {"message": "try it"}}, {"setWeight": 100}, {"approve": {"message": "look again"}}]
STEPPED = {"rollout": {"steps": STEPS}}
POLICY = {"rules": [{"name": "accurate", "expression": "metrics.accuracy >= 0.9"}]}


def resource(kind: str, name: str, spec: Any, status: Any, **metadata: Any) -> dict[str, Any]:
    """A resource as the API server has it."""
    written = spec.model_dump(mode="json", by_alias=True, exclude_none=True) if spec is not None else {}
    item = {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "namespace": "ml", "generation": 1, **metadata},
        "spec": written,
    }
    if status is not None:
        item["status"] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return item


@dataclass
class Recorded(World):
    """A world that keeps the resource as it was after each pass."""

    seen: list[dict[str, Any]] = field(default_factory=list)

    def step(self, *, crash_after: int | None = None) -> Decision:
        decision = super().step(crash_after=crash_after)
        self.record()
        return decision

    def look(self, **observed: Any) -> Decision:
        """Plan once on what is observed, with `observed` in its place; nothing of it is done."""
        decision = plan(self.spec, self.status, replace(self.observe(), **observed), self.now)
        self.status = decision.status
        self.record()
        return decision

    def wait(self, **time: float) -> "Recorded":
        self.now += timedelta(**time)
        return self

    def note(self, decision: Decision) -> None:
        self.status = decision.status
        self.record()

    def record(self) -> None:
        """Keep the resource as it is now."""
        annotations = {COMMAND_PREFIX + name: value for name, value in self.commands.items()}
        annotations |= {asker_annotation(name): by for name, by in self.askers.items() if by}
        metadata = {"annotations": annotations} if annotations else {}
        self.seen.append(
            resource(
                "ModelDeployment", "digits", self.spec, self.status, generation=self.generation, **metadata
            )
        )

    def rest(self, limit: int = 40) -> "Recorded":
        """Pass until nothing moves but the clock."""
        for _ in range(limit):
            before = self.status
            self.step()
            if self.status == before:
                return self
            self.now += timedelta(seconds=1)
        return self


@dataclass
class RecordedFleet(Recorded, Fleet):
    """The same, with a router that serves each revision by itself."""


def world(**fields: Any) -> Recorded:
    return Recorded(spec_of("v1", **fields))


def promoted(**fields: Any) -> Recorded:
    made = world(**fields)
    made.settle()
    return made


def shifting(**fields: Any) -> Recorded:
    """v2 on its way over v1."""
    made = promoted(**{**STEPPED, **fields})
    made.apply(spec_of("v2", **{**STEPPED, **fields}))
    return made.rest()


def moved_on(made: Recorded) -> Recorded:
    """v2 at the step that awaits an approval."""
    return made.wait(minutes=6).rest()


# --- stories -----------------------------------------------------------------------------------


def a_whole_rollout() -> Recorded:
    made = moved_on(shifting(ci=CI))
    made.command("approve", by="bob")
    made.wait(seconds=3).rest()  # approved; the next step pauses
    made.command("approve", by="bob")
    made.rest()
    made.settle()
    made.command("rollback", by="bob")
    made.rest()
    return made


def a_slow_start() -> Recorded:
    made = world()
    made.startable = {"s3://m/v1": False}
    made.rest()
    made.startable = {}
    made.settle()
    made.startable = {"s3://m/v1": False}
    made.rest()  # promoted, and not ready any more
    return made


def a_slow_return() -> Recorded:
    made = promoted()
    made.apply(spec_of("v2"))
    made.settle()
    made.startable = {"s3://m/v1": False}
    made.command("rollback")
    return made.rest()


def a_slow_end() -> Recorded:
    """All steps are taken, and the service does not follow."""
    made = shifting(rollout={"steps": [{"setWeight": 100}, {"pause": {"duration": "10s"}}]})
    made.startable = {"s3://m/v2": False}
    return made.wait(seconds=11).rest()


def held_by_hand() -> Recorded:
    made = shifting()
    made.command("pause", "lunch", by="bob")
    return made.rest()


def aborted() -> Recorded:
    made = shifting()
    made.command("abort", "seen enough", by="bob")
    made.settle()
    made.apply(spec_of("v1", **STEPPED))
    made.settle()
    made.apply(spec_of("v2", **STEPPED))
    made.rest()
    return made


def rejected_before() -> Recorded:
    made = shifting()
    made.command("abort")
    made.settle()
    made.spec = spec_of("v2", **STEPPED, history_limit=3)
    made.generation += 1
    return made.rest()


def never_ready() -> Recorded:
    made = shifting()
    made.startable = {"s3://m/v2": False}
    made.rest()
    return made.wait(minutes=11).rest()


def with_candidate(**variant: Any) -> Callable[[], Recorded]:
    """v2 is to get its first traffic, and the router tells this of it."""

    def story() -> Recorded:
        made = promoted(**STEPPED)
        made.startable = {"s3://m/v2": False}
        made.apply(spec_of("v2", **STEPPED))
        made.step()
        made.step()
        service, candidate = made.observe().service, made.status.candidate
        assert service is not None
        assert candidate is not None
        told = {candidate.revision: Variant(ready=False, weight=0, **variant)}
        seen = replace(service, variants={**service.variants, **told})
        made.look(service=seen)
        # What is over in a moment is not told.
        made.wait(seconds=15).look(service=seen)
        return made

    return story


def refused() -> Recorded:
    made = shifting()
    made.look(refused="admission webhook: storageUri is missing")
    return made


def components_not_split() -> Recorded:
    serving = {"transformer": {"containers": [{"name": "a", "image": "b"}]}}
    made = Recorded(spec_of("v1", serving=serving), replace(ROUTER, splits_components=False))
    made.settle()
    made.apply(spec_of("v2", serving=serving))
    return made.rest()


def not_routed() -> Recorded:
    made = promoted(**STEPPED)
    made.routed = False
    made.apply(spec_of("v2", **STEPPED))
    made.rest()
    made.routed = True
    return made.rest()


def without_a_model(reason: str, temporary: bool) -> Callable[[], Recorded]:
    def story() -> Recorded:
        made = world()
        made.model = Unresolved(reason, "s3://m/v1 cannot be had", temporary)
        return made.rest()

    return story


def without_a_dependency(reason: str) -> Callable[[], Recorded]:
    """At every place of a rollout something may not answer."""

    def story() -> Recorded:
        places = [promoted(), shifting(), moved_on(shifting()), world(), held_by_hand()]
        for made in places:
            owner = made.observe().owner
            made.note(dependency_unavailable(made.status, reason, "it does not answer", owner, made.now))
            places[0].seen += made.seen[-1:]
        return places[0]

    return story


def with_run(phase: RunPhase | None, *, takes: float = 10, **observed: Any) -> Callable[[], Recorded]:
    """A first revision whose run is found in `phase`, again and again."""

    def story() -> Recorded:
        made = world(ci=CI)
        made.look()
        ci = made.status.ci
        assert ci is not None
        verdict = observed.pop("verdict", None)
        if verdict is not None:
            observed["verdict"] = replace(verdict, run_id=verdict.run_id or ci.run_id)
        run = RunState(ci.run_id, phase) if phase else None
        for _ in range(4):
            made.wait(seconds=takes).look(run=run, **observed)
        return made

    return story


def without_an_instance() -> Recorded:
    """A first revision that does not start for its test."""
    made = world(ci={**CI, "target": "Endpoint"})
    made.startable = {"s3://m/v1": False}
    made.step()
    return made.wait(minutes=11).rest()


def seen_with(**observed: Any) -> Callable[[], Recorded]:
    def story() -> Recorded:
        made = world()
        made.look(**observed)
        return made

    return story


def with_a_file() -> Recorded:
    made = Recorded(ModelDeploymentSpec.model_validate({"model": {"uri": "file:///m", "format": "onnx"}}))
    return made.rest()


def with_an_emoji() -> Recorded:
    made = world(ci={**CI, "testData": {"uri": "s3://m/\N{GRINNING FACE}"}})
    made.look(narrow_runs=True)
    return made


def unreadable() -> Recorded:
    made = promoted()
    made.generation += 1
    made.note(invalid_spec(made.status, "spec.model: unknown field", made.observe().owner, made.now))
    return made


def of_policies(answer: RuleAnswers | None = None, ci: Any = None, **observed: Any) -> Callable[[], Recorded]:
    """A first revision that policies have a say in; `answer` is what their rules say."""

    def story() -> Recorded:
        made = world(policies=["strict"], ci=ci)
        decision = made.look(**observed)
        if answer is not None:
            told = {question.key: answer for question in decision.questions}
            made.look(**observed, answers=told)
        return made

    return story


def with_workloads(**observed: Any) -> Callable[[], Recorded]:
    def story() -> Recorded:
        made = promoted(batch=BATCH)
        made.look(**observed)
        return made

    return story


def without_a_runtime(reason: str, *, temporary: bool) -> Callable[[], Recorded]:
    """A new revision that has nothing to run on, beside one that serves."""

    def story() -> Recorded:
        made = RecordedFleet(spec_of("v1"), ALL)
        made.settle(limit=300)
        made.apply(spec_of("v2"))
        made.look(runtime=NoRuntime(reason, "spec.serving.runtime: there is none", temporary))
        return made

    return story


@dataclass
class RecordedElsewhere(RecordedFleet):
    """A fleet on another server than Mooring's."""

    def observe(self) -> Observed:
        runtime = PinnedRuntime(kind="ServingRuntime", name="own", server_type="mlserver", spec={})
        return replace(super().observe(), runtime=runtime)


def collecting(**state: Any) -> Callable[[], Recorded]:
    """A revision on another server, whose collector does so."""

    def story() -> Recorded:
        made = RecordedElsewhere(spec_of("v1", serving={"capture": {"store": "s3://captured"}}), ALL)
        made.collector = CollectorState(**state)
        made.settle(limit=300)
        return made

    return story


def capturing(server_type: str | None, *args: str) -> Callable[[], Recorded]:
    """A revision that serves without capture, and one after it that is to keep requests on such a runtime."""

    def story() -> Recorded:
        made = RecordedFleet(spec_of("v1"), ALL)
        made.settle(limit=300)
        made.apply(spec_of("v1", serving={"capture": {"store": "s3://captured"}, "args": list(args)}))
        runtime = PinnedRuntime(kind="ServingRuntime", name="own", server_type=server_type or "", spec={})
        made.look(runtime=None if server_type is None else runtime)
        return made

    return story


def capture_rejected() -> Recorded:
    made = RecordedFleet(spec_of("v1"), ALL)
    made.settle(limit=300)
    made.startable = {"s3://m/v2": False}
    rollout, capture = {"progressDeadline": "30s"}, {"store": "s3://captured"}
    made.apply(spec_of("v2", rollout=rollout, serving={"capture": capture}))
    made.settle(limit=300)
    return made


BATCH = {"schedule": "0 3 * * *", "input": "s3://m/in", "output": "s3://m/out"}
STRICT = {"strict": ModelPolicySpec.model_validate(POLICY)}
UNSIGNED = {"strict": ModelPolicySpec.model_validate({"signedBy": [{"name": "release"}]})}
PROD = {"prod": ClusterModelPolicySpec.model_validate({"allowedSources": ["s3://other/"]})}
TAKEN = NameTaken("InferenceService digits belongs to somebody else")
LONG = Owner("a-namespace-with-a-long-name", "a-deployment-with-a-long-name", "uid-1", 1)
CROWDED = Owner("ns", "digits", "uid-1", 1, labels={f"label-{index}": "x" for index in range(200)})
MET, UNMET = RuleAnswers((None,)), RuleAnswers(("accuracy is below 0.9",))
DEAR = RuleAnswers(("it takes too long",), frozenset({0}))
FAILING = Verdict("", None, False, {"accuracy": 0.5}, ("accuracy 0.5 is below the minimum 0.9",))

ALL = Traits("Flows", 40, serves_each=True, mirrors=True, matches=True, sticks=True, previews=True)


def by_strategy(*, hours: float = 0, router: Traits = ALL, **rollout: Any) -> Callable[[], Recorded]:
    """v2 on its way over v1 by another strategy than Canary, where the router can do everything."""

    def story() -> Recorded:
        made = RecordedFleet(spec_of("v1"), router)
        made.settle(limit=300)
        made.apply(spec_of("v2", rollout=rollout))
        made.rest()
        return made.wait(hours=hours).rest()

    return story


ARMS = replace(ALL, splits_many=True)


def with_variants(*, startable: bool = True, revision: str = "") -> Callable[[], Recorded]:
    """v3 on its way over v2, and v1 beside the two."""

    def story() -> Recorded:
        made = RecordedFleet(spec_of("v1"), ARMS)
        made.settle(limit=300)
        made.apply(spec_of("v2"))
        made.settle(limit=300)
        made.startable = {"s3://m/v1": startable}
        [kept] = made.status.retained
        variant = {"name": "b", "revision": revision or kept.revision, "weight": 20}
        made.apply(spec_of("v3", rollout={"strategy": "ABTest", "abTest": {"variants": [variant]}}))
        made.rest()
        return made.wait(minutes=30).rest()

    return story


@dataclass
class RecordedAnswering(Recorded, Answering):
    """The same, with revisions that answer requests."""


def judged(*, passes: int = 60, **world: Any) -> Callable[[], Recorded]:
    """v2 is judged beside v1, pass by pass, and for a while after it was promoted."""
    steps = [
        {"setWeight": 20},
        {"analyse": {"duration": "20m", "onInsufficient": world.pop("then", "Pause")}},
    ]
    analysis = {"metrics": [{"metric": "errorRate"}], "afterPromotion": "10m"}
    rollout = {"steps": [*steps, {"setWeight": 100}], "analysis": analysis}

    def story() -> Recorded:
        made = RecordedAnswering(spec_of("v1", rollout=rollout), **world)
        made.settle()
        made.apply(spec_of("v2", rollout=rollout))
        for _ in range(passes):
            made.wait(seconds=25).step()
        return made

    return story


def without_a_template(reason: str) -> Callable[[], Recorded]:
    """v2 is to be judged by a template that is not there, or does not fit."""

    def story() -> Recorded:
        made = promoted()
        made.apply(spec_of("v2"))
        standards = Standards(reason=reason, problem="spec.rollout.analysis.templates[0]: why")
        for _ in range(20):
            made.look(standards=standards, counting=Counting().by(standards))
            made.wait(seconds=10)
        return made

    return story


def checked(finds: Outcome | None, **says: Any) -> Callable[[], Recorded]:
    """v2 on its way over v1, with a check that finds this."""

    def story() -> Recorded:
        step = {"webhook": {"url": "https://gates.example.com/", **says}}
        made = RecordedFleet(spec_of("v1"), ALL, finds=finds)
        made.settle(limit=300)
        made.apply(spec_of("v2", rollout={"steps": [{"setWeight": 10}, step, {"setWeight": 100}]}))
        return made.rest()

    return story


def held(*, begun: bool = False, **rollout: Any) -> Callable[[], Recorded]:
    """v2 is to take over v1, and something holds it up, before it begins or half-way."""

    def story() -> Recorded:
        made = shifting() if begun else promoted()
        made.apply(spec_of("v2", rollout={**(STEPPED["rollout"] if begun else {}), **rollout}))
        return made.wait(minutes=6).rest()

    return story


# Worlds begin on a Sunday.
WEEKEND = {"start": "Fri 18:00", "end": "Mon 08:00", "timeZone": "Europe/Berlin"}
STORIES: dict[str, Callable[[], Recorded]] = {
    "whole": a_whole_rollout,
    "slow-start": a_slow_start,
    "slow-return": a_slow_return,
    "slow-end": a_slow_end,
    "held": held_by_hand,
    "aborted": aborted,
    "rejected-before": rejected_before,
    "never-ready": never_ready,
    "blocked": with_candidate(blocked="Unschedulable: no GPU"),
    "away": with_candidate(waiting="KServe's controller does not answer"),
    "refused": refused,
    "components": components_not_split,
    "blue-green": by_strategy(strategy="BlueGreen"),
    "blue-green-approval": by_strategy(strategy="BlueGreen", steps=SWITCH),
    "blue-green-timed": by_strategy(
        strategy="BlueGreen", blueGreen={"promoteAfter": "1m"}, hours=1, steps=SWITCH[1:]
    ),
    "shadow": by_strategy(strategy="Shadow", steps=STEPS),
    "shadow-approval": by_strategy(
        strategy="Shadow", shadow={"duration": "1m"}, hours=1, steps=[{"setWeight": 5}, *STEPS[2:]]
    ),
    "trial": by_strategy(strategy="ABTest", abTest={}),
    "trial-approval": by_strategy(
        strategy="ABTest", abTest={"duration": "1m", "then": "Promote"}, hours=1, steps=SWITCH
    ),
    "trial-ended": by_strategy(strategy="ABTest", abTest={"duration": "1h"}, hours=2),
    "variants": with_variants(),
    "variant-dead": with_variants(startable=False),
    "variant-unknown": with_variants(revision="0123456789"),
    "judged-good": judged(),
    "judged-bad": judged(bad={"v2": 0.1}),
    "judged-quiet": judged(per_second=0.1),
    "judged-quiet-fail": judged(per_second=0.1, then="Fail"),
    "judged-quiet-pass": judged(per_second=0.1, then="Pass"),
    "judged-unavailable": judged(unavailable="Prometheus does not answer"),
    "template-missing": without_a_template(reasons.ANALYSIS_TEMPLATE_NOT_FOUND),
    "template-unusable": without_a_template(reasons.ANALYSIS_TEMPLATE_UNUSABLE),
    "recreate": by_strategy(strategy="Recreate"),
    "recreate-approval": by_strategy(strategy="Recreate", steps=SWITCH),
    "check-runs": checked(None),
    "check-passed": checked("Pass"),
    "check-failed": checked("Fail"),
    "check-insufficient": checked("Insufficient"),
    "check-paused": checked("Fail", onFailure="Pause"),
    "unsupported": by_strategy(strategy="Shadow", router=replace(ALL, mirrors=False)),
    "imprecise": by_strategy(
        strategy="Shadow",
        shadow={"percent": 20},
        router=replace(ALL, mirrors_part=False, lacking="nobody says"),
    ),
    "frozen": held(freeze=[WEEKEND]),
    "frozen-half-way": held(begun=True, freeze=[WEEKEND], steps=[*STEPS[:2], {"setWeight": 100}]),
    "frozen-for-ever": held(freeze=[{"start": "20:00", "end": "08:00"}, {"start": "08:00", "end": "20:00"}]),
    "not-before": held(notBefore="2027-01-31T18:00:00+01:00"),
    "unmet": held(requires=[{"name": "digits", "namespace": "staging"}]),
    "unmet-for-ever": held(requires=[{"name": "digits"}]),
    "queued": held(maxConcurrent=1),
    "not-routed": not_routed,
    "unreadable": unreadable,
    "long-name": seen_with(owner=LONG),
    "taken-name": seen_with(name_taken=TAKEN),
    "not-taken-over": seen_with(adoption=Adoption("", "InferenceService digits belongs to somebody else")),
    "file-address": with_a_file,
    "wide-text": with_an_emoji,
    "tested-running": with_run("Running"),
    "tested-too-long": with_run("Running", takes=3600),
    "tested-failed": with_run("Succeeded", verdict=FAILING),
    "tested-of-another": with_run("Succeeded", verdict=replace(FAILING, run_id="another")),
    "tested-without-verdict": with_run("Succeeded"),
    "tested-ended": with_run("Failed"),
    "tested-refused": with_run(None, launch_refused="quota"),
    "tested-taken": with_run(None, launch_refused="Job is taken", run_name_taken=True),
    "tested-not-launched": with_run(None, launch_error="it hung up"),
    "tested-nowhere": without_an_instance,
    "policy-missing": of_policies(policies={"strict": None}),
    "policy-without-keys": of_policies(ci=CI, policies=UNSIGNED),
    "policy-asked": of_policies(policies=STRICT),
    "policy-met": of_policies(MET, policies=STRICT),
    "policy-unmet": of_policies(UNMET, policies=STRICT),
    "policy-dear": of_policies(DEAR, policies=STRICT),
    "policy-crowded": of_policies(policies=STRICT, owner=CROWDED),
    "policy-forbids": of_policies(policies=STRICT, cluster_policies=PROD),
    "policy-unreadable": of_policies(policies=STRICT, cluster_policies_error="it may not list them"),
    **{
        f"runtime-{reason}": without_a_runtime(reason, temporary=reason == reasons.CHOOSING_RUNTIME)
        for reason in reasons.OF_RUNTIMES
    },
    "capture": capturing("mooring-inference"),
    "capture-elsewhere": capturing("mooring-inference", "--capture_uri=s3://elsewhere"),
    "capture-of-another-server": capturing("mlserver"),
    "collected": collecting(),
    "collected-by-another": collecting(taken="TrustyAI has the logger"),
    "collected-by-nobody": collecting(problem="no such image"),
    "capture-of-nobody-knows-whom": capturing(None),
    "capture-rejected": capture_rejected,
    "batch-refused": with_workloads(refused_workloads={"batch": "spec.schedule: Invalid value"}),
    "batch-taken": with_workloads(taken_workloads={"batch": TAKEN}),
    **{
        f"model-{reason}": without_a_model(reason, temporary)
        for reason, temporary in (
            (reasons.MODEL_NOT_FOUND, False),
            (reasons.MODEL_ADDRESS_INVALID, False),
            (reasons.DIGEST_MISMATCH, False),
            (reasons.ARTIFACTS_PROXIED, False),
            (reasons.REGISTRY_NOT_CONFIGURED, False),
            (reasons.ADDRESS_NOT_GRANTED, False),
            (reasons.REGISTRY_UNAVAILABLE, True),
        )
    },
    **{
        f"waits-{reason}": without_a_dependency(reason)
        for reason in (
            reasons.PIPELINES_UNAVAILABLE,
            reasons.VERDICTS_UNAVAILABLE,
            reasons.RULES_UNAVAILABLE,
            reasons.AUDIT_UNAVAILABLE,
            reasons.REGISTRY_UNAVAILABLE,
        )
    },
}
