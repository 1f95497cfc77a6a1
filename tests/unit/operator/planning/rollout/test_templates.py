"""Rollouts that are judged by templates: what waits for one, what an edit does, what policies demand."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from mooring_operator.api import ModelPolicySpec
from mooring_operator.api.analysis_template import AnalysisTemplateSpec
from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.analysis.counting import Answer, Counted
from mooring_operator.planning.analysis.templates import Found, resolve

from tests.unit.operator.planning.judged import COUNTING, Answering, rollout
from tests.unit.operator.planning.rollout.test_analysis import condition
from tests.unit.operator.planning.world import spec_of

STEPS = ({"setWeight": 20}, {"analyse": {"duration": "30m"}}, {"setWeight": 100})
HOUSE = rollout(*STEPS, analysis={"templates": [{"name": "house"}]})
STRICT, LOOSE = ({"metrics": [{"metric": "errorRate", "ratio": 0, "points": points}]} for points in (2, 12))


@dataclass
class Templated(Answering):
    """`templates` are those of the namespace."""

    templates: dict[str, dict] = field(default_factory=dict)
    policies: dict[str, ModelPolicySpec] = field(default_factory=dict)
    edits: int = 1

    def observe(self):
        found = {
            ("AnalysisTemplate", name): Found(AnalysisTemplateSpec.model_validate(spec), self.edits)
            for name, spec in self.templates.items()
        }
        rollout = self.spec.rollout
        analysis, standards = resolve(self.asked, found, "ns")
        self.spec = self.spec.model_copy(
            update={"rollout": rollout.model_copy(update={"analysis": analysis})}
        )
        self.counting = COUNTING.by(standards)
        return replace(super().observe(), standards=standards, policies=self.policies)

    @property
    def asked(self):
        analysis = self.spec.rollout.analysis
        return analysis.model_copy(update={"metrics": []})


def begun(**world):
    made = Templated(spec_of("v1", rollout=HOUSE), **world)
    made.settle()
    made.apply(spec_of("v2", rollout=HOUSE))
    return made


def test_a_candidate_that_answers_wrongly_is_rolled_back_by_labels():
    """Its answers are well-formed: no error rate shows it, and a rate of the template does."""
    rate = {"name": "wrong", "total": {"counter": "labelled_total"}, "good": {"counter": "right_total"}}
    made = begun(
        templates={"house": {"rates": [{**rate, "ratio": 1, "points": 2}]}}, bad={"v1": 0.1, "v2": 0.2}
    )
    decision = made.go_on()
    assert decision.phase == "RolledBack"
    assert "wrong: candidate 20.00%" in decision.message
    assert "limit stable + 2 points" in decision.message


def test_pairs_that_disagree_are_a_rate_of_the_candidate_alone():
    """Whoever joins mirrored requests counts pairs: of the stable revision there are none."""
    rate = {
        "name": "disagreement",
        "total": {"counter": "pairs_total"},
        "bad": {"counter": "pairs_total", "labels": {"agrees": "false"}},
        "ratio": 0,
        "points": 2,
    }
    for share, phase in ((0.05, "RolledBack"), (0.01, "Promoted")):
        made = begun(templates={"house": {"rates": [rate]}}, bad={"v2": share})
        whole = made.count

        def of_the_candidate(request, whole=whole):
            answer = whole(request)
            counted = answer.metrics["disagreement"]
            alone = [
                {arm: known for arm, known in several.items() if arm == request.candidate}
                for several in (counted.requests, counted.events)
            ]
            return replace(
                answer, metrics={"disagreement": replace(counted, requests=alone[0], events=alone[1])}
            )

        made.count = of_the_candidate
        decision = made.go_on()
        assert decision.phase == phase
        assert made.status.analysis.verdict == ("FAIL" if phase == "RolledBack" else "PASS")
        assert "limit 2%" in made.status.analysis.message


def test_labels_that_nobody_counts_stop_a_rollout_and_fail_nobody():
    rate = {"name": "wrong", "total": {"counter": "labelled_total"}, "good": {"counter": "right_total"}}
    made = begun(templates={"house": {"rates": [rate]}})
    made.count = lambda request: Answer(request, {"wrong": Counted(before=Counted())})
    decision = made.go_on()
    assert decision.phase == "Paused"
    assert "wrong: Prometheus has no labelled_total in namespace ns with revision" in decision.message


def steps(made, count=20):
    for _ in range(count):
        decision = made.step()
        made.now += timedelta(seconds=10)
    return decision


def test_a_template_is_gone_by():
    made = begun(templates={"house": STRICT}, bad={"v2": 0.1})
    decision = made.go_on()
    assert (decision.phase, decision.reason) == ("RolledBack", "AnalysisFailed")
    assert "limit 2%" in decision.message
    assert made.status.analysis.templates == "house@1"


def test_nothing_begins_before_its_template_is_there():
    made = begun()
    decision = steps(made)
    assert (decision.phase, decision.reason) == ("Pending", "AnalysisTemplateNotFound")
    assert "AnalysisTemplate house does not exist in namespace 'ns'; make it" in decision.message
    assert decision.message.endswith("keeps serving")
    assert not made.status.candidate.runs
    made.templates = {"house": STRICT}
    assert made.go_on().phase == "Promoted"


def test_a_template_that_vanishes_stops_the_rollout_where_it_is():
    made = begun(templates={"house": STRICT}, per_second=0.01)
    steps(made)
    assert made.status.candidate.weight == 20
    made.templates = {}
    steps(made, 300)
    assert (made.status.phase, made.status.reason) == ("Paused", "PausedByAnalysis")
    assert made.status.candidate.weight == 20
    said = condition(made)
    assert (said.status, said.reason) == ("Unknown", "AnalysisTemplateNotFound")
    made.templates, made.per_second = {"house": STRICT}, 100.0
    assert made.go_on().phase in ("Promoted", "Paused")
    for _ in range(400):
        if made.step().phase == "Promoted":
            break
        made.now += timedelta(seconds=10)
    assert made.status.phase == "Promoted"


def test_no_weight_is_given_after_its_template_has_gone():
    how = rollout(
        {"setWeight": 20}, {"pause": {"duration": "5m"}}, {"setWeight": 100}, analysis=HOUSE["analysis"]
    )
    made = Templated(spec_of("v1", rollout=how), templates={"house": STRICT})
    made.settle()
    made.apply(spec_of("v2", rollout=how))
    steps(made)
    made.templates = {}
    decision = steps(made, 60)
    assert (decision.phase, decision.reason) == ("Canary", "AnalysisTemplateNotFound")
    assert "stays at 20% of traffic" in decision.message
    made.commands["abort"] = made.status.candidate.revision
    assert made.step().reason == "Aborted"


def test_a_first_revision_needs_no_template():
    made = Templated(spec_of("v1", rollout=HOUSE))
    assert made.settle().phase == "Promoted"


def test_an_edit_under_way_is_told_and_judged_anew():
    made = begun(templates={"house": LOOSE}, bad={"v2": 0.1}, per_second=20)
    steps(made, 10)
    before = made.status.analysis
    assert before.templates == "house@1"
    made.templates, made.edits = {"house": STRICT}, 2
    made.actions.clear()
    steps(made, 2)
    told = [a for a in made.actions if isinstance(a, Notify) and a.reason == "AnalysisTemplateChanged"]
    assert "is judged by templates house@2, before by house@1" in told[0].message
    assert made.status.analysis is None or made.status.analysis.templates == "house@2"
    assert made.go_on().reason == "AnalysisFailed"


def test_an_edit_that_changes_nothing_keeps_the_evidence():
    made = begun(templates={"house": STRICT}, per_second=2)
    steps(made, 20)
    looked = made.status.analysis.message
    made.edits = 2
    steps(made, 1)
    assert made.status.analysis.templates == "house@2"
    assert made.status.analysis.evidence
    after = made.status.analysis.message
    assert int(after.split(" after ")[1].split()[0]) >= int(looked.split(" after ")[1].split()[0]) > 5


def test_a_policy_demands_a_template():
    demand = ModelPolicySpec.model_validate({"requiredTemplates": [{"name": "house"}]})
    plain = spec_of("v1", policies=["strict"], rollout=rollout({"setWeight": 100}, analysis={}))
    made = Answering(plain)
    made.observe = lambda: replace(Answering.observe(made), policies={"strict": demand})
    decision = made.settle()
    assert (decision.phase, decision.reason) == ("Failed", "PolicyViolated")
    assert "ModelPolicy strict forbids revision" in decision.message
    assert "spec.rollout.analysis.templates needs AnalysisTemplate house" in decision.message
    assert made.status.failed_revision is None
    assert condition(made, "PoliciesMet").status == "False"
    made.apply(spec_of("v1", policies=["strict"], rollout=HOUSE))
    assert made.settle().phase == "Promoted"
    assert condition(made, "PoliciesMet").status == "True"


def test_a_cluster_policy_demands_one_of_the_cluster():
    demand = ClusterModelPolicySpec.model_validate(
        {"requiredTemplates": [{"name": "house", "clusterScope": True}]}
    )
    made = Answering(spec_of("v1", rollout=HOUSE), cluster_policies={"prod": demand})
    decision = made.settle()
    assert (decision.phase, decision.reason) == ("Failed", "ClusterPolicyViolated")
    # One of the namespace is another one, whatever its name.
    assert "spec.rollout.analysis.templates needs ClusterAnalysisTemplate house" in decision.message
