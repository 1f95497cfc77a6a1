"""Hold the server's API to the published client of Kubeflow Pipelines."""

import base64
import json

import kfp_server_api as kfp
import pytest
import urllib3

from tests.operator.test_kfp_server import Server, compiled, greeting, holding, refusal


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("kfp")).start()
    yield server
    server.stop()


def test_a_version_is_uploaded_once_and_its_name_is_taken_then(server):
    path, spec = compiled(greeting)
    pipeline = server.pipelines.pipeline_service_create_pipeline(
        kfp.V2beta1Pipeline(display_name="by-version")
    )
    upload = {"name": "by-version-1", "pipelineid": pipeline.pipeline_id}
    version = server.uploads.upload_pipeline_version(path, **upload)
    assert version.pipeline_spec == spec
    status, body = refusal(server.uploads.upload_pipeline_version, path, **upload)
    assert status == 409
    assert "already exists" in body["error_message"]
    reference = kfp.V2beta1PipelineVersionReference(
        pipeline_id=pipeline.pipeline_id, pipeline_version_id=version.pipeline_version_id
    )
    run = kfp.V2beta1Run(display_name="by reference", pipeline_version_reference=reference)
    created = server.runs.run_service_create_run(run)
    assert created.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    server.wait_state(created.run_id, "SUCCEEDED")


def test_an_uploaded_pipeline_is_found_by_name_and_has_a_version(server):
    created = server.uploads.upload_pipeline(compiled(greeting)[0], name="by-upload")
    found = server.pipelines.pipeline_service_get_pipeline_by_name("by-upload")
    assert found.pipeline_id == created.pipeline_id
    page = server.pipelines.pipeline_service_list_pipeline_versions(created.pipeline_id)
    assert [version.name for version in page.pipeline_versions] == ["by-upload"]
    assert refusal(server.uploads.upload_pipeline, compiled(greeting)[0], name="by-upload")[0] == 409


def test_runs_are_listed_in_pages_and_filtered_by_name_and_state(server):
    experiment = server.experiments.experiment_service_create_experiment(
        kfp.V2beta1Experiment(display_name="pages")
    )
    ids = []
    for name in ("one", "two", "three"):
        run = kfp.V2beta1Run(
            display_name=name, pipeline_spec=compiled(greeting)[1], experiment_id=experiment.experiment_id
        )
        ids.append(server.runs.run_service_create_run(run, experiment_id=experiment.experiment_id).run_id)
    for run_id in ids:
        server.wait_state(run_id, "SUCCEEDED")
    scope = {"experiment_id": experiment.experiment_id}
    first = server.runs.run_service_list_runs(page_size=2, sort_by="created_at desc", **scope)
    token = first.next_page_token
    second = server.runs.run_service_list_runs(
        page_size=2, sort_by="created_at desc", page_token=token, **scope
    )
    listed = first.runs + second.runs
    # Of one second, the one with the larger id comes first.
    assert listed == sorted(listed, key=lambda run: (run.created_at, run.run_id), reverse=True)
    assert sorted(run.run_id for run in listed) == sorted(ids)
    assert json.loads(base64.b64decode(token))["KeyFieldValue"] == first.runs[-1].run_id
    assert (first.total_size, second.next_page_token) == (3, None)
    predicates = [
        {"key": "name", "operation": "EQUALS", "string_value": "two"},
        {"key": "state", "operation": "IN", "string_values": {"values": ["SUCCEEDED", "FAILED"]}},
    ]
    found = server.runs.run_service_list_runs(filter=json.dumps({"predicates": predicates}), **scope)
    assert [run.run_id for run in found.runs] == [ids[1]]


def test_runs_can_be_archived_and_deleted(server):
    run_id = server.create(compiled(greeting)[1])
    server.wait_state(run_id, "SUCCEEDED")
    server.runs.run_service_archive_run(run_id)
    assert server.runs.run_service_get_run(run_id).storage_state == "ARCHIVED"
    server.runs.run_service_delete_run(run_id)
    status, body = refusal(server.runs.run_service_get_run, run_id)
    assert (status, body["code"], body["message"]) == (404, 5, f"Run {run_id} not found")
    assert body["details"][0]["message"] == body["error"] == body["message"]


