"""What the operator says about itself: metrics, logs, probes, and settings that make no sense."""

import asyncio
import io
import json
import logging

import aiohttp
import pytest
from mooring_operator.adapters.cluster import Conflict
from mooring_operator.runtime import logs
from mooring_operator.runtime.health import MOST_CONNECTIONS, HealthServer, overdue
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key
from mooring_operator.settings import read_settings

KEY = Key("ModelDeployment", "ns", "a")


def value(telemetry, name, **labels):
    telemetry.exposition()
    return telemetry.registry.get_sample_value(name, labels)


def test_reconciles_are_counted_by_result():
    telemetry = Telemetry()
    with telemetry.reconcile("X"):
        pass
    for error in (Conflict("c"), RuntimeError("r")):
        with pytest.raises(type(error)), telemetry.reconcile("X"):
            raise error
    for result in ("success", "conflict", "error"):
        assert value(telemetry, "mooring_reconciles_total", kind="X", result=result) == 1
    assert value(telemetry, "mooring_reconcile_errors_total", kind="X", reason="RuntimeError") == 1
    assert value(telemetry, "mooring_reconcile_duration_seconds_count", kind="X") == 3


def test_resources_move_between_phases_and_leave():
    telemetry = Telemetry()
    telemetry.saw("X", "ns", "a", {"phase": "Testing"})
    telemetry.saw("X", "ns", "b", {"phase": "Testing"})
    assert value(telemetry, "mooring_resources", kind="X", phase="Testing") == 2
    telemetry.saw("X", "ns", "a", {"phase": "Promoted"})
    telemetry.saw("X", "ns", "b", None)
    assert value(telemetry, "mooring_resources", kind="X", phase="Testing") == 0
    assert value(telemetry, "mooring_resources", kind="X", phase="Promoted") == 1
    telemetry.saw_all("X", [])
    assert value(telemetry, "mooring_resources", kind="X", phase="Promoted") == 0


@pytest.fixture
def stream():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    root.handlers, root.level = handlers, level


def test_json_logs_name_the_resource(stream):
    logs.configure("info", "json", stream)
    token = logs.current_resource.set(str(KEY))
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("mooring.x").exception("it %s", "broke")
    logs.current_resource.reset(token)
    logging.getLogger("kopf.objects").info("chatter")
    logging.getLogger("mooring.x").info("done")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "it broke"
    assert (first["level"], first["logger"]) == ("error", "mooring.x")
    assert first["resource"] == "ModelDeployment/ns/a"
    assert "ZeroDivisionError" in first["exception"]
    assert first["time"].endswith("+00:00")
    assert "resource" not in second


def test_text_logs_are_lines(stream):
    logs.configure("debug", "text", stream)
    logging.getLogger("mooring.x").debug("hello")
    assert stream.getvalue().rstrip().endswith("mooring.x  hello")


async def test_probes_and_metrics_are_served():
    held, problem = [0.0], ["not yet"]
    server = HealthServer(Telemetry(), healthy=overdue(lambda: held[0], limit=60), ready=lambda: problem[0])
    port = await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

            async def get(path):
                async with session.get(path) as response:
                    return response.status, await response.text()

            assert await get("/healthz") == (200, "ok\n")
            assert await get("/readyz") == (503, "not yet\n")
            held[0], problem[0] = 61.0, None
            assert await get("/healthz") == (503, "a worker has been at work for 61 s\n")
            assert (await get("/readyz"))[0] == 200
            assert "mooring_reconciles" in (await get("/metrics"))[1]
    finally:
        await server.stop()


async def test_connections_that_say_nothing_keep_no_probe_out():
    server = HealthServer(Telemetry(), healthy=lambda: None, ready=lambda: None)
    port = await server.start("127.0.0.1", 0)
    number, idle = 3 * MOST_CONNECTIONS, []
    try:
        for _ in range(number):
            idle.append(await asyncio.open_connection("127.0.0.1", port))
        async with (
            asyncio.timeout(5),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
            session.get("/healthz") as response,
        ):
            assert response.status == 200
        oldest = idle[: number - MOST_CONNECTIONS]
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*(reader.read() for reader, _ in oldest), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in ended)
    finally:
        for _, writer in idle:
            writer.transport.abort()
        await server.stop()


