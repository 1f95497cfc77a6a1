"""Every row of who counts, before a real Prometheus that scrapes such a server's own page."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.api.analysis import LATENCIES
from mooring_operator.planning.analysis.looks import together
from mooring_operator.planning.analysis.queries import AnswerUnusableError
from mooring_operator.planning.analysis.sources import SOURCES

import cluster.prometheus
from tests.operator.test_metrics_prometheus import exporter

NEW, OLD = "c0ffee0001", "beef000002"
SERVICES = {NEW: "iris-rc0ffee00-predictor", OLD: "iris-rbeef0000-predictor"}
POD_OF = {NEW: "iris-rc0ffee00", OLD: "iris-rbeef0000"}


@dataclass
class Page:
    """What a target shows: texts made of how many requests there were, of which so many went wrong."""

    text: Callable[[int, int], str]
    good: int = 1
    bad: int = 1
    answers: bool = True

    def page(self) -> str:
        return self.text(self.good, self.bad)


def _triton(good, bad):
    # As tritonserver 24.05 writes them.
    return (
        "# HELP nv_inference_request_success Number of successful inference requests, all batch sizes\n"
        "# TYPE nv_inference_request_success counter\n"
        f'nv_inference_request_success{{model="iris",version="1"}} {good}\n'
        "# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes\n"
        "# TYPE nv_inference_request_failure counter\n"
        f'nv_inference_request_failure{{model="iris",reason="BACKEND",version="1"}} {bad}\n'
        'nv_inference_request_failure{model="iris",reason="REJECTED",version="1"} 0\n'
    )


def _old_triton(good, bad):
    # Before reasons: both counters have the same labels.
    return (
        f'nv_inference_request_success{{model="iris",version="1"}} {good}\n'
        f'nv_inference_request_failure{{model="iris",version="1"}} {bad}\n'
    )


def _mlserver(good, bad):
    return (
        "# HELP model_infer_request_success_total Model infer request success count\n"
        "# TYPE model_infer_request_success_total counter\n"
        f'model_infer_request_success_total{{model="iris",version="None"}} {good}.0\n'
        "# HELP model_infer_request_failure_total Model infer request failure count\n"
        "# TYPE model_infer_request_failure_total counter\n"
        f'model_infer_request_failure_total{{model="iris",version="None"}} {bad}.0\n'
    )


def _vllm(good, bad):
    of = 'engine="0",model_name="iris"'
    return (
        "# HELP http_requests_total Total number of requests by method, status and handler.\n"
        "# TYPE http_requests_total counter\n"
        f'http_requests_total{{handler="/v1/completions",method="POST",status="2xx"}} {good}.0\n'
        f'http_requests_total{{handler="/v1/completions",method="POST",status="5xx"}} {bad}.0\n'
        "# HELP vllm:e2e_request_latency_seconds Histogram of e2e request latency in seconds.\n"
        "# TYPE vllm:e2e_request_latency_seconds histogram\n"
        f'vllm:e2e_request_latency_seconds_bucket{{{of},le="0.3"}} {good}.0\n'
        f'vllm:e2e_request_latency_seconds_bucket{{{of},le="2.5"}} {good + bad}.0\n'
        f'vllm:e2e_request_latency_seconds_bucket{{{of},le="+Inf"}} {good + bad}.0\n'
        f"vllm:e2e_request_latency_seconds_count{{{of}}} {good + bad}.0\n"
        f"vllm:e2e_request_latency_seconds_sum{{{of}}} 1.5\n"
        + "".join(
            f'{name}_bucket{{{of},le="{le}"}} {count}.0\n'
            for name in ("vllm:time_to_first_token_seconds", "vllm:request_time_per_output_token_seconds")
            for le, count in (("0.3", good), ("2.5", good + bad), ("+Inf", good + bad))
        )
    )


def _kserve(good, bad):
    buckets = "".join(
        f'request_predict_seconds_bucket{{le="{le}",model_name="iris"}} {count}.0\n'
        for le, count in (("0.3", good), ("2.5", good + bad), ("+Inf", good + bad))
    )
    return f"# TYPE request_predict_seconds histogram\n{buckets}"


def _istio(revision):
    of = (
        f'destination_service_name="{SERVICES[revision]}",destination_service_namespace="ml",'
        'destination_workload="iris"'
    )

    def text(good, bad):
        # Both sides of a connection report it.
        sides = "".join(
            f'istio_requests_total{{reporter="{side}",{of},response_code="{code}"}} {count}\n'
            for side in ("source", "destination")
            for code, count in (("200", good), ("503", bad))
        )
        name = "istio_request_duration_milliseconds_bucket"
        return f"# TYPE istio_requests_total counter\n{sides}" + "".join(
            f'{name}{{reporter="destination",{of},le="{le}"}} {count}\n'
            for le, count in (("300", good), ("2500", good + bad), ("+Inf", good + bad))
        )

    return text


def _envoy_gateway(revision):
    # As Envoy 1.35 writes the statistics of a cluster that Envoy Gateway has routes share.
    of = f'envoy_cluster_name="service/ml/{SERVICES[revision]}/80/http"'
    # Of a rule, with all of its backends: not of one revision.
    of_rule = 'envoy_cluster_name="httproute/ml/iris/rule/0"'

    def text(good, bad):
        lines = ["# TYPE envoy_cluster_upstream_rq_xx counter"]
        for cluster_name, more in ((of, 0), (of_rule, 7)):
            for code, count in (("2", good), ("5", bad)):
                labels = f'envoy_response_code_class="{code}",{cluster_name}'
                lines.append(f"envoy_cluster_upstream_rq_xx{{{labels}}} {count + more}")
            for le, count in (("300", good), ("2500", good + bad), ("+Inf", good + bad)):
                lines.append(
                    f'envoy_cluster_upstream_rq_time_bucket{{{cluster_name},le="{le}"}} {count + more}'
                )
        return "\n".join(lines) + "\n"

    return text


def _knative(good, bad):
    # As Knative Serving 1.21's queue-proxy writes them; its probes are not among them.
    scope = 'otel_scope_name="knative.dev/serving/pkg/queue",otel_scope_schema_url="",otel_scope_version=""'
    name = "kn_serving_invocation_duration_seconds"
    lines = [f"# HELP {name} The duration of task execution", f"# TYPE {name} histogram"]
    for code, fast, slow in (("200", good, 0), ("503", 0, bad)):
        of = f'http_response_status_code="{code}",{scope}'
        for le, count in (("0.3", fast), ("2.5", fast + slow), ("+Inf", fast + slow)):
            lines.append(f'{name}_bucket{{{of},le="{le}"}} {count}')
        lines += [f"{name}_sum{{{of}}} 1.5", f"{name}_count{{{of}}} {fast + slow}"]
    return "\n".join(lines) + "\n"


PAGES = {
    "Triton": lambda revision: _triton,
    "Triton of old": lambda revision: _old_triton,
    "MLServer": lambda revision: _mlserver,
    "VLLM": lambda revision: _vllm,
    "KServe": lambda revision: _kserve,
    "Knative": lambda revision: _knative,
    "Istio": _istio,
    "EnvoyGateway": _envoy_gateway,
}
GATEWAYS = {"Istio": "istio-system", "EnvoyGateway": "envoy-gateway-system"}
"""Where the pods of gateways are, whose pages no pod of a model shows."""


@contextmanager
def scraped(folder, name):
    """Both revisions' pages, and the address of a Prometheus that scrapes them with a PodMonitor's labels."""
    pages = {revision: Page(PAGES[name](revision)) for revision in (NEW, OLD)}
    with ExitStack() as stack:
        targets = []
        for revision, page in pages.items():
            port = stack.enter_context(exporter(page))
            labels = {"namespace": "ml", "revision": revision, "inferenceservice": POD_OF[revision]}
            of = {"namespace": GATEWAYS[name]} if name in GATEWAYS else labels
            targets.append({"targets": [f"127.0.0.1:{port}"], "labels": of})
        if name not in GATEWAYS:
            # Another deployment's pods in the same namespace, with the same revision.
            pages["other"] = Page(PAGES[name](NEW))
            port = stack.enter_context(exporter(pages["other"]))
            labels = {"namespace": "ml", "revision": NEW, "inferenceservice": "other-rc0ffee00"}
            targets.append({"targets": [f"127.0.0.1:{port}"], "labels": labels})
        often = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
        jobs = [{"job_name": "models", "static_configs": targets}]
        configuration = {"global": often, "scrape_configs": jobs}
        yield pages, stack.enter_context(cluster.prometheus.Prometheus(configuration, folder))


async def until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.05)


def up(server, at):
    found = httpx.get(f"{server.url}/api/v1/query", params={"query": "sum(up)", "time": at}).json()
    return float(found["data"]["result"][0]["value"][1]) if found["data"]["result"] else 0.0


@pytest.mark.parametrize("name", PAGES)
async def test_what_each_counts_is_counted(tmp_path, name):
    source = SOURCES[name.partition(" ")[0]]
    with scraped(tmp_path, name) as (pages, server):
        await until(lambda: up(server, time.time() - 1) == len(pages))
        since = datetime.now(UTC).replace(microsecond=0)
        pages[NEW].good, pages[NEW].bad = 61, 31
        pages[OLD].good, pages[OLD].bad = 101, 11
        if "other" in pages:
            pages["other"].good, pages["other"].bad = 5001, 5001
        changed = time.time()
        await until(lambda: time.time() > changed + 2)
        end = since + timedelta(seconds=4)
        metrics = Prometheus(Access(server.url))
        for metric, counted in source.counts.items():
            question = source.question(metric, "ml", "iris", SERVICES, 4)
            if metric in LATENCIES:
                found = await metrics.histograms(question, since, end)
                found = {revision: together(known) for revision, known in found.items()}
                assert {r: (h.total, h.above[h.bounds.index(0.3)]) for r, h in found.items()} == {
                    NEW: (90, 30),
                    OLD: (110, 10),
                }
                continue
            events, requests = await metrics.counts(question, since, end)
            assert {revision: sum(known.values()) for revision, known in requests.items()} == {
                NEW: 90,
                OLD: 110,
            }
            wrong = {revision: sum(known.values()) for revision, known in events.items()}
            assert wrong == ({NEW: 30, OLD: 10} if metric == "errorRate" else {}), counted
        await metrics.close()


@pytest.mark.parametrize(
    ("name", "metric"), [("Triton", "latency"), ("KServe", "errorRate"), ("MLServer", "latency")]
)
def test_what_it_does_not_count_names_who_does(name, metric):
    with pytest.raises(
        AnswerUnusableError,
        match=rf"{name} does not count it: .*write source: Contour, EnvoyGateway or Istio",
    ):
        SOURCES[name].question(metric, "ml", "iris", SERVICES, 10)
