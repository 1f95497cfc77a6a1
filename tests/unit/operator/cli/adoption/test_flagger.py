"""What becomes of the fields of a Canary of Flagger's."""

import pytest
from mooring_operator.cli.adoption.flagger import adopt_canary
from mooring_operator.cli.errors import CliError

from tests.unit.operator.cli.adoption.shapes import MODEL

REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
TARGET = {"kind": "Deployment", "spec": {"template": {}}}


def adopt(analysis=None, target=TARGET, **spec):
    said = {"analysis": analysis} if analysis is not None else {}
    item = {"kind": "Canary", "metadata": {"name": "x"}, "spec": {"targetRef": REFERENCE, **said, **spec}}
    return adopt_canary(item, MODEL, target)


def lost(adopted, prefix="spec.analysis."):
    return [line.removeprefix(prefix) for line in adopted.left_out]


@pytest.mark.parametrize(
    ("analysis", "weights", "pause"),
    [
        ({"stepWeight": 20, "maxWeight": 40}, [20, 40], "1m"),
        ({"stepWeight": 50}, [50], "1m"),
        ({"interval": "30s", "stepWeights": [1, 10, 100]}, [1, 10], "30s"),
        ({"interval": "1s", "stepWeights": [5]}, [5], "10s"),
        ({"interval": "1.5m", "stepWeights": [5]}, [5], "1m30s"),
        ({}, [], ""),
    ],
)
def test_weights(analysis, weights, pause):
    adopted = adopt(analysis)
    steps = [step for weight in weights for step in ({"setWeight": weight}, {"pause": {"duration": pause}})]
    assert adopted.spec["rollout"] == {"steps": [*steps, {"setWeight": 100}]}
    assert adopted.left_out == ()


def test_more_weights_than_fit_are_thinned_and_the_last_is_kept():
    adopted = adopt({"interval": "10s", "stepWeight": 1, "maxWeight": 50})
    steps = adopted.spec["rollout"]["steps"]
    assert len(steps) <= 30
    assert steps[-3:-1] == [{"setWeight": 50}, {"pause": {"duration": "40s"}}]
    assert lost(adopted) == [
        "spec.analysis: 50 weights would be more than 30 steps; one in 4 is kept, and pauses are 4 times as long"
    ]


def test_weights_that_do_not_ascend_are_named():
    adopted = adopt({"stepWeights": [20, 10, 50, 0]})
    assert [step["setWeight"] for step in adopted.spec["rollout"]["steps"] if "setWeight" in step] == [
        20,
        50,
        100,
    ]
    assert lost(adopted) == ["stepWeights: [10, 0] are left out: weights are from 1 to 100, and ascend"]


# --- matches, mirrors, iterations -------------------------------------------------------------------


def header(name, **value):
    return {"headers": {name: value}}


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (header("x-canary", exact="insider"), {"header": "x-canary", "value": "insider"}),
        (header("x-canary", regex="^insider$"), {"header": "x-canary", "value": "insider"}),
        (header("cookie", regex="^(.*?;)?(canary=always)(;.*)?$"), {"cookie": "canary", "value": "always"}),
        (
            header("Cookie", regex=r"^(.*;)?\s*(type=insider)\s*(;.*)?$"),
            {"cookie": "type", "value": "insider"},
        ),
    ],
)
def test_a_match_is_an_ab_test_for_as_long_as_the_iterations(match, said):
    adopted = adopt({"interval": "1m", "iterations": 10, "match": [match]})
    test = {"weight": 0, "matches": [said], "duration": "10m", "then": "Promote"}
    assert adopted.spec["rollout"] == {"strategy": "ABTest", "abTest": test}
    assert adopted.left_out == ()


UNSAYABLE = [
    header("user-agent", regex=".*Firefox.*"),
    header("x-canary", prefix="a"),
    header("cookie", exact="canary"),
    {"headers": {"a": {"exact": "b"}, "c": {"exact": "d"}}},
    {"uri": {"prefix": "/v2"}},
    {"sourceLabels": {"a": "b"}},
    {},
]


@pytest.mark.parametrize("match", UNSAYABLE)
def test_a_match_that_cannot_be_said_is_named_and_exposes_nobody(match):
    adopted = adopt({"iterations": 10, "match": [match]})
    assert adopted.spec["rollout"] == {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "10m"}}
    why = "a match of spec.rollout.abTest is one header or cookie with one value, exactly; 8 at most"
    assert lost(adopted) == [f"match[0]: {why}"]


