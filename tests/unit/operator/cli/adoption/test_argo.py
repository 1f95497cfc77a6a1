"""What becomes of the fields of a Rollout of Argo's."""

import pytest
from mooring_operator.cli.adoption.argo import adopt_rollout
from mooring_operator.cli.errors import CliError

from tests.unit.operator.cli.adoption.shapes import MODEL

IMAGE = "spec.template.spec.containers[0].image"


def adopt(strategy, target=None, **spec):
    item = {"kind": "Rollout", "metadata": {"name": "x"}, "spec": {"strategy": strategy, **spec}}
    return adopt_rollout(item, MODEL, target)


def lost(adopted, prefix="spec.strategy."):
    return [line.removeprefix(prefix) for line in adopted.left_out]


def canary(*steps, **fields):
    return adopt({"canary": {"steps": list(steps), **fields}})


@pytest.mark.parametrize(
    ("strategy", "rollout", "left_out"),
    [
        ({}, {"blueGreen": {"promoteAfter": "1s"}}, []),
        (
            {"autoPromotionEnabled": True, "autoPromotionSeconds": 90},
            {"blueGreen": {"promoteAfter": "1m30s"}},
            [],
        ),
        ({"autoPromotionEnabled": False}, {}, []),
        (
            {"autoPromotionEnabled": False, "autoPromotionSeconds": 90, "scaleDownDelaySeconds": 60},
            {"scaleDownDelay": "1m"},
            ["autoPromotionSeconds: Argo ignores it while autoPromotionEnabled is false"],
        ),
        (
            {"autoPromotionEnabled": False, "previewService": "p", "prePromotionAnalysis": {"templates": []}},
            {},
            [
                "previewService: the preview has its own address: Service NAME-preview, or host name NAME-preview",
                "prePromotionAnalysis: nobody asks a preview: write steps webhook or job in strategy Canary, after "
                "setWeight: 0",
            ],
        ),
    ],
)
def test_blue_green(strategy, rollout, left_out):
    adopted = adopt({"blueGreen": strategy})
    assert adopted.spec["rollout"] == {"strategy": "BlueGreen", **rollout}
    assert lost(adopted, "spec.strategy.blueGreen.") == left_out


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ([{"setWeight": 20}], [{"setWeight": 20}]),
        ([{"setWeight": 20}, {"setWeight": 100}], [{"setWeight": 20}]),
        ([{"pause": {}}, {"pause": None}], [{"pause": {}}, {"pause": {}}]),
        (
            [{"pause": {"duration": text}} for text in (60, "60", "1.5h", "2h0m0s", "500ms")],
            [{"pause": {"duration": text}} for text in ("1m", "1m", "1h30m", "2h", "1s")],
        ),
        ([{"setCanaryScale": {"replicas": 2}}], [{"setReplicas": "2"}]),
        ([{"setCanaryScale": {"weight": 50}}], [{"setReplicas": "50%"}]),
    ],
)
def test_steps_that_can_be_said(given, steps):
    adopted = canary(*given)
    assert adopted.spec["rollout"] == {"steps": [*steps, {"setWeight": 100}]}
    assert adopted.left_out == ()


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"setWeight": 10}, "setWeight: 10 after 50: weights ascend here"),
        ({"setWeight": 101}, "setWeight: 101 is not a percentage"),
        (
            {"setCanaryScale": {"matchTrafficWeight": True}},
            "setCanaryScale: that is what pods follow in any case",
        ),
        ({"setCanaryScale": {"replicas": 0}}, "setCanaryScale: 0 is not 1 or more, or 1% to 100%"),
        (
            {"experiment": {"templates": []}},
            "experiment: no revision runs beside a rollout's two: write a step job",
        ),
        ({"plugin": {"name": "a"}}, "plugin: write a step webhook or job"),
        ({"setMirrorRoute": {"name": "a"}}, "setMirrorRoute: ends a route that is not carried over"),
        (
            {"setHeaderRoute": {"name": "a", "match": [{"headerName": "a", "headerValue": {"regex": ".*"}}]}},
            "setHeaderRoute: strategy ABTest sends by headers, beside one weight, until it is decided",
        ),
        ({"unheardOf": 1}, "unheardOf"),
    ],
)
def test_a_step_that_cannot_be_said_is_named(step, why):
    adopted = canary({"setWeight": 50}, step)
    assert adopted.spec["rollout"] == {"steps": [{"setWeight": 50}, {"setWeight": 100}]}
    assert lost(adopted, "spec.strategy.canary.steps[1].") == [why]


def test_a_pause_of_no_length_waits_for_a_person():
    adopted = canary({"pause": {"duration": "soon"}})
    assert adopted.spec["rollout"]["steps"][0] == {"pause": {}}
    assert lost(adopted) == ["canary.steps[0].pause: 'soon' is not a duration; it waits until approved"]


def test_an_empty_step_is_named():
    assert lost(canary({})) == ["canary.steps[0]: has nothing; a step is one thing"]


