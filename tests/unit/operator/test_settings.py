"""Where runs run, as the settings say it, and what is refused."""

import pytest
from mooring_operator.settings import read_settings

ROOT = "s3://mooring/artifacts"
KFP = "http://ml-pipeline.kubeflow:8888"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("METRICS", "PROMETHEUS_URL", "PIPELINES", "KFP_ENDPOINT", "ARTIFACT_ROOT", "KFP_MULTI_USER"):
        monkeypatch.delenv(f"MOORING_{name}", raising=False)


@pytest.mark.parametrize(
    ("values", "backend"),
    [
        ({}, "None"),
        ({"artifact_root": ROOT}, "Jobs"),
        ({"artifact_root": ROOT, "kfp_endpoint": KFP}, "KFP"),
        ({"artifact_root": ROOT, "kfp_endpoint": KFP, "pipelines": "Jobs"}, "Jobs"),
        ({"artifact_root": ROOT, "pipelines": "None"}, "None"),
        ({"artifact_root": "file:///tmp/x", "kfp_endpoint": KFP}, "KFP"),
        ({"artifact_root": "gs://bucket", "pipelines": "Jobs"}, "Jobs"),
    ],
)
def test_where_runs_run(values, backend):
    assert read_settings(values).backend == backend


@pytest.mark.parametrize(
    ("values", "by_whom"),
    [
        ({}, "Pods"),
        ({"prometheus_url": "http://prometheus:9090"}, "Prometheus"),
        ({"prometheus_url": "http://prometheus:9090", "metrics": "Pods"}, "Pods"),
        ({"metrics": "None"}, "None"),
    ],
)
def test_who_is_asked_what_revisions_counted(values, by_whom):
    assert read_settings(values).counted_by == by_whom


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pipelines": "KFP", "artifact_root": ROOT}, "MOORING_PIPELINES=KFP needs MOORING_KFP_ENDPOINT"),
        ({"pipelines": "Jobs"}, "MOORING_PIPELINES=Jobs needs MOORING_ARTIFACT_ROOT"),
        ({"kfp_endpoint": KFP}, "MOORING_PIPELINES=KFP needs MOORING_ARTIFACT_ROOT"),
        ({"artifact_root": "file:///tmp/x"}, "no Job can write to the operator's disk"),
        (
            {"artifact_root": ROOT, "kfp_multi_user": True},
            "MOORING_KFP_MULTI_USER=true needs MOORING_PIPELINES=KFP",
        ),
        ({"artifact_root": "ftp://x/y"}, "MOORING_ARTIFACT_ROOT='ftp://x/y': must be a URI such as"),
        ({"artifact_root": "s3://b/../x"}, "MOORING_ARTIFACT_ROOT='s3://b/../x': must be"),
        ({"pipelines": "argo"}, "MOORING_PIPELINES='argo': must be Jobs, KFP or None"),
        ({"metrics": "Prometheus"}, "MOORING_METRICS=Prometheus needs MOORING_PROMETHEUS_URL"),
        ({"metrics": "graphite"}, "MOORING_METRICS='graphite': must be Prometheus, Pods or None"),
        ({"run_longest": 10}, "MOORING_RUN_LONGEST='10': must be seconds from 60"),
        ({"runs_per_namespace": 0}, "MOORING_RUNS_PER_NAMESPACE='0': must be a whole number"),
        (
            {"run_namespaces": "runs"},
            "MOORING_RUN_NAMESPACES='runs': must be the name of a namespace with {namespace}",
        ),
        ({"run_namespaces": "../{namespace}"}, "must be the name of a namespace with {namespace}"),
        ({"run_namespaces": "{namespace}-{namespace}"}, "must be the name of a namespace with {namespace}"),
        (
            {"artifact_root": ROOT, "kfp_endpoint": KFP, "run_namespaces": "{namespace}-runs"},
            "MOORING_RUN_NAMESPACES='{namespace}-runs' needs MOORING_KFP_MULTI_USER=true",
        ),
        (
            {"staging_root": "s3://models/staged"},
            "MOORING_STAGING_ROOT='s3://models/staged': must be an address",
        ),
        ({"staging_root": "s3://b/{namespace}/../x"}, "must be an address with {namespace} in it"),
        (
            {"artifact_root": ROOT, "staging_root": "file:///models/{namespace}"},
            "nothing serves what a Job writes to its own disk",
        ),
        ({"run_memory": "lots"}, "MOORING_RUN_MEMORY='lots': must be a quantity"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(values, said, capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(values)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"prometheus_url": "prometheus:9090"},
            "MOORING_PROMETHEUS_URL='prometheus:9090': must be an http://",
        ),
        ({"prometheus_url": "http://[::1"}, "MOORING_PROMETHEUS_URL='http://[::1': must be an http://"),
        ({"prometheus_url": "http://h:none"}, "MOORING_PROMETHEUS_URL='http://h:none': must be an http://"),
        ({"prometheus_url": "http://h:99999"}, "MOORING_PROMETHEUS_URL='http://h:99999': must be an http://"),
        ({"prometheus_interval": 0}, "MOORING_PROMETHEUS_INTERVAL='0': must be whole seconds from 1 to 3600"),
        ({"prometheus_interval": 1.5}, "MOORING_PROMETHEUS_INTERVAL='1.5': must be whole seconds"),
        ({"prometheus_lag": -1}, "MOORING_PROMETHEUS_LAG='-1': must be whole seconds from 0 to 600"),
        (
            {"prometheus_token_file": "/no/such/file"},
            "MOORING_PROMETHEUS_TOKEN_FILE='/no/such/file': must be the path",
        ),
        (
            {"prometheus_ca_file": "/no/such/file"},
            "MOORING_PROMETHEUS_CA_FILE='/no/such/file': must be the path",
        ),
    ],
)
def test_how_prometheus_is_reached(values, said, capsys):
    with pytest.raises(SystemExit):
        read_settings(values)
    assert said in capsys.readouterr().err


def test_certificates_that_are_none_are_said_before_the_first_question(tmp_path, capsys):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(SystemExit):
        read_settings({"prometheus_ca_file": str(tmp_path / "ca.pem")})
    assert "MOORING_PROMETHEUS_CA_FILE=" in capsys.readouterr().err