def test_matches_are_as_many_as_fit_and_each_once():
    given = [header("a", exact=f"v{n}") for n in range(10)]
    adopted = adopt({"iterations": 1, "match": [given[0], *given]})
    assert len(adopted.spec["rollout"]["abTest"]["matches"]) == 8
    assert [line.partition(":")[0] for line in lost(adopted)] == ["match[1]", "match[9]", "match[10]"]


def test_a_match_beside_weights_is_named():
    adopted = adopt({"stepWeight": 50, "match": [header("a", exact="b")]})
    assert lost(adopted) == ["match: weights are of all requests; strategy ABTest sends by headers"]


def test_iterations_are_a_preview():
    adopted = adopt({"interval": "30s", "iterations": 10, "threshold": 2})
    assert adopted.spec["rollout"] == {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "5m"}}
    assert lost(adopted)[0].startswith("threshold: a limit that is passed beyond doubt rolls back")


@pytest.mark.parametrize("iterations", [10**6, 10**15])
def test_iterations_without_end_are_the_longest_duration(iterations):
    adopted = adopt({"interval": "99999h", "iterations": iterations})
    assert adopted.spec["rollout"]["blueGreen"] == {"promoteAfter": "99999h"}


def test_iterations_and_a_confirmation_are_a_preview_until_approved():
    gate = {"name": "a", "type": "confirm-promotion", "url": "http://a.b/gate"}
    adopted = adopt({"iterations": 10, "webhooks": [gate]})
    assert adopted.spec["rollout"] == {"strategy": "BlueGreen"}
    assert lost(adopted) == ["webhooks[0].url: a person approves in its place"]


@pytest.mark.parametrize(
    ("weight", "percent"), [({}, 100), ({"mirrorWeight": 20}, 20), ({"mirrorWeight": 0}, 100)]
)
def test_iterations_of_copies_are_a_shadow(weight, percent):
    adopted = adopt({"interval": "1m", "iterations": 5, "mirror": True, **weight})
    assert adopted.spec["rollout"] == {
        "strategy": "Shadow",
        "shadow": {"percent": percent, "duration": "5m"},
        "steps": [{"setWeight": 0}, {"setWeight": 100}],
    }


def test_copies_before_weights_last_one_interval():
    adopted = adopt({"interval": "1m", "stepWeight": 50, "mirror": True})
    assert adopted.spec["rollout"]["shadow"] == {"percent": 100, "duration": "1m"}
    assert adopted.spec["rollout"]["steps"][0] == {"setWeight": 50}


# --- webhooks ---------------------------------------------------------------------------------------


def hook(kind, url="http://tests.ml/check", **more):
    return {"name": "a", "type": kind, "url": url, **more}


ASKED = {"webhook": {"url": "http://tests.ml.svc/check", "timeout": "3m"}}


def test_hooks_are_steps_where_they_are_asked():
    adopted = adopt(
        {
            "stepWeights": [10, 50],
            "threshold": 3,
            "webhooks": [hook("pre-rollout"), hook("rollout"), {"url": "https://h/x"}],
        }
    )
    pause = {"pause": {"duration": "1m"}}
    other = {"webhook": {"url": "https://h/x", "timeout": "3m"}}
    assert adopted.spec["rollout"]["steps"] == [
        *({"setWeight": 0}, ASKED),
        *({"setWeight": 10}, pause, ASKED, other),
        *({"setWeight": 50}, pause, ASKED, other),
        {"setWeight": 100},
    ]


def test_hooks_are_asked_as_often_as_a_rollout_has_checks():
    adopted = adopt({"stepWeights": [10, 20, 30, 40, 50, 60], "webhooks": [hook("rollout")]})
    steps = adopted.spec["rollout"]["steps"]
    assert sum("webhook" in step for step in steps) == 1
    assert "webhook" in steps[-2]
    assert lost(adopted) == ["webhooks[0]: is asked once, at the last weight: a rollout has at most 5 checks"]


def test_iterations_with_hooks_are_steps_without_a_weight():
    adopted = adopt({"iterations": 10, "webhooks": [hook("pre-rollout"), hook("rollout")]})
    asked = {"webhook": {**ASKED["webhook"], "timeout": "1m"}}
    assert adopted.spec["rollout"] == {
        "steps": [{"setWeight": 0}, asked, {"pause": {"duration": "10m"}}, asked, {"setWeight": 100}]
    }