def test_an_analysis_awaits_a_verdict_where_both_revisions_answer():
    templates = {"templates": [{"templateName": "errors"}, {"templateName": "slow"}]}
    adopted = canary({"analysis": templates}, {"setWeight": 10}, {"analysis": templates}, {"setWeight": 100})
    assert adopted.spec["rollout"] == {
        "steps": [{"setWeight": 10}, {"analyse": {}}, {"setWeight": 100}],
        "analysis": {},
    }
    measured = "analysis: what it measures stands in AnalysisTemplates errors, slow; "
    assert lost(adopted, "spec.strategy.canary.") == [
        f"steps[0].{measured}with 0% of traffic there is nothing to compare",
        f"steps[2].{measured}the step awaits a verdict on error rates, compared with the stable revision's",
    ]


def test_an_analysis_beside_the_steps_judges_all_of_them():
    adopted = canary({"setWeight": 10}, analysis={"templates": [{"templateName": "a"}], "startingStep": 2})
    assert adopted.spec["rollout"]["analysis"] == {}
    assert lost(adopted)[0].startswith("canary.analysis: what it measures stands in AnalysisTemplates a;")


HEADER = {"setHeaderRoute": {"name": "a", "match": [{"headerName": "x-a", "headerValue": {"exact": "b"}}]}}
MATCHES = [{"header": "x-a", "value": "b"}]
PAUSE = {"pause": {"duration": "10m"}}


@pytest.mark.parametrize(
    ("steps", "test"),
    [
        ([HEADER, PAUSE], {"weight": 0, "duration": "10m", "then": "Promote"}),
        ([HEADER, PAUSE, PAUSE, {"setWeight": 100}], {"weight": 0, "duration": "20m", "then": "Promote"}),
        ([HEADER, PAUSE, {"pause": {}}], {"weight": 0}),
        (
            [{"setCanaryScale": {"replicas": 2}}, {"setWeight": 20}, HEADER, {"pause": {}}],
            {"weight": 20, "replicas": "2"},
        ),
        ([{"setWeight": 0}, HEADER, {"pause": {}}, {"setHeaderRoute": {"name": "a"}}], {"weight": 0}),
    ],
)
def test_requests_with_a_header_are_an_ab_test(steps, test):
    adopted = canary(*steps)
    assert adopted.spec["rollout"] == {"strategy": "ABTest", "abTest": {"matches": MATCHES, **test}}
    assert adopted.left_out == ()


@pytest.mark.parametrize(
    "steps",
    [
        [HEADER],
        [HEADER, PAUSE, {"setWeight": 20}, PAUSE],
        [{"setWeight": 10}, {"setWeight": 20}, HEADER, PAUSE],
    ],
)
def test_headers_beside_several_weights_are_no_ab_test(steps):
    adopted = canary(*steps)
    assert "strategy" not in adopted.spec["rollout"]
    assert "setHeaderRoute: strategy ABTest" in " ".join(adopted.left_out)


def test_what_else_an_ab_test_is_asked_for_is_named():
    adopted = canary(HEADER, PAUSE, {"experiment": {"templates": []}})
    why = "strategy ABTest, which step setHeaderRoute asks for, has no steps"
    assert lost(adopted) == [f"canary.steps[2].experiment: {why}"]


MIRROR = {"setMirrorRoute": {"name": "m", "percentage": 30, "match": [{"path": {"prefix": "/"}}]}}
ENDS = {"setMirrorRoute": {"name": "m"}}


def test_copies_before_the_weights_are_a_shadow():
    adopted = canary(MIRROR, PAUSE, ENDS, {"setWeight": 10}, {"pause": {}})
    assert adopted.spec["rollout"] == {
        "strategy": "Shadow",
        "shadow": {"percent": 30, "duration": "10m"},
        "steps": [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}],
    }
    assert adopted.left_out == ()


def test_copies_that_go_on_beside_a_weight_are_named():
    adopted = canary(MIRROR, {"pause": {}}, {"setWeight": 10}, ENDS)
    assert adopted.spec["rollout"]["shadow"] == {"percent": 30}
    assert lost(adopted, "spec.strategy.canary.") == [
        "steps[0].setMirrorRoute: copies end when the new revision gets its first weight",
        "steps[3].setMirrorRoute: ends a route that is not carried over",
    ]


@pytest.mark.parametrize("steps", [[{"setWeight": 5}, MIRROR, PAUSE], [MIRROR, {"setWeight": 5}]])
def test_copies_beside_weights_are_no_shadow(steps):
    adopted = canary(*steps)
    assert "strategy" not in adopted.spec["rollout"]
    assert "setMirrorRoute: strategy Shadow copies all requests" in " ".join(adopted.left_out)


