"""Who counts what revisions answer: for each runtime, and each gateway in front of one, its counters and histograms.

A row says what Prometheus has of it, by its own documentation and source: our docs/serving-reference.md; Triton's
docs/user_guide/metrics.md; MLServer's handlers/dataplane.py; vLLM's metrics, and prometheus-fastapi-instrumentator, by
which it counts HTTP; KServe's python/kserve/kserve/metrics.py; Envoy's cluster statistics, under the names that Contour
gives clusters (NAMESPACE_SERVICE_PORT), and Envoy Gateway those that its EnvoyProxy's mergeBackends has routes share
(service/NAMESPACE/SERVICE/PORT/PROTOCOL, since 1.9; else one cluster has all backends of a rule); Istio's standard
metrics; the page of Knative's queue-proxy, as it runs since Knative Serving 1.19 with request-metrics-protocol:
prometheus.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from mooring_operator.api.analysis import SourceName
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning import identity
from mooring_operator.planning.analysis.queries import (
    LATENCY,
    PREDICTIONS,
    RATES,
    AnswerUnusableError,
    Latency,
    Pods,
    Predictions,
    Question,
    Rate,
    quoted,
)


@dataclass(frozen=True)
class Source:
    """One that counts.

    counts: what it has, by the metric that specs name. lacks: why it has not the others, and what to do.
    of: whether its series are of pods, or of the Service that a revision has behind a gateway, which `named` writes as
    the gateway does. needs: what its users have to see to, before it counts by revision.
    port: where a pod shows them. in_front: whether it counts for any runtime, in front of it.
    """

    name: SourceName
    counts: Mapping[str, Rate | Latency | Predictions]
    lacks: str
    of: Literal["Model", "Pods", "Services"] = "Pods"
    matchers: str = ""
    port: int = 8080
    in_front: bool = False
    named: str = "{service}"
    needs: str = "the labels that docs/analysis.md names"

    def question(
        self, metric: str, namespace: str, name: str, revisions: Mapping[str, str], every_s: int
    ) -> Question:
        """Ask for a metric of a deployment's revisions; `revisions` has the Service of each.

        Raises:
            AnswerUnusableError: it does not count that.
        """
        if metric == "predictionDrift" and self.name != "Mooring":
            return self._predictions(namespace, name, revisions, every_s)
        if metric in _OF_TOKENS and metric not in self.counts:
            raise AnswerUnusableError(
                f"{self.name} does not count it: vLLM knows its tokens; write source: VLLM where that serves"
            )
        if metric not in self.counts:
            raise AnswerUnusableError(f"{self.name} does not count it: {self.lacks}")
        values = tuple(self._value(namespace, one, service) for one, service in revisions.items())
        return Question(
            self.counts[metric],
            tuple(revisions),
            self._matchers(namespace, name),
            every_s,
            values=values,
            pods=self._pods(namespace, name),
        )

    def _predictions(self, namespace: str, name: str, revisions: Mapping[str, str], every_s: int) -> Question:
        """Ask the runtime for what it predicts, whoever counts all else; who is in front reads no answers."""
        if not self.in_front:
            raise AnswerUnusableError(
                f"{self.name} does not count what is predicted: the Mooring runtime does; count predictions yourself, "
                "and compare them by the rates of a template"
            )
        return SOURCES["Mooring"].question("predictionDrift", namespace, name, revisions, every_s)

    def _pods(self, namespace: str, name: str) -> Pods | None:
        if self.of == "Services":
            return None
        return Pods(namespace, name, self.port, name if self.of == "Model" else "")

    def _value(self, namespace: str, revision: str, service: str) -> str:
        if self.of != "Services":
            return revision
        return self.named.format(namespace=namespace, service=service)

    def _matchers(self, namespace: str, name: str) -> tuple[str, ...]:
        # The namespace is that of the object: nobody counts what others answered.
        match self.of:
            case "Model":
                return (f"namespace={quoted(namespace)}", f"model={quoted(name)}")
            case "Pods":
                return (f"namespace={quoted(namespace)}", f'inferenceservice=~"{name}(-r[0-9a-f]{{8}})?"')
            case "Services":
                of_namespace = f"destination_service_namespace={quoted(namespace)}"
                return (self.matchers, of_namespace) if self.name == "Istio" else ()


_OF_TOKENS = ("firstToken", "tokenTime")
_IN_FRONT = "write source: Contour, EnvoyGateway or Istio, or Knative in its mode"
_NO_HISTOGRAM = f"it has no histogram of how long requests take; a gateway has: {_IN_FRONT}"
_INVOCATIONS = "kn_serving_invocation_duration_seconds"
_GATEWAY = f"a gateway does: {_IN_FRONT}"
_OF_ENVOY: Mapping[str, Rate | Latency] = {
    "errorRate": Rate("envoy_cluster_upstream_rq_xx", 'envoy_response_code_class="5"', "envoy_cluster_name"),
    "rejectedRate": Rate(
        "envoy_cluster_upstream_rq_xx", 'envoy_response_code_class="4"', "envoy_cluster_name"
    ),
    "latency": Latency("envoy_cluster_upstream_rq_time_bucket", "envoy_cluster_name", 0.001),
}
"""Statistics of clusters, whoever names them."""

SOURCES: Mapping[SourceName, Source] = {
    source.name: source
    for source in (
        Source("Mooring", {**RATES, "latency": LATENCY, "predictionDrift": PREDICTIONS}, "", of="Model"),
        Source(
            "Triton",
            {"errorRate": Rate("nv_inference_request_success", "", failures="nv_inference_request_failure")},
            f"it counts successes and failures alone; {_GATEWAY}",
            port=8002,
        ),
        Source(
            "MLServer",
            {
                "errorRate": Rate(
                    "model_infer_request_success_total", "", failures="model_infer_request_failure_total"
                )
            },
            f"it counts successes and failures alone; {_GATEWAY}",
            port=8082,
        ),
        Source(
            "VLLM",
            {
                "errorRate": Rate("http_requests_total", 'status="5xx"'),
                "rejectedRate": Rate("http_requests_total", 'status="4xx"'),
                "latency": Latency("vllm:e2e_request_latency_seconds_bucket"),
                "firstToken": Latency("vllm:time_to_first_token_seconds_bucket"),
                # A mean of each request. vllm:inter_token_latency_seconds has thousands of a single request, which
                # are no evidence of their own.
                "tokenTime": Latency("vllm:request_time_per_output_token_seconds_bucket"),
            },
            "",
        ),
        Source(
            "KServe",
            {"latency": Latency("request_predict_seconds_bucket")},
            f"KServe's Python servers say how long predictions take, and count no errors; {_GATEWAY}",
        ),
        Source(
            "Contour",
            _OF_ENVOY,
            "",
            of="Services",
            in_front=True,
            named="{namespace}_{service}_80",
        ),
        Source(
            "EnvoyGateway",
            _OF_ENVOY,
            "",
            of="Services",
            in_front=True,
            named="service/{namespace}/{service}/80/http",
            needs="mergeBackends in its EnvoyProxy and no sticky callers, for each Service to have its cluster",
        ),
        Source(
            "Istio",
            {
                "errorRate": Rate("istio_requests_total", 'response_code=~"5.."', "destination_service_name"),
                "rejectedRate": Rate(
                    "istio_requests_total", 'response_code=~"4.."', "destination_service_name"
                ),
                "latency": Latency(
                    "istio_request_duration_milliseconds_bucket", "destination_service_name", 0.001
                ),
            },
            "",
            of="Services",
            in_front=True,
            matchers='reporter="destination"',
        ),
        Source(
            "Knative",
            {
                "errorRate": Rate(f"{_INVOCATIONS}_count", 'http_response_status_code=~"5.."'),
                "rejectedRate": Rate(f"{_INVOCATIONS}_count", 'http_response_status_code=~"4.."'),
                "latency": Latency(f"{_INVOCATIONS}_bucket"),
            },
            "",
            port=9091,
            in_front=True,
        ),
    )
}
assert {"Auto", *SOURCES} == set(get_args(SourceName))

_RUNTIMES: tuple[tuple[re.Pattern[str], SourceName], ...] = (
    (re.compile("mooring"), "Mooring"),
    (re.compile("triton"), "Triton"),
    (re.compile("mlserver"), "MLServer"),
    (re.compile("vllm"), "VLLM"),
    (re.compile(r"(sklearn|xgb|lgb|pmml|paddle|predictive|huggingface)-?server"), "KServe"),
)
"""How runtimes are told apart: by their server's type, images and names."""