def test_confirmations_are_approvals():
    gates = [hook("confirm-rollout"), hook("confirm-traffic-increase"), hook("confirm-promotion")]
    adopted = adopt({"stepWeights": [10, 50], "webhooks": gates})
    pause = {"pause": {"duration": "1m"}}
    assert adopted.spec["rollout"]["steps"] == [
        {"approve": {"message": "start the rollout"}},
        *({"approve": {"message": "raise the traffic to 10%"}}, {"setWeight": 10}, pause),
        *({"approve": {"message": "raise the traffic to 50%"}}, {"setWeight": 50}, pause),
        {"approve": {"message": "promote"}},
        {"setWeight": 100},
    ]
    assert lost(adopted) == [f"webhooks[{index}].url: a person approves in its place" for index in range(3)]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (hook("rollback"), ": mooring abort rolls back"),
        (hook("event"), ": watch the Events of the ModelDeployment"),
        (hook("post-rollout"), ": nothing is asked after a rollout: watch the Events of the ModelDeployment"),
        (hook("whatever"), ": type 'whatever' is none of Flagger's"),
        (
            hook("rollout", metadata={"cmd": "hey"}),
            ": what is posted is Mooring's: write what its metadata says as a step job",
        ),
        (
            hook("rollout", "http://outside.example.com/x"),
            ": its url is neither https://HOST/PATH nor http://SERVICE.NAMESPACE.svc/PATH of the cluster",
        ),
        (hook("rollout", timeout="5s"), ".timeout: it is asked again for 1m"),
        (hook("rollout", muteAlert=True), ".muteAlert: nobody is alerted"),
    ],
)
def test_what_a_hook_cannot_be_is_named(given, why):
    assert lost(adopt({"stepWeights": [10], "webhooks": [given]})) == [f"webhooks[0]{why}"]


def test_an_ab_test_asks_nobody():
    analysis = {"iterations": 2, "match": [header("a", exact="b")], "mirror": True}
    adopted = adopt(
        {**analysis, "webhooks": [hook("rollout"), hook("confirm-rollout"), hook("confirm-promotion")]}
    )
    assert adopted.spec["rollout"]["abTest"] == {"weight": 0, "matches": [{"header": "a", "value": "b"}]}
    why = "strategy ABTest, which match asks for, has no steps"
    assert lost(adopted) == [
        "mirror: strategy ABTest, which match asks for, copies nothing",
        f"webhooks[0]: {why}",
        f"webhooks[1].url: {why}",
        "webhooks[2].url: a person approves in its place",
    ]


# --- metrics ----------------------------------------------------------------------------------------


def limits(*metrics, **analysis):
    adopted = adopt({"stepWeights": [10], "metrics": list(metrics), **analysis})
    return adopted.spec["rollout"].get("analysis", {}).get("metrics"), lost(adopted)


@pytest.mark.parametrize(
    ("metric", "points"),
    [
        ({"thresholdRange": {"min": 99}}, 1),
        ({"thresholdRange": {"min": 99.9}}, 0.1),
        ({"threshold": 95}, 5),
    ],
)
def test_a_success_rate_is_a_limit_whatever_the_stable_revision_does(metric, points):
    found, left_out = limits({"name": "request-success-rate", **metric})
    assert found == [{"metric": "errorRate", "ratio": 0, "points": points}]
    assert left_out == []


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (
            {"thresholdRange": {"min": 100}},
            "a success rate of at least 100% is no limit that can be kept and broken",
        ),
        (
            {"thresholdRange": {"min": 0}},
            "a success rate of at least 0% is no limit that can be kept and broken",
        ),
        ({}, "it has no thresholdRange.min"),
    ],
)
def test_a_success_rate_that_says_nothing_is_named(metric, why):
    assert limits({"name": "request-success-rate", **metric}) == (None, [f"metrics[0]: {why}"])


def test_a_duration_is_compared_with_the_stable_revision():
    found, left_out = limits({"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"})
    assert found == [{"metric": "latency"}]
    assert left_out == [
        "metrics[0]: at most 500 ms becomes at most 20% slower than the stable revision, at the 99th percentile",
        "metrics[0].interval: answers are counted one by one, from the first on",
    ]


