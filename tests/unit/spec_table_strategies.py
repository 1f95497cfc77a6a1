"""Strategies of ``spec.rollout``: what is accepted, and what is said of the rest."""

from typing import Any

from tests.unit.spec_case import Case

_STEPS = [{"setWeight": 100}]


def _rollout(**rollout: Any) -> dict[str, Any]:
    return {"spec.rollout": rollout}


def _ab(**test: Any) -> dict[str, Any]:
    return _rollout(strategy="ABTest", abTest=test)


def _turning(turns: int, each: int = 1) -> list[dict[str, str]]:
    """Matches that go to and fro."""
    sides = [side for turn in range(turns) for side in [("Stable", "New")[turn % 2]] * each]
    return [{"header": "x-group", "value": str(number), "to": side} for number, side in enumerate(sides)]


_VARIANTS = [{"name": "b", "revision": "0123456789", "weight": 30}, {"name": "c", "revision": "abcdef0123"}]
_AT_ONCE = "strategies BlueGreen, ABTest and Recreate take setWeight 100 alone, and no setReplicas"
_RATE = {"metric": "errorRate", "ratio": 1.5, "points": 0.5}


def _judged(*metrics: Any, **more: Any) -> dict[str, Any]:
    return _rollout(analysis={"metrics": list(metrics or [_RATE]), **more})


_BETA = {"header": "X-Beta", "value": "1"}


def _job(**says: Any) -> dict[str, Any]:
    return _rollout(steps=[{"job": {"image": "smoke", **says}}, *_STEPS])


def _hook(url: Any, **says: Any) -> dict[str, Any]:
    return _rollout(steps=[{"webhook": {"url": url, **says}}, *_STEPS])


_WEBHOOKS = [
    Case("a webhook", _hook("https://gates.example.com/go?revision=1", timeout="5m", onFailure="Pause")),
    Case("a webhook with a port", _hook("https://gates.example.com:8443/")),
    Case("a webhook in the cluster", _hook("http://gates.team-a.svc:8080/go")),
    Case("a webhook in the cluster by its whole name", _hook("http://gates.team-a.svc.cluster.local")),
    Case("a webhook with headers", _hook("https://gates.example.com", headersSecret="gates")),
    *(
        Case(f"a webhook at {url or 'nothing'}", _hook(url), False, "spec.rollout.steps[0].webhook.url")
        for url in (
            "",
            "gates.example.com",
            "http://gates.example.com/",
            "http://169.254.169.254/latest/meta-data/",
            "http://gates",
            "http://gates.team-a",
            "http://svc/",
            "http://a.b.svc.example.com/",
            "ftp://a/",
            "https://user:password@gates.example.com/",
            "https://gates.example.com@evil.example.com/",
            "https://[fd00::1]/",
            "https://gates.example.com/a b",
            "https://gates.example.com/#a",
            "https:///a",
            "http://a.b.svc\\@c/",
            "https://gates.example.com:0/",
            "https://a/\n",
            "file:///etc/passwd",
            "https://" + "a" * 513,
        )
    ),
    Case(
        "a webhook without an address",
        _rollout(steps=[{"webhook": {}}, *_STEPS]),
        False,
        "spec.rollout.steps[0].webhook.url",
    ),
    Case(
        "a webhook with a path as its Secret",
        _hook("https://a", headersSecret="../b"),
        False,
        "spec.rollout.steps[0].webhook.headersSecret",
    ),
    Case(
        "a webhook that takes no time",
        _hook("https://a", timeout="0s"),
        False,
        "spec.rollout.steps[0].webhook.timeout",
    ),
    Case(
        "a webhook that promotes on failure",
        _hook("https://a", onFailure="Promote"),
        False,
        "spec.rollout.steps[0].webhook.onFailure",
    ),
]