@dataclass(frozen=True)
class Choice:
    """Who counts; or why that is not known."""

    source: Source = field(default=SOURCES["Mooring"])
    problem: str = ""


def choose(asked: SourceName, revision: Revision | None, runtime: str | None) -> Choice:
    """Give who counts what a revision answers: who is asked for, or else its runtime, or that which its spec names."""
    if asked != "Auto":
        return Choice(SOURCES[asked])
    pinned = revision.runtime if revision is not None else None
    if pinned is None and not runtime:
        return Choice()
    words = [runtime or ""]
    if pinned is not None:
        words = [pinned.server_type, *_images(pinned), pinned.name]
    for word in words:
        known = next((name for pattern, name in _RUNTIMES if pattern.search(word)), None)
        if known is not None:
            return Choice(SOURCES[known])
    return Choice(
        problem=f"spec.rollout.analysis.source: what runtime {pinned.name if pinned else runtime} counts is not known; "
        f"write one of {', '.join(SOURCES)}: a gateway counts for any runtime"
    )


def choose_for_both(asked: SourceName, revisions: Sequence[Revision | None], runtime: str | None) -> Choice:
    """Give who counts what two revisions answer: what is counted in two ways is not compared."""
    first, second = (choose(asked, revision, runtime) for revision in revisions)
    if first.problem or second.problem:
        return first if first.problem else second
    if first.source.name != second.source.name:
        return Choice(
            problem=f"spec.rollout.analysis.source: the new revision runs on {first.source.name}, the stable one on "
            f"{second.source.name}, which count differently; {_IN_FRONT}"
        )
    return first


def _images(runtime: PinnedRuntime) -> list[str]:
    containers = runtime.spec.get("containers")
    listed = containers if isinstance(containers, list) else []
    return [str(container.get("image", "")) for container in listed if isinstance(container, dict)]


def service_of(name: str, revision: Revision, *, transformed: bool) -> str:
    """Give the Service that a revision has behind a gateway."""
    adopted = revision.adopted_service
    served = (
        adopted.name
        if adopted is not None
        else f"{name}-{revision.workload or identity.workload_name(revision.revision)}"
    )
    return f"{served}-{'transformer' if transformed else 'predictor'}"
