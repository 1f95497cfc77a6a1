"""Templates in files: what is wrong with them, and with the deployments beside them."""

import json

import pytest
import yaml

from tests.unit.cli_world import invoke
from tests.unit.spec_case import Case


def template(**spec):
    return Case("", {f"spec.{name}": value for name, value in spec.items()}, kind="AnalysisTemplate").manifest


def deployment(*templates, **analysis):
    return Case("", {"spec.rollout": {"analysis": {"templates": list(templates), **analysis}}}).manifest


ARGUED = template(
    arguments=[{"name": "points"}], metrics=[{"metric": "errorRate", "fromArguments": {"points": "points"}}]
)


def validate(capsys, tmp_path, *documents):
    paths = []
    for index, document in enumerate(documents):
        path = tmp_path / f"{index}.yaml"
        path.write_text(yaml.safe_dump(document))
        paths.append(str(path))
    code, out, _ = invoke(capsys, "validate", "-v", "-o", "json", *paths)
    return code, json.loads(out)


USES = {
    "well": ({"points": "0.5"}, {}, ""),
    "without what it needs": ({}, {}, "needs argument 'points'"),
    "with too much": ({"points": "0.5", "ratio": "1"}, {}, "has no argument 'ratio'; it has points"),
    "with words": ({"points": "few"}, {}, "argument points is 'few'"),
    "beside its own": ({"points": "1"}, {"metrics": [{"metric": "errorRate"}]}, "leave one of them out"),
}


@pytest.mark.parametrize("use", USES)
def test_a_deployment_is_held_to_the_templates_among_the_files(capsys, tmp_path, use):
    arguments, own, said = USES[use]
    used = deployment({"name": "house", "arguments": arguments}, **own)
    code, (found, _) = validate(capsys, tmp_path, used, ARGUED)
    assert code == (1 if said else 0)
    if said:
        [problem] = found["problems"]
        assert problem["field"].startswith("spec.rollout.analysis.templates[0]")
        assert said in problem["message"]


def test_a_template_that_is_not_among_the_files_is_not_judged(capsys, tmp_path):
    code, (found, _) = validate(capsys, tmp_path, deployment({"name": "other"}, {"name": "house"}), ARGUED)
    assert code == 1
    assert "needs argument 'points'" in found["problems"][0]["message"]
    assert found["problems"][0]["field"].startswith("spec.rollout.analysis.templates[1]")
    assert "spec.rollout.analysis.templates[0]" in found["notChecked"]


def test_what_is_wrong_with_a_template_whatever_it_is_told(capsys, tmp_path):
    wrong = template(metrics=[{"metric": "errorRate", "fromArguments": {"points": "none"}}])
    code, (found,) = validate(capsys, tmp_path, wrong)
    assert code == 1
    assert found["problems"][0]["field"] == "spec.metrics[0].fromArguments.points"
    assert "'none' is none of spec.arguments: there are none" in found["problems"][0]["message"]


def test_what_of_a_query_tells_nothing_is_told(capsys, tmp_path):
    asked = {"name": "q", "query": 'up{a="{{arguments.b}}"}', "successCondition": "result <"}
    wrong = Case("", {"spec.queries": [asked]}, kind="ClusterAnalysisTemplate").manifest
    code, (found,) = validate(capsys, tmp_path, wrong)
    assert code == 1
    assert [problem["field"] for problem in found["problems"]] == ["spec.queries[0].query"]
    wrong["spec"]["queries"][0]["query"] = "up"
    code, (found,) = validate(capsys, tmp_path, wrong)
    assert code == 0
    [warning] = found["warnings"]
    assert warning["field"] == "spec.queries[0].successCondition"
    assert '"result <" tells nothing: the expression cannot be read' in warning["message"]