_JOBS = [
    Case("a job", _job(command=["k6", "run"], args=["--vus=10", "$(MOORING_URL)"], cpu="500m", memory="1Gi",
                       serviceAccountName="smoke", credentialsSecret="smoke", backoffLimit=2, timeout="1h")),
    Case("a job by digest", _job(image="registry.example.com:5000/team/smoke@sha256:" + "0" * 64)),
    Case("a job without an image", _rollout(steps=[{"job": {}}, *_STEPS]), False, "spec.rollout.steps[0].job.image"),
    Case("a job of an image with a blank", _job(image="a b"), False, "spec.rollout.steps[0].job.image"),
    Case("a job tried six times again", _job(backoffLimit=6), False, "spec.rollout.steps[0].job.backoffLimit"),
    Case("a job of negative memory", _job(memory="-1Gi"), False, "spec.rollout.steps[0].job.memory"),
    Case("a job of seventeen arguments", _job(args=["a"] * 17), False, "spec.rollout.steps[0].job.args"),
    Case("a job as large as it may be", _job(command=["a" * 1023], args=["a"])),
    Case("a job with a script in it", _job(command=["a" * 1023], args=["a", "a"]), False,
         "command and args have at most 1024 characters together"),
    Case("a job with a privileged pod", _job(securityContext={"privileged": True}), False, "securityContext"),
    Case("a step that is two checks", _rollout(steps=[{"job": {"image": "a"}, "webhook": {"url": "https://a"}},
                                                      *_STEPS]), False, "exactly one of"),
    Case("a step that is nothing", _rollout(steps=[{}, *_STEPS]), False, "exactly one of"),
    Case("a job with a weight", _rollout(steps=[{"job": {"image": "a"}, "setWeight": 5}, *_STEPS]), False,
         "exactly one of"),
    Case("five checks", _rollout(steps=[{"job": {"image": "a"}}] * 3 + [{"webhook": {"url": "https://a"}}] * 2
                                 + _STEPS)),
    Case("six checks", _rollout(steps=[{"job": {"image": "a"}}] * 3 + [{"webhook": {"url": "https://a"}}] * 3
                                + _STEPS), False, "at most 5 steps are webhooks or jobs"),
]  # fmt: skip