@pytest.mark.parametrize("more", [{"templateRef": {"name": "t"}}, {"query": "up"}])
def test_a_query_of_ones_own_is_named(more):
    why = "mine is a query of your own: write a step webhook or job that asks it"
    assert limits({"name": "mine", "thresholdRange": {"max": 1}, **more}) == (None, [f"metrics[0]: {why}"])


def test_a_preview_is_not_judged_by_answers():
    adopted = adopt({"iterations": 2, "metrics": [{"name": "request-success-rate", "threshold": 99}]})
    assert "analysis" not in adopted.spec["rollout"]
    assert lost(adopted) == ["metrics: a preview answers nobody, so that there is nothing to compare"]


# --- the rest ---------------------------------------------------------------------------------------


def test_an_analysis_that_is_skipped_moves_all_traffic_at_once():
    adopted = adopt({"stepWeights": [10], "webhooks": [hook("rollout")]}, skipAnalysis=True)
    assert adopted.spec["rollout"] == {"steps": [{"setWeight": 100}]}
    assert lost(adopted, "spec.") == [
        "analysis: spec.skipAnalysis has it left out: all traffic moves at once"
    ]


def test_the_earlier_name_of_an_analysis_is_read():
    adopted = adopt(None, canaryAnalysis={"stepWeights": [10]}, progressDeadlineSeconds=60)
    assert adopted.spec["rollout"]["steps"][0] == {"setWeight": 10}
    assert adopted.spec["rollout"]["progressDeadline"] == "1m"


@pytest.mark.parametrize(
    ("service", "spec", "left_out"),
    [
        ({"hosts": ["a.example.com"]}, {"host": "a.example.com"}, []),
        (
            {"hosts": ["*", "a.example.com"]},
            {"host": "a.example.com"},
            ["hosts: spec.rollout.host is one, a host name from outside of the cluster, without *"],
        ),
        (
            {"gatewayRefs": [{"name": "g", "namespace": "n"}]},
            {"gateway": {"name": "g", "namespace": "n"}},
            [],
        ),
        (
            {"gatewayRefs": [{"name": "g", "sectionName": "http"}]},
            {},
            ["gatewayRefs: spec.rollout.gateway is one, a Gateway with name and namespace"],
        ),
    ],
)
def test_the_way_in(service, spec, left_out):
    adopted = adopt({}, service=service)
    assert adopted.spec["rollout"] == {"steps": [{"setWeight": 100}], **spec}
    assert lost(adopted, "spec.service.") == left_out


@pytest.mark.parametrize(("said", "seconds"), [("15s", 15), ("1m", 60), ("soon", None), ("48h", None)])
def test_a_timeout_is_the_pods(said, seconds):
    adopted = adopt({}, service={"timeout": said})
    assert adopted.spec.get("serving", {}).get("timeout") == seconds
    assert lost(adopted, "spec.service.") == ([] if seconds else [f"timeout: {said!r} is not from 1s to 24h"])


def test_pods_are_those_of_the_target():
    target = {
        "kind": "Deployment",
        "spec": {"template": {"spec": {"nodeSelector": {"pool": "y"}, "containers": []}}},
    }
    assert adopt({}, target).spec["serving"] == {"nodeSelector": {"pool": "y"}}
    told = "spec.targetRef: what the pods are like stands in Deployment x, which could not be read"
    assert adopt({}, None).left_out == (told,)


@pytest.mark.parametrize(
    ("analysis", "says"),
    [
        ([5], "spec.analysis: [5] is not an object"),
        ({"stepWeight": "10"}, "spec.analysis.stepWeight: '10' is not a whole number"),
        ({"webhooks": {"name": "a"}}, "spec.analysis.webhooks: {'name': 'a'} is not a list"),
        ({"webhooks": [{"url": 5}]}, "spec.analysis.webhooks[0].url: 5 is not a text"),
        (
            {"iterations": 1, "match": [{"headers": []}]},
            "spec.analysis.match[0].headers: [] is not an object",
        ),
        ({"metrics": [{"name": "request-success-rate", "threshold": "x"}]}, "threshold: 'x' is not a number"),
    ],
)
def test_a_field_of_another_type_is_named_with_its_value(analysis, says):
    with pytest.raises(CliError) as refused:
        adopt(analysis)
    assert says in refused.value.message