def test_a_rehearsal_goes_by_the_template_beside_it(capsys, tmp_path):
    used = deployment({"name": "house", "arguments": {"points": "0.5"}})
    used["spec"]["rollout"]["steps"] = [
        {"setWeight": 20},
        {"analyse": {"duration": "30m"}},
        {"setWeight": 100},
    ]
    files = []
    for name, document in (("d", used), ("t", ARGUED)):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(document))
    how = ("--from-stable", "--requests", "100", "--errors", "20", "--approve-after", "never")
    code, out, _ = invoke(capsys, "rehearse", *map(str, files), *how)
    assert code == 0
    assert "1.2 x stable + 0.5 points" in " ".join(out.split())
    queries = Case(
        "",
        {"spec.queries": [{"name": "q", "query": "up", "failureCondition": "result < 1.0"}]},
        kind="ClusterAnalysisTemplate",
    ).manifest
    used["spec"]["rollout"]["analysis"]["templates"].append({"name": "platform", "clusterScope": True})
    del queries["spec"]["metrics"]
    files[1].write_text(yaml.safe_dump_all([ARGUED, queries]))
    files[0].write_text(yaml.safe_dump(used))
    code, out, _ = invoke(capsys, "rehearse", *map(str, files), *how)
    assert code == 0
    assert "1.2 x stable + 0.5 points" in " ".join(out.split())
    used["spec"]["rollout"]["analysis"]["templates"] = [{"name": "platform", "clusterScope": True}]
    files[0].write_text(yaml.safe_dump(used))
    code, _, err = invoke(capsys, "rehearse", *map(str, files), *how)
    assert (code, "nothing of the templates can be rehearsed" in err) == (2, True)
    used["spec"]["rollout"]["analysis"]["templates"] = [{"name": "house"}]
    files[0].write_text(yaml.safe_dump(used))
    code, _, err = invoke(capsys, "rehearse", str(files[0]), *how)
    assert code == 2
    assert "AnalysisTemplate house does not exist" in err
    assert "mooring rehearse FILE FILE" in err


def test_nulls_that_the_api_server_leaves_out_are_left_out(capsys, tmp_path):
    """They had ended the program with a traceback, here and in what goes on with valid objects."""
    used = deployment({"name": "house", "arguments": {"points": "0.5", "more": None}}, falseRollback=None)
    asked = {"name": "q", "query": "up", "successCondition": "result < 1.0", "count": None}
    queries = Case("", {"spec.queries": [asked]}, kind="ClusterAnalysisTemplate").manifest
    code, found = validate(capsys, tmp_path, used, ARGUED, queries)
    assert code == 0
    assert not any(one["problems"] or one["warnings"] for one in found)
    files = [str(tmp_path / f"{index}.yaml") for index in range(2)]
    code, _, err = invoke(capsys, "rehearse", *files, "--first")
    assert (code, err) == (0, "")


def test_conditions_of_jobs_are_read_too(capsys, tmp_path):
    job = {"image": "example.com/team/golden:1"}
    wrong = template(queries=[{"name": "q", "job": job, "successCondition": "result <"}])
    code, (found,) = validate(capsys, tmp_path, wrong)
    assert code == 0
    assert '"result <" tells nothing: the expression cannot be read' in found["warnings"][0]["message"]


def test_a_condition_names_arguments_that_there_are(capsys, tmp_path):
    asked = {"name": "q", "query": "up", "successCondition": "result < double(arguments.most)"}
    wrong = Case("", {"spec.queries": [asked]}, kind="ClusterAnalysisTemplate").manifest
    code, (found,) = validate(capsys, tmp_path, wrong)
    assert code == 1
    [problem] = found["problems"]
    assert problem["field"] == "spec.queries[0].successCondition"
    assert problem["message"] == "arguments.most is none of spec.arguments: there are none"
    asked["successCondition"] = "result < 1.0 || 'arguments.most' == 'x'"
    wrong["spec"]["queries"] = [asked]
    assert validate(capsys, tmp_path, wrong)[0] == 0
