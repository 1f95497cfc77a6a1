"""Fields that go to KServe: where they stand in a predictor, and that no text in them is a program."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.inference_services.manifest import components, predictor, scaling

from tests.unit.operator.adapters.routers.inference_services.test_manifest import executed
from tests.unit.operator.adapters.routers.revisions import revision

TEXTS = st.text(alphabet='{}`-. $()/*"\\aA')
OWN = {"containers": [{"name": "side", "image": "s"}, {"name": "kserve-container", "image": "own"}]}


def expanded(text):
    """What the kubelet makes of a text in which every $ is doubled."""
    assert "$" not in text.replace("$$", "")
    return text.replace("$$", "$")


def container(name, text):
    return {
        "name": name,
        "image": "i",
        "command": [text],
        "args": [text],
        "env": [{"name": "A", "value": text}],
    }


def texts_of(made):
    return [*made["command"], *made["args"], next(v["value"] for v in made["env"] if v["name"] == "A")]


@given(TEXTS)
@example("$(TOKEN) {{.Name}}")
@example("$$(TOKEN){{{{")
def test_texts_reach_the_models_container_as_they_are(text):
    """The kubelet expands, and KServe executes, in the process that serves every tenant."""
    template = {"model": {"command": [text], "workingDir": text, "env": [{"name": "A", "value": text}]}}
    made = predictor(revision(args=[text], template=template))["model"]
    assert [expanded(executed(found)) for found in texts_of(made)] == [text] * 3
    assert executed(made["workingDir"]) == text


@given(TEXTS)
@example("$(TOKEN) {{.Name}}")
def test_texts_reach_other_containers_as_they_are(text):
    names = ("side", "transformer-container")
    template = {
        "containers": [container(name, text) for name in names],
        "initContainers": [container("first", text)],
        "workerSpec": {"containers": [container("worker", text)]},
    }
    run = {"containers": [container("t", text)], "initContainers": [container("first", text)]}
    made = revision(template=template, transformer=run, explainer=run)
    pod = predictor(made)
    side, collocated = pod["containers"]
    beside = list(components(made).values())
    for found in (side, pod["initContainers"][0], pod["workerSpec"]["containers"][0]):
        assert [expanded(said) for said in texts_of(found)] == [text] * 3
    for part in beside:
        for found in (part["containers"][0], part["initContainers"][0]):
            assert [expanded(said) for said in texts_of(found)] == [text] * 3
    # Of the containers beside the model's KServe executes this one alone.
    assert [expanded(executed(said)) for said in texts_of(collocated)] == [text] * 3


@given(TEXTS)
def test_texts_reach_a_container_of_ones_own_as_they_are(text):
    template = {"containers": [{"name": "kserve-container", "image": "own", "command": [text]}]}
    pod = predictor(revision(args=[text], env=[{"name": "A", "value": text}], template=template))
    [made] = pod["containers"]
    assert [expanded(said) for said in texts_of(made)] == [text] * 3


def test_a_container_of_ones_own_has_the_fields_of_the_spec_and_the_models_address():
    serving = {"gpu": {"count": 1}, "env": [{"name": "A", "value": "1"}], "args": ["--a"], "template": OWN}
    pod = predictor(revision(**serving))
    assert "model" not in pod
    model, side = pod["containers"]
    assert side == {"name": "side", "image": "s"}
    assert (model["image"], model["args"]) == ("own", ["--a"])
    assert model["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert [variable["name"] for variable in model["env"]] == ["A", "STORAGE_URI", "MOORING_REVISION"]


def test_mooring_has_the_last_word_on_its_own_variables_labels_and_token():
    ours = [{"name": "MOORING_REVISION", "value": "mine"}]
    made = revision(env=ours, template={"model": {"env": ours}, "labels": {"a": "b"}})
    pod = predictor(made)
    assert pod["model"]["env"] == [{"name": "MOORING_REVISION", "value": made.revision}]
    assert pod["labels"] == {"a": "b", "mooring.dev/revision": made.revision}
    assert pod["automountServiceAccountToken"] is False
    own = predictor(revision(env=[*ours, {"name": "STORAGE_URI", "value": "s3://other"}], template=OWN))
    said = {variable["name"]: variable["value"] for variable in own["containers"][0]["env"]}
    assert said == {"MOORING_REVISION": made.revision, "STORAGE_URI": made.storage_uri}


def test_a_transformer_is_of_the_revision():
    made = revision(transformer={"containers": [{"name": "t", "image": "i"}], "labels": {"a": "b"}})
    [(name, part)] = components(made).items()
    assert name == "transformer"
    assert part["labels"] == {"a": "b", "mooring.dev/revision": made.revision}
    assert part["automountServiceAccountToken"] is False
    # KServe would rename it, and Mooring would write it again and again.
    assert part["containers"] == [{"name": "kserve-container", "image": "i"}]


def test_pods_are_spread_among_those_of_their_revision():
    [spread] = predictor(revision(topologySpreadConstraints=[{"topologyKey": "zone"}]))[
        "topologySpreadConstraints"
    ]
    assert spread == {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"mooring.dev/revision": "aaaabbbbcc"}},
        "matchLabelKeys": ["mooring.dev/model-deployment"],
    }


@pytest.mark.parametrize(
    ("serving", "path", "value"),
    [
        ({"timeout": 9}, "timeout", 9),
        ({"mode": "Knative", "containerConcurrency": 0}, "containerConcurrency", 0),
        ({"deploymentStrategy": {"type": "Recreate"}}, "deploymentStrategy", {"type": "Recreate"}),
        (
            {"deploymentStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "5%"}}},
            "deploymentStrategy.rollingUpdate",
            {"maxSurge": 1, "maxUnavailable": "5%"},
        ),
        ({"priorityClassName": "high"}, "priorityClassName", "high"),
        ({"imagePullSecrets": [{"name": "r"}]}, "imagePullSecrets", [{"name": "r"}]),
        ({"labels": {"a": "b"}}, "labels.a", "b"),
        ({"annotations": {"a": "b"}}, "annotations.a", "b"),
        ({"logger": {"url": "http://l"}}, "logger", {"url": "http://l", "mode": "all"}),
        ({"storage": {"key": "k"}}, "model.storage", {"key": "k"}),
        (
            {"envFrom": [{"prefix": "A", "secretRef": {"name": "s"}}]},
            "model.envFrom",
            [{"prefix": "A", "secretRef": {"name": "s", "optional": False}}],
        ),
        ({"template": {"model": {"image": "other"}}}, "model.image", "other"),
        ({"template": {"hostNetwork": True}}, "hostNetwork", True),
        ({"timeout": 9, "template": {"timeout": 10}}, "timeout", 10),
    ],
)
def test_what_serving_says_is_where_kserve_reads_it(serving, path, value):
    found = predictor(revision(**serving))
    for part in path.split("."):
        found = found[part]
    assert found == value


def test_several_metrics_and_a_pace_scale():
    cpu = {"metric": "cpu", "target": 60}
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 600, "policies": []}}
    made = revision(
        maxReplicas=4,
        autoscaling={"scaler": "KEDA", "metrics": [cpu, {"metric": "memory"}], "behavior": behavior},
    )
    auto = scaling(made.serving_spec)["autoScaling"]
    assert [m["resource"]["target"]["averageUtilization"] for m in auto["metrics"]] == [60, 80]
    assert auto["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600
