"""Rollouts of Argo's and Canaries of Flagger's of many shapes, good and bad."""

import copy

from hypothesis import strategies as st

MODEL = {"uri": "s3://m/x", "format": "onnx"}
names = st.from_regex(r"[a-z]([a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)
durations = st.sampled_from(["30s", "1m", "1h30m", "1.5h", "500ms", "90", "10m0s", "soon", ""])
flags = st.booleans()
percents = st.integers(0, 100)
surges = st.integers(0, 9) | st.sampled_from(["25%", "0%", "100%", "1.5", "200%"])
analyses = st.fixed_dictionaries(
    {"templates": st.lists(st.fixed_dictionaries({"templateName": names}), max_size=2)},
    optional={"args": st.just([{"name": "a", "value": "b"}])},
)
texts = st.sampled_from(["insider", "a b", "", "é", "x" * 200, "^(.*?;)?(canary=always)(;.*)?$", "^x$", ".*"])
value_matches = st.one_of(
    st.fixed_dictionaries({"exact": texts}),
    st.fixed_dictionaries({"regex": texts}),
    st.fixed_dictionaries({"prefix": texts}),
)
headers = st.sampled_from(["x-canary", "cookie", "Cookie", "user agent", ""])


def objects(required, **optional):
    return st.fixed_dictionaries(required, optional=optional)


argo_steps = st.lists(
    st.one_of(
        objects({"setWeight": percents}),
        objects({"pause": objects({}, duration=durations | st.integers(0, 9999)) | st.none()}),
        objects(
            {
                "setCanaryScale": objects(
                    {}, replicas=st.integers(0, 9), weight=percents, matchTrafficWeight=st.booleans()
                )
            }
        ),
        objects({"analysis": analyses}),
        objects({"experiment": objects({"templates": st.just([{"name": "a", "specRef": "canary"}])})}),
        objects(
            {
                "setHeaderRoute": objects(
                    {"name": names},
                    match=st.lists(
                        objects({"headerName": headers, "headerValue": value_matches}), max_size=2
                    ),
                )
            }
        ),
        objects(
            {
                "setMirrorRoute": objects(
                    {"name": names},
                    percentage=percents,
                    match=st.lists(
                        st.sampled_from([{"path": {"prefix": "/"}}, {"method": {"exact": "GET"}}]), max_size=2
                    ),
                )
            }
        ),
        objects({"plugin": objects({"name": names})}),
        st.just({}),
    ),
    max_size=40,
)
argo_canaries = objects(
    {},
    steps=argo_steps,
    maxSurge=surges,
    maxUnavailable=surges,
    analysis=analyses,
    canaryService=names,
    stableService=names,
    trafficRouting=objects({}, istio=st.just({"virtualService": {"name": "a"}}), maxTrafficWeight=percents),
    scaleDownDelaySeconds=st.integers(0, 10**9),
    dynamicStableScale=st.booleans(),
)
blue_greens = objects(
    {"activeService": names},
    previewService=names,
    autoPromotionEnabled=st.booleans(),
    autoPromotionSeconds=st.integers(0, 10**9),
    scaleDownDelaySeconds=st.integers(0, 10**9),
    previewReplicaCount=st.integers(0, 9),
    prePromotionAnalysis=analyses,
)
containers = objects(
    {"name": names, "image": names},
    env=st.lists(
        objects({"name": names}, value=texts, valueFrom=st.just({"x": {}})),
        max_size=2,
        unique_by=lambda one: one["name"],
    ),
    args=st.lists(texts, max_size=2),
    ports=st.just([{"containerPort": 80}]),
    resources=objects(
        {}, limits=st.dictionaries(st.sampled_from(["cpu", "nvidia.com/gpu", "x.io/y"]), st.just("1"))
    ),
)
templates = objects(
    {
        "spec": objects(
            {"containers": st.lists(containers, min_size=1, max_size=2)}, volumes=st.just([{"name": "v"}])
        )
    },
    metadata=objects(
        {},
        labels=st.dictionaries(st.sampled_from(["app", "team", "mooring.dev/x", "a b"]), names),
        annotations=st.dictionaries(st.sampled_from(["note", "kserve.io/x"]), texts),
    ),
)
rollouts = st.builds(
    lambda spec: {"kind": "Rollout", "metadata": {"name": "x", "namespace": "ml"}, "spec": spec},
    objects(
        {
            "strategy": st.one_of(
                objects({"canary": argo_canaries}), objects({"blueGreen": blue_greens}), st.just({})
            ),
            "template": templates,
        },
        replicas=st.integers(0, 9),
        revisionHistoryLimit=st.integers(0, 20),
        progressDeadlineSeconds=st.integers(0, 10**9),
        minReadySeconds=st.integers(1, 9),
        paused=st.booleans(),
    ),
)

hooks = objects(
    {
        "name": names,
        "url": st.sampled_from(
            [
                "http://tests.ml/check",
                "https://a.example.com/x",
                "http://tester:80/",
                "ftp://x",
                "http://a.b/x?y=$z",
                "",
            ]
        ),
    },
    type=st.sampled_from(
        [
            *("pre-rollout", "rollout", "post-rollout", "event", "rollback", "skip", "other"),
            *("confirm-rollout", "confirm-traffic-increase", "confirm-promotion"),
        ]
    ),
    timeout=durations,
    retries=st.integers(1, 3),
    metadata=st.just({"cmd": "hey"}),
)
metrics = objects(
    {"name": st.sampled_from(["request-success-rate", "request-duration", "mine"])},
    interval=durations,
    threshold=st.integers(-1, 101),
    thresholdRange=objects({}, min=st.floats(-1, 101), max=st.integers(0, 1000)),
    templateRef=st.just({"name": "a"}),
)
flagger_matches = objects(
    {}, headers=st.dictionaries(headers, value_matches, max_size=2), uri=st.just({"exact": "/"})
)
canaries = st.builds(
    lambda spec: {"kind": "Canary", "metadata": {"name": "x", "namespace": "ml"}, "spec": spec},
    objects(
        {
            "targetRef": st.just({"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}),
            "service": objects(
                {"port": st.integers(1, 99)},
                timeout=durations,
                hosts=st.lists(st.sampled_from(["*", "a.example.com", "x.svc", "b.example.com"]), max_size=2),
                gatewayRefs=st.lists(
                    st.sampled_from(
                        [{"name": "a"}, {"name": "a", "namespace": "b", "sectionName": "c"}, {"kind": "X"}]
                    ),
                    max_size=2,
                ),
            ),
        },
        analysis=objects(
            {},
            interval=durations,
            threshold=st.integers(0, 10**6),
            iterations=st.integers(0, 10**6),
            maxWeight=percents,
            stepWeight=percents,
            stepWeights=st.lists(st.integers(-1, 101), max_size=40),
            mirror=st.booleans(),
            mirrorWeight=st.integers(-1, 101),
            match=st.lists(flagger_matches, max_size=12),
            webhooks=st.lists(hooks, max_size=8),
            metrics=st.lists(metrics, max_size=4),
            sessionAffinity=st.just({"cookieName": "a"}),
        ),
        skipAnalysis=st.booleans(),
        progressDeadlineSeconds=st.integers(0, 10**9),
        autoscalerRef=st.just({"kind": "HorizontalPodAutoscaler", "name": "x"}),
    ),
)

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.just([]),
    st.just([7]),
    st.just({}),
    st.just({"a": 1}),
    st.just([[]]),
)


def places(value, path=()):
    """Give the paths of all values below one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*path, key)
        yield from places(below, (*path, key))


def with_value(item, path, value):
    """Give a copy with another value at a path."""
    out = copy.deepcopy(item)
    node = out
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return out


def value_at(item, path):
    for key in path:
        item = item[key]
    return item


def written(path):
    """Write a path as messages have it."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")