@pytest.mark.parametrize(
    ("fields", "rollout", "left_out"),
    [
        ({"maxSurge": "25%"}, {"maxSurge": "25%"}, []),
        ({"maxSurge": 2}, {"maxSurge": "2"}, []),
        ({"maxSurge": 0}, {}, ["maxSurge: 0 is not a number of pods above 0, or a percentage up to 100%"]),
        ({"scaleDownDelaySeconds": 90}, {"scaleDownDelay": "1m30s"}, []),
        (
            {"maxUnavailable": 1},
            {},
            ["maxUnavailable: the stable revision keeps its pods until the new one carries its share"],
        ),
        (
            {"canaryService": "a"},
            {},
            ["canaryService: callers use status.url, and Mooring makes its own Services"],
        ),
        (
            {"trafficRouting": {"istio": {"virtualService": {"name": "a"}}}},
            {},
            [
                "trafficRouting: spec.rollout.router says who shifts traffic: name its Gateway in spec.rollout.gateway"
            ],
        ),
    ],
)
def test_fields_of_a_canary(fields, rollout, left_out):
    adopted = canary({"setWeight": 10}, **fields)
    assert adopted.spec["rollout"] == {"steps": [{"setWeight": 10}, {"setWeight": 100}], **rollout}
    assert lost(adopted, "spec.strategy.canary.") == left_out


@pytest.mark.parametrize(
    ("limit", "kept", "left_out"),
    [
        (3, 3, []),
        (0, 0, []),
        (
            20,
            10,
            ["spec.revisionHistoryLimit: 20 becomes 10: 0 to 10 are allowed"],
        ),
    ],
)
def test_how_many_revisions_are_kept(limit, kept, left_out):
    adopted = adopt({"canary": {}}, revisionHistoryLimit=limit)
    assert adopted.spec["revisionHistoryLimit"] == kept
    assert lost(adopted) == left_out


def test_more_steps_than_fit_are_cut_and_it_is_said():
    adopted = canary({"setWeight": 10}, *[{"pause": {"duration": 1}}] * 40)
    assert len(adopted.spec["rollout"]["steps"]) == 30
    assert lost(adopted) == ["canary.steps: 42 steps; 30 are allowed, and the last but one are left out"]


def test_no_strategy_moves_all_traffic_at_once_and_two_are_refused():
    assert lost(adopt({})) == [
        "spec.strategy: has neither canary nor blueGreen; the rollout takes all traffic at once"
    ]
    [told] = adopt_rollout({"kind": "Rollout", "metadata": {"name": "x"}}, MODEL).left_out
    assert told.startswith("spec.strategy: has neither")
    with pytest.raises(CliError, match="has blueGreen and canary"):
        adopt({"canary": {}, "blueGreen": {}})


TEMPLATE = {
    "metadata": {"labels": {"app": "x", "team": "a"}, "annotations": {"note": "b"}},
    "spec": {
        "nodeSelector": {"pool": "gpu"},
        "containers": [
            {"name": "m", "image": "i", "args": ["--x"], "resources": {"limits": {"cpu": "1"}, "claims": []}},
            {"name": "sidecar", "image": "i"},
        ],
    },
}


def test_what_pods_are_like():
    adopted = adopt({"canary": {}}, replicas=3, template=TEMPLATE)
    assert adopted.spec["serving"] == {
        "nodeSelector": {"pool": "gpu"},
        "args": ["--x"],
        "resources": {"limits": {"cpu": "1"}},
        "labels": {"team": "a"},
        "annotations": {"note": "b"},
        "minReplicas": 3,
    }
    assert [line.partition(": ")[0] for line in lost(adopted, "spec.template.")] == [
        "metadata.labels.app",
        "spec.containers[1]",
        "spec.containers[0].resources.claims",
        "spec.containers[0].image",
    ]


@pytest.mark.parametrize("replicas", [0, -1, 1001])
def test_a_number_of_pods_that_no_model_has_is_named(replicas):
    adopted = adopt({"canary": {}}, replicas=replicas)
    assert "serving" not in adopted.spec
    assert adopted.left_out == (f"spec.replicas: {replicas} is not from 1 to 1000",)


def test_pods_of_a_workload_that_is_named():
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}
    target = {"kind": "Deployment", "spec": {"template": TEMPLATE}}
    adopted = adopt({"canary": {}}, target, workloadRef=reference)
    assert adopted.spec["serving"]["nodeSelector"] == {"pool": "gpu"}
    assert "Deployment.spec.template.spec.containers[0].image" in " ".join(adopted.left_out)
    [told] = adopt({"canary": {}}, workloadRef=reference).left_out
    assert told == "spec.workloadRef: what the pods are like stands in w, which could not be read"


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("x", "spec.strategy: 'x' is not an object"),
        ({"canary": []}, "spec.strategy.canary: [] is not an object"),
        ({"canary": {"steps": {"a": 1}}}, "spec.strategy.canary.steps: {'a': 1} is not a list"),
        ({"canary": {"steps": [7]}}, "spec.strategy.canary.steps[0]: 7 is not an object"),
        ({"canary": {"steps": [{"setWeight": "20"}]}}, "steps[0].setWeight: '20' is not a whole number"),
        ({"canary": {"steps": [{"setWeight": True}]}}, "steps[0].setWeight: True is not a whole number"),
        ({"blueGreen": {"autoPromotionEnabled": "no"}}, "autoPromotionEnabled: 'no' is not true or false"),
    ],
)
def test_a_field_of_another_type_is_named_with_its_value(strategy, says):
    with pytest.raises(CliError) as refused:
        adopt(strategy)
    assert says in refused.value.message
