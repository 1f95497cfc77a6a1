"""The command ``mooring-inference collect``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from time import perf_counter

from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.access.memory_budget import MemoryBudget, default_budget, parsing_limit
from mooring_inference.capture import Capture, CaptureSettings, CaptureSettingsError, parse_capture
from mooring_inference.capture.table import CAPTURE
from mooring_inference.collect.collector import Collector, CollectSettings
from mooring_inference.collect.front import CollectFront, MetricsFront
from mooring_inference.collect.metrics import CollectMetrics
from mooring_inference.collect.table import GROUPS
from mooring_inference.draining import until_drained
from mooring_inference.flags.complaints import complain
from mooring_inference.flags.parser import make_parser, underscored
from mooring_inference.observability.logs import configure_logging, report_suppressed
from mooring_inference.rest.http_server.limits import HttpLimits
from mooring_inference.rest.http_server.listener import HttpServer, listen
from mooring_inference.rest.probes import PROBE_LIMITS

_PROG = "mooring-inference collect"
_LOOK_SECONDS = 1.0
_REPORT_SECONDS = 10.0
log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Collect until SIGTERM.

    Returns:
        0 after a clean stop; 1 after an error; 2 for wrong usage.
    """
    parser = make_parser(
        _PROG,
        GROUPS,
        os.environ,
        usage=f"{_PROG} --capture_uri URI [options]",
        description="Keep requests and answers of models on any server, as KServe's payload logger sends them.",
        epilog="The logger: spec.predictor.logger {mode: all, url: http://HOST:PORT} of the InferenceService",
    )
    args = parser.parse_args(underscored(argv))
    try:
        capture = parse_capture({setting.name: getattr(args, setting.name) for setting in CAPTURE.settings})
    except CaptureSettingsError as error:
        return complain(_PROG, error, 2)
    if capture is None:
        return complain(_PROG, "--capture_uri: needed, nothing is kept without", 2)
    configure_logging()
    try:
        asyncio.run(_collect(args, capture))
    except (CaptureSettingsError, OSError) as error:
        return complain(_PROG, error, 1)
    return 0


async def _collect(args: argparse.Namespace, settings: CaptureSettings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with ExitStack() as closing:
        listener = closing.enter_context(listen(args.host, args.http_port))
        capture = Capture(settings)
        metrics = CollectMetrics(capture.counters)
        collector = Collector(_settings(args), capture, metrics)
        front = CollectFront(collector, metrics)
        server = HttpServer(
            front,
            limits=HttpLimits(max_body_bytes=args.max_event_bytes),
            budget=MemoryBudget(default_budget(args.max_event_bytes, 1)),
            on_refusal=front.note_refusal,
        )
        looks = HttpServer(MetricsFront(front), limits=PROBE_LIMITS)
        try:
            if args.metrics_port is not None:
                looking = closing.enter_context(listen(args.host, args.metrics_port))
                await looks.start(looking)
                log.info("listening for scrapers", extra={"fields": {"port": looking.getsockname()[1]}})
            await server.start(listener)
            log.info(
                "listening",
                extra={"fields": dict(zip(("host", "port"), listener.getsockname(), strict=False))},
            )
            await _look_after(collector, stopping)
            front.is_draining = server.is_draining = True
            log.info("draining", extra={"fields": {"seconds": args.drain_seconds}})
            await until_drained(args.drain_seconds, count_calls=lambda: server.late_calls)
        finally:
            await server.stop(args.grace_seconds)
            left = collector.close()
            await asyncio.to_thread(capture.close, args.grace_seconds)
            await looks.stop(0)
    log.info("stopped", extra={"fields": {"unjoined": left, "rows": capture.counters.rows_total}})


async def _look_after(collector: Collector, stopping: asyncio.Event) -> None:
    """Give up what waits for too long, until the collector is to stop."""
    reported = 0.0
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)
        collector.expire()
        if (now := perf_counter()) - reported > _REPORT_SECONDS:
            reported = now
            report_suppressed()


def _settings(args: argparse.Namespace) -> CollectSettings:
    return CollectSettings(
        namespace=args.namespace,
        revision=args.revision,
        columns=tuple(args.columns),
        join_seconds=args.join_seconds,
        join_bytes=args.join_bytes,
        limits=JsonLimits(args.max_event_bytes, parsing_limit(1)),
    )
