"""The command ``mooring-inference stream``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.cores import usable_cores
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.errors import ModelLoadError
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.observability.logs import configure_logging
from mooring_inference.stream.addresses import Address, parse_address
from mooring_inference.stream.answering import Answerer
from mooring_inference.stream.interfaces import Sink, Source, StreamError
from mooring_inference.stream.loop import Limits, StreamLoop
from mooring_inference.stream.messages import Codec
from mooring_inference.stream.metrics import MetricsServer, StreamMetrics
from mooring_inference.tensors import Signature

_PROG = "mooring-inference stream"
log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Answer messages until SIGTERM.

    Returns:
        0 after a clean stop; 1 after an error; 2 for wrong usage.
    """
    args = _parse(argv, os.environ)
    try:
        source = parse_address("--source", args.source)
        sink = parse_address("--sink", args.sink)
        dead = parse_address("--dead_letters", args.dead_letters) if args.dead_letters else None
    except StreamError as exc:
        return _complain(str(exc), 2)
    configure_logging()
    try:
        asyncio.run(_consume(args, source, sink, dead))
    except (StreamError, ModelLoadError, OSError) as exc:
        return _complain(str(exc), 1)
    return 0


async def _consume(args: argparse.Namespace, source: Address, sink: Address, dead: Address | None) -> None:
    backend = load_model(
        args.model_dir, LoadOptions(threads=args.threads or usable_cores(), device=args.device)
    )
    metrics = StreamMetrics()
    with ExitStack() as closing:
        closing.callback(backend.close)
        if args.metrics_port is not None:
            server = MetricsServer(metrics, args.host, args.metrics_port)
            closing.callback(server.close)
            log.info("listening", extra={"fields": {"port": server.port}})
        loop = StreamLoop(
            _open_source(args, source),
            open_sink(sink, args.group, args.remember_seconds),
            open_sink(dead, args.group, args.remember_seconds) if dead is not None else None,
            Answerer(
                backend,
                Codec(_signature(args, backend.signature), args.model_name, args.revision),
                one_row=warm_up(backend).one_row,
            ),
            Limits(
                batch=args.batch_size,
                linger=args.max_delay_ms / 1000,
                attempts=args.max_attempts,
                keep=args.take_over_seconds / 3,
                grace=args.grace_seconds,
            ),
            metrics,
        )
        log.info(
            "starting",
            extra={"fields": {"source": str(source), "sink": str(sink), "dead_letters": str(dead)}},
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, loop.stop)
        unfinished = await loop.run()
        log.info("stopped", extra={"fields": {"unfinished": unfinished}})


def _signature(args: argparse.Namespace, signature: Signature) -> Signature:
    """Return the signature with the names of features, as far as they are known."""
    names = read_feature_names(args.model_dir, signature)
    return signature.with_columns({signature.inputs[0].name: args.columns} if args.columns else names)


def _open_source(args: argparse.Namespace, address: Address) -> Source:
    """Return the adapter for a source; each imports its library only when it is asked for."""
    seconds, from_start = args.take_over_seconds, args.start == "earliest"
    if address.scheme.startswith("redis"):
        from mooring_inference.stream.redis_streams import RedisSource

        return RedisSource(address, args.group, take_over=seconds, from_start=from_start)
    if address.scheme.startswith("kafka"):
        from mooring_inference.stream.kafka import KafkaSource

        return KafkaSource(address, args.group, take_over=seconds, from_start=from_start)
    from mooring_inference.stream.jetstream import JetStreamSource

    held = max(1000, 64 * args.batch_size)
    return JetStreamSource(address, args.group, take_over=seconds, from_start=from_start, held=held)


def open_sink(address: Address, group: str, remember: int) -> Sink:
    """Return the adapter for a sink; ``remember`` is for how many seconds Redis knows what ``group`` wrote."""
    if address.scheme.startswith("redis"):
        from mooring_inference.stream.redis_streams import RedisSink

        return RedisSink(address, writer=group, remember=remember)
    if address.scheme.startswith("kafka"):
        from mooring_inference.stream.kafka import KafkaSink

        return KafkaSink(address)
    from mooring_inference.stream.jetstream import JetStreamSink

    return JetStreamSink(address, writer=group)


def _parse(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description="Answer messages of Redis Streams, NATS JetStream or Kafka with a model, each at least once.",
        epilog="URLs: redis://HOST/STREAM, nats://HOST/SUBJECT?stream=NAME, kafka://HOST/TOPIC; with credentials "
        "they are better given as $MOORING_STREAM_SOURCE, $MOORING_STREAM_SINK, $MOORING_STREAM_DEAD_LETTERS.",
    )

    def flag(name: str, **options: object) -> None:
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        parser.add_argument(*spellings, dest=name, **options)  # type: ignore[arg-type]

    def url(name: str, meaning: str, *, required: bool) -> None:
        given = environ.get(f"MOORING_STREAM_{name.upper()}")
        flag(name, default=given, required=required and given is None, metavar="URL", help=meaning)

    url("source", "where messages come from", required=True)
    url("sink", "where answers go", required=True)
    url("dead_letters", "where bad messages go; without it, the sink gets an error as answer", required=False)
    flag("group", required=True, help="the group of consumers that share the source")
    flag("model_dir", type=Path, default=Path("/mnt/models"), help="the model's folder or file")
    flag("model_name", default="model", help="the model's name in answers")
    flag("revision", default=environ.get("MOORING_REVISION") or "1", help="default $MOORING_REVISION, then 1")
    flag("columns", type=_names, default=(), help="names of features, a,b,c in the model's order")
    flag("start", choices=("earliest", "latest"), default="earliest", help="where a new group begins")
    flag("batch_size", type=_positive(int), default=64, help="messages taken at once, at most")
    flag("max_delay_ms", type=_positive(float), default=10.0, help="how long a batch waits to be filled")
    flag("max_attempts", type=_positive(int), default=5, help="how often a message is tried that fails")
    flag(
        "take_over_seconds", type=_positive(float), default=30.0, help="when a silent consumer counts as dead"
    )
    flag(
        "remember_seconds", type=_positive(int), default=86_400, help="for how long Redis knows answered ids"
    )
    flag("grace_seconds", type=_positive(float), default=20.0, help="to finish after SIGTERM")
    flag("host", default="0.0.0.0", help="address of the metrics port")  # noqa: S104  a pod's own address
    flag(
        "metrics_port", type=int, default=None, help="serve /metrics and /health/{live,ready}; 0: a free port"
    )
    flag("device", default="auto", help="cpu, cuda, cuda:N or auto")
    flag("threads", type=_positive(int), default=None, help="default: the container's CPU limit")
    return parser.parse_args(argv)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _positive(number: type[int] | type[float]) -> object:
    def parse(text: str) -> float:
        value = number(text)
        if value <= 0:
            raise argparse.ArgumentTypeError("must be positive")
        return value

    return parse


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"{_PROG}: {' '.join(message.split())}\n")
    return code