STRATEGIES = [
    *_WEBHOOKS,
    *_JOBS,
    Case("a weight of 0", _rollout(steps=[{"setWeight": 0}, *_STEPS])),
    Case("a negative weight", _rollout(steps=[{"setWeight": -1}, *_STEPS]), False, "spec.rollout.steps[0].setWeight"),
    Case("replicas", _rollout(steps=[{"setReplicas": 2}, {"setReplicas": "50%"}, *_STEPS])),
    Case("no replicas", _rollout(steps=[{"setReplicas": 0}, *_STEPS]), False, "spec.rollout.steps[0].setReplicas"),
    Case("replicas of 0%", _rollout(steps=[{"setReplicas": "0%"}, *_STEPS]), False, "setReplicas"),
    Case("blue-green", _rollout(strategy="BlueGreen")),
    Case("blue-green after a time", _rollout(strategy="BlueGreen", blueGreen={"promoteAfter": "1h"})),
    Case("blue-green of a canary", _rollout(blueGreen={}), False,
         "blueGreen is of strategy BlueGreen, and strategy is Canary"),
    Case("a shadow", _rollout(strategy="Shadow", shadow={"percent": 10, "duration": "1h"})),
    Case("a shadow of nothing", _rollout(strategy="Shadow", shadow={"percent": 0}), False,
         "spec.rollout.shadow.percent"),
    Case("a shadow of blue-green", _rollout(strategy="BlueGreen", shadow={}), False,
         "shadow is of strategy Shadow, and strategy is BlueGreen"),
    Case("an unknown strategy", _rollout(strategy="Rolling"), False, "spec.rollout.strategy"),
    Case("recreate", _rollout(strategy="Recreate")),
    Case("an A/B test", _ab(matches=[_BETA, {"cookie": "beta", "value": "1", "to": "Stable"}], sticky="arm")),
    Case("an A/B test without settings", _rollout(strategy="ABTest"), False, "strategy ABTest needs abTest"),
    Case("an A/B test of a canary", _rollout(abTest={}), False, "abTest is of strategy ABTest, and strategy is Canary"),
    Case("an A/B test of nobody", _ab(weight=0, matches=[{**_BETA, "to": "Stable"}]), False,
         "needs a weight above 0 or a match that goes to New"),
    Case("an A/B test with two ends", _ab(duration="1h", until="2027-01-01T00:00:00Z"), False,
         "has at most one of duration, until"),
    Case("an A/B test that promotes at no time", _ab(then="Promote"), False, "then Promote needs an end"),
    Case("an A/B test that promotes at some time", _ab(then="Promote", until="2027-01-01T00:00:00Z")),
    Case("an A/B test until some time", _ab(until="soon"), False, "spec.rollout.abTest.until"),
    Case("a match of both kinds", _ab(matches=[{**_BETA, "cookie": "a"}]), False, "exactly one of header, cookie"),
    Case("a match of the host", _ab(matches=[{"header": "Host", "value": "a.example.com"}]), False, "not of the host"),
    Case("a cookie that is called host", _ab(matches=[{"cookie": "host", "value": "a"}])),
    Case("a match of no kind", _ab(matches=[{"value": "1"}]), False, "exactly one of header, cookie"),
    Case("the same header twice", _ab(matches=[_BETA, {"header": "x-beta", "value": "1", "to": "Stable"}]), False,
         "spec.rollout.abTest"),
    Case("the same header with two values", _ab(matches=[_BETA, {**_BETA, "value": "2"}])),
    Case("a header and a cookie of one name", _ab(matches=[_BETA, {"cookie": "X-Beta", "value": "1"}])),
    Case("the same cookie twice", _ab(matches=[{"cookie": "a", "value": "1"}] * 2), False, "spec.rollout.abTest"),
    Case("a cookie that is matched and kept", _ab(matches=[{"cookie": "arm", "value": "1"}], sticky="arm"), False,
         "sticky is the cookie of a match too; give it a name of its own"),
    Case("a header like the cookie that is kept", _ab(matches=[{"header": "arm", "value": "1"}], sticky="arm")),
    Case("seven turns", _ab(matches=_turning(7))),
    Case("eight turns", _ab(matches=_turning(8)), False, "room for 7 turns, with sticky for 4"),
    Case("eight matches in four turns", _ab(matches=_turning(4, each=2), sticky="arm")),
    Case("five turns that are kept", _ab(matches=_turning(5), sticky="arm"), False, "with sticky for 4"),
    Case("a header with a colon", _ab(matches=[{"header": "a: b", "value": "1"}]), False,
         "spec.rollout.abTest.matches[0].header"),
    Case("a value that is an expression", _ab(matches=[{"cookie": "a", "value": ".*; b"}]), False,
         "spec.rollout.abTest.matches[0].value"),
    Case("variants", _ab(weight=20, variants=_VARIANTS, sticky="arm", matches=[{**_BETA, "to": "c"}])),
    Case("four variants", _ab(weight=0, variants=[{"name": f"v{n}", "revision": f"{n}" * 10, "weight": 9}
                                                  for n in range(4)]), False, "spec.rollout.abTest.variants"),
    Case("a variant twice", _ab(weight=20, variants=[_VARIANTS[0]] * 2), False, "and a revision of its own"),
    Case("a variant's revision twice", _ab(weight=20, variants=[_VARIANTS[0], {**_VARIANTS[0], "name": "d"}]), False,
         "and a revision of its own"),
    Case("a variant of nobody", _ab(variants=[_VARIANTS[1]]), False, "a weight above 0 or a match"),
    Case("variants of everybody", _ab(weight=70, variants=[_VARIANTS[0]]), False, "the weights are 99 at most"),
    Case("variants of all but one percent", _ab(weight=69, variants=[_VARIANTS[0]])),
    Case("a match that goes to nobody", _ab(matches=[{**_BETA, "to": "b"}]), False,
         "to is New, Stable, or the name of a variant"),
    Case("a variant called like a header", _ab(variants=[{**_VARIANTS[0], "name": "B_1"}]), False,
         "spec.rollout.abTest.variants[0].name"),
    Case("a variant called New", _ab(variants=[{**_VARIANTS[0], "name": "New"}]), False,
         "spec.rollout.abTest.variants[0].name"),
    Case("a variant called new", _ab(weight=20, variants=[{**_VARIANTS[0], "name": "new"}]), False,
         "has a name (not new or stable)"),
    Case("a variant called newer", _ab(weight=20, variants=[{**_VARIANTS[0], "name": "newer"}])),
    Case("a variant by its model", _ab(variants=[{**_VARIANTS[0], "revision": "s3://m/v1"}]), False,
         "spec.rollout.abTest.variants[0].revision"),
    Case("three turns that are kept beside two variants", _ab(weight=20, matches=[*_turning(2), {**_BETA, "to": "c"}],
         variants=_VARIANTS, sticky="arm"), False, "with sticky for 4 less the variants"),
    Case("two turns that are kept beside two variants", _ab(weight=20, matches=[*_turning(1), {**_BETA, "to": "c"}],
         variants=_VARIANTS, sticky="arm")),
    Case("seven turns beside two variants", _ab(weight=20, matches=[*_turning(6), {**_BETA, "to": "c"}],
         variants=_VARIANTS)),
    Case("a surge beside variants", _rollout(strategy="ABTest", maxSurge=1, abTest={"weight": 20,
         "variants": [_VARIANTS[0]]}), False, "maxSurge counts no pods of variants"),
    Case("a surge beside no variants", _rollout(strategy="ABTest", maxSurge=1, abTest={"variants": []})),
    Case("a surge", _rollout(maxSurge="25%")),
    Case("a surge of one that stops first", _rollout(strategy="Recreate", maxSurge=1), False,
         "with Recreate there are none"),
    Case("no surge", _rollout(maxSurge=0), False, "spec.rollout.maxSurge"),
    Case("a surge of half a pod", _rollout(maxSurge="0.5"), False, "spec.rollout.maxSurge"),
    *(
        Case(f"{strategy} with {name}", _rollout(strategy=strategy, steps=steps, **more), not says, says)
        for strategy, more in (("BlueGreen", {}), ("ABTest", {"abTest": {}}), ("Recreate", {}))
        for name, steps, says in (
            ("a check", [{"job": {"image": "smoke"}}, *_STEPS], ""),
            ("a check behind", [*_STEPS, {"webhook": {"url": "https://gates.example.com"}}], ""),
            ("an approval", [{"approve": {}}, *_STEPS], ""),
            ("a weight", [{"setWeight": 20}, *_STEPS], _AT_ONCE),
            ("a weight of nothing", [{"setWeight": 0}, *_STEPS], _AT_ONCE),
            ("replicas", [{"setReplicas": 2}, *_STEPS], _AT_ONCE),
            ("replicas behind", [*_STEPS, {"setReplicas": 2}], _AT_ONCE),
        )
    ),
    Case("an A/B test that is analysed", _rollout(
         strategy="ABTest", abTest={}, steps=[{"analyse": {}}, *_STEPS], analysis={})),
    Case("a preview that is analysed", _rollout(strategy="BlueGreen", steps=[{"analyse": {}}, *_STEPS], analysis={}),
         False, "a step analyse stands between"),
    Case("an analysis", _judged()),
    Case("an analysis of everything", _judged(_RATE, {"metric": "rejectedRate"},
         {"metric": "latency", "quantile": 99.9, "slower": 50}, falseRollback="0.5%", earlyPromotion=True,
         afterPromotion="30m")),
    Case("a step that is analysed", _rollout(steps=[{"setWeight": 5}, {"analyse": {}}, *_STEPS], analysis={})),
    Case("a step that is analysed, and then", _rollout(
         steps=[{"setWeight": 5}, {"analyse": {"duration": "1h", "onInsufficient": "Fail"}}, *_STEPS], analysis={})),
    Case("a step that is analysed before any weight", _rollout(steps=[{"analyse": {}}, *_STEPS], analysis={}), False,
         "a step analyse stands between weights above 0 and the last one"),
    Case("a step that is analysed without traffic", _rollout(
         steps=[{"setWeight": 0}, {"analyse": {}}, *_STEPS], analysis={}), False, "a step analyse stands between"),
    Case("a step that is analysed alone", _rollout(
         steps=[{"setWeight": 5}, *_STEPS, {"analyse": {}}], analysis={}), False, "a step analyse stands between"),
    Case("a shadow that is analysed", _rollout(strategy="Shadow", steps=[{"analyse": {}}, *_STEPS], analysis={})),
    Case("a step without an analysis", _rollout(steps=[{"setWeight": 5}, {"analyse": {}}, *_STEPS]), False,
         "a step analyse needs spec.rollout.analysis"),
    Case("a step that is analysed and pauses", _rollout(
         steps=[{"setWeight": 5}, {"analyse": {}, "pause": {}}, *_STEPS], analysis={}), False,
         "exactly one of setWeight, setReplicas, pause, approve"),
    Case("an analysis of nothing", _rollout(analysis={"metrics": []}), False, "spec.rollout.analysis.metrics"),
    Case("an unknown metric", _judged({"metric": "accuracy"}), False, "spec.rollout.analysis.metrics[0].metric"),
    Case("a metric twice", _judged(_RATE, _RATE), False, "spec.rollout.analysis"),
    Case("a rate with a quantile", _judged({"metric": "errorRate", "quantile": 95}), False,
         "ratio and points are of rates, quantile and slower of latency"),
    Case("latency with points", _judged({"metric": "latency", "points": 1}), False,
         "ratio and points are of rates, quantile and slower of latency"),
    Case("tokens", _judged({"metric": "firstToken", "quantile": 90}, {"metric": "tokenTime", "slower": 10})),
    Case("tokens by points", _judged({"metric": "firstToken", "points": 1}), False,
         "ratio and points are of rates, quantile and slower of latency"),
    Case("predictions that drift", _judged({"metric": "predictionDrift", "points": 3}, {"metric": "latency"})),
    Case("predictions by a ratio", _judged({"metric": "predictionDrift", "ratio": 1}), False,
         "predictionDrift: points above 0, no ratio"),
    Case("predictions that never differ", _judged({"metric": "predictionDrift", "points": 0}), False,
         "predictionDrift: points above 0, no ratio"),
    Case("predictions with a quantile", _judged({"metric": "predictionDrift", "quantile": 9}), False,
         "ratio and points are of rates, quantile and slower of latency"),
    Case("a plain threshold", _judged({"metric": "errorRate", "ratio": 0, "points": 1})),
    Case("no error at all", _judged({"metric": "errorRate", "ratio": 0, "points": 0}), False,
         "ratio and points are both 0"),
    Case("no more errors than stable", _judged({"metric": "errorRate", "ratio": 1, "points": 0})),
    Case("a negative ratio", _judged({"metric": "errorRate", "ratio": -1}), False,
         "spec.rollout.analysis.metrics[0].ratio"),
    Case("a quantile of 100", _judged({"metric": "latency", "quantile": 100}), False,
         "spec.rollout.analysis.metrics[0].quantile"),
    Case("a risk of nothing", _judged(falseRollback="0%"), False, "spec.rollout.analysis.falseRollback"),
    Case("a risk of a half", _judged(falseRollback="50%"), False, "spec.rollout.analysis.falseRollback"),
    Case("a risk without a unit", _judged(falseRollback="1"), False, "spec.rollout.analysis.falseRollback"),
    Case("a risk as a number", _judged(falseRollback=1), False, "spec.rollout.analysis.falseRollback"),
    Case("predictions alone, watched on", _judged({"metric": "predictionDrift"}, afterPromotion="30m"), False,
         "afterPromotion: predictionDrift is not watched after the promotion"),
    Case("predictions and errors, watched on", _judged({"metric": "predictionDrift"}, _RATE, afterPromotion="30m")),
    Case("an analysis for ever", _judged(afterPromotion=""), False, "spec.rollout.analysis.afterPromotion"),
    Case("ten revisions to go back to", {"spec.revisionHistoryLimit": 10}),
    Case("eleven revisions to go back to", {"spec.revisionHistoryLimit": 11}, False, "spec.revisionHistoryLimit"),
]  # fmt: skip