@pytest.mark.parametrize(
    ("spec", "parameters", "message"),
    [
        (
            holding,
            {},
            "parameter path is not optional, yet has neither default value nor user provided value",
        ),
        (greeting, {"name": 3}, "input parameter name requires type string"),
        (greeting, {"nme": "x"}, "parameter(s) provided are not required by pipeline: nme"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(server, spec, parameters, message):
    status, body = refusal(server.create, compiled(spec)[1], **parameters)
    assert (status, body["code"]) == (400, 3)
    assert message in body["message"]


def test_bad_requests_are_refused_with_what_is_allowed(server, tmp_path):
    create = server.runs.run_service_create_run
    assert refusal(server.create, {"pipelineInfo": {"name": "x"}})[0] == 500
    assert refusal(server.create, compiled(greeting)[1], "../../etc")[0] == 500
    assert refusal(create, kfp.V2beta1Run(display_name="no source"))[0] == 500
    assert refusal(create, kfp.V2beta1Run(pipeline_spec=compiled(greeting)[1]))[0] == 400
    assert refusal(server.runs.run_service_list_runs, page_token="!")[0] == 400
    assert refusal(server.runs.run_service_list_runs, sort_by="name")[0] == 400
    (tmp_path / "bad.yaml").write_text("a: [")
    assert refusal(server.uploads.upload_pipeline, str(tmp_path / "bad.yaml"))[0] == 400


def raw(server, method, path, body=None, content_type="application/json"):
    """(status, JSON) of a request as it is."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    answer = urllib3.request(
        method, f"{server.host}/apis/v2beta1/{path}", body=content, headers={"Content-Type": content_type}
    )
    return answer.status, json.loads(answer.data or b"{}")


def uploaded(server, name, content=b"x", file="pipeline.yaml"):
    body, kind = urllib3.encode_multipart_formdata({"uploadfile": (file, content)})
    return raw(server, "POST", f"pipelines/upload?name={name}", body, kind)[0]


def test_failures_of_the_real_backend_are_failures_here_and_told_in_the_message(server):
    spec = compiled(greeting)[1]
    for run in (
        {"display_name": "x" * 256, "pipeline_spec": spec},
        {"display_name": "\N{ROCKET}", "pipeline_spec": spec},
        {"display_name": "x", "pipeline_version_reference": {"pipeline_version_id": "gone"}},
    ):
        status, body = raw(server, "POST", "runs", run)
        assert (status, body["code"], body["details"][0]["message"]) == (500, 13, "Internal Server Error")
        assert body["message"] not in ("", "Internal Server Error")
    run = {"display_name": "x", "pipeline_spec": spec}
    assert raw(server, "POST", "runs?experiment_id=gone", run)[0] == 404
    assert raw(server, "POST", "pipelines", {"display_name": "x" * 129})[0] == 500
    assert raw(server, "GET", "pipelines/gone/versions")[0] == 404


def test_requests_of_another_form_are_answered_as_the_real_backend_does(server):
    assert raw(server, "POST", "runs", {"display_name": "x", "labels": {}})[0] == 400
    assert raw(server, "POST", "experiments", {"displayName": "camel"})[0] == 200
    assert raw(server, "PUT", "runs")[0] == 501
    assert (uploaded(server, "empty", b""), uploaded(server, "text", file="pipeline.txt")) == (500, 400)


def test_names_differ_by_more_than_case(server):
    assert raw(server, "POST", "experiments", {"display_name": "Cased"})[0] == 200
    assert raw(server, "POST", "experiments", {"display_name": "cased"})[0] == 409
    predicate = {"key": "name", "operation": "EQUALS", "string_value": "CASED"}
    found = server.experiments.experiment_service_list_experiments(
        filter=json.dumps({"predicates": [predicate]}), namespace="dropped"
    )
    assert [e.display_name for e in found.experiments] == ["Cased"]
    assert raw(server, "POST", "pipelines", {"display_name": "Piped", "namespace": "dropped"})[0] == 200
    found = server.pipelines.pipeline_service_get_pipeline_by_name("piped")
    assert (found.name, found.namespace) == ("Piped", None)


def test_a_pipeline_with_versions_goes_only_with_them(server):
    pipeline = server.uploads.upload_pipeline(compiled(greeting)[0], name="cascade")
    path = f"pipelines/{pipeline.pipeline_id}"
    assert raw(server, "DELETE", path)[0] == 400
    assert raw(server, "DELETE", f"{path}?cascade=true")[0] == 200
    assert raw(server, "GET", path)[0] == 404