async def test_metrics_take_a_tenth_of_the_time_however_many_ask(monkeypatch):
    telemetry, made, now = Telemetry(), [], 100.0

    def expose():
        nonlocal now
        made.append(now)
        now += 0.5
        return b"metrics"

    monkeypatch.setattr(telemetry, "exposition", expose)
    server = HealthServer(telemetry, healthy=lambda: None, ready=lambda: None, clock=lambda: now)
    port = await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for pause in (*[0.0] * 20, 4.4, 0.2):
                now += pause
                async with session.get("/metrics") as response:
                    assert await response.read() == b"metrics"
    finally:
        await server.stop()
    assert made == [100.0, pytest.approx(105.1)]


@pytest.mark.parametrize(
    ("variable", "bad", "allowed"),
    [
        ("WORKERS", "0", "a whole number from 1 to 256"),
        ("WORKERS", "many", "a whole number from 1 to 256"),
        ("RECONCILE_DEADLINE", "4.9", "seconds from 5 to 3600"),
        ("NAMESPACES", "good,Bad_", "a comma-separated list of namespaces"),
        ("NAMESPACES", "grün", "a comma-separated list of namespaces"),
        ("NAMESPACES", "-a", "a comma-separated list of namespaces"),
        ("LEASE_NAME", "../x", "a Kubernetes name"),
        ("HEALTH_PORT", "70000", "a port from 0 (any) to 65535"),
        ("LEADER_ELECTION", "maybe", "true or false"),
        ("LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("LOG_FORMAT", "xml", "json or text"),
        ("KUBECONFIG", "/does/not/exist", "the path of a readable file"),
        ("ARTIFACT_ROOT", "bucket", "a URI such as s3://bucket/mooring"),
        ("KFP_ENDPOINT", "kfp:8888", "an http:// or https:// address"),
        ("KFP_UI_URL", "http://" + "a" * 506, "an http:// or https:// address of 512 characters at most"),
        *(
            (
                "DEFAULT_RUNTIMES",
                bad,
                "a comma-separated list of FORMAT=RUNTIME, such as onnx=mooring-inference",
            )
            for bad in ("onnx", "onnx=a=b", "onnx=", "=a", "onnx=a,onnx=b", "onnx=../a", "../x=a", "onnx=A")
        ),
    ],
)
def test_bad_setting_is_one_line_and_exit_code_2(monkeypatch, capsys, variable, bad, allowed):
    monkeypatch.setenv(f"MOORING_{variable}", bad)
    with pytest.raises(SystemExit) as exit:
        read_settings()
    assert exit.value.code == 2
    assert capsys.readouterr().err == f"mooring-operator: MOORING_{variable}={bad!r}: must be {allowed}\n"


def test_every_problem_is_named(monkeypatch, capsys):
    monkeypatch.setenv("MOORING_WORKERS", "x")
    monkeypatch.setenv("MOORING_LOG_FORMAT", "x")
    with pytest.raises(SystemExit):
        read_settings()
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_good_settings_are_read(monkeypatch):
    monkeypatch.setenv("MOORING_NAMESPACES", "a, b,")
    monkeypatch.setenv("MOORING_LOG_LEVEL", "WARNING")
    monkeypatch.setenv("MOORING_KFP_ENDPOINT", "")
    monkeypatch.setenv("POD_NAMESPACE", "mooring-system")
    monkeypatch.setenv("MOORING_DEFAULT_RUNTIMES", "onnx=mooring-inference, mlflow = kserve-mlserver,")
    settings = read_settings()
    assert settings.namespaces == ("a", "b")
    assert settings.log_level == "warning"
    assert settings.kfp_endpoint is None
    assert settings.lease_namespace == "mooring-system"
    assert settings.leader_election
    assert settings.default_runtimes == {"onnx": "mooring-inference", "mlflow": "kserve-mlserver"}
