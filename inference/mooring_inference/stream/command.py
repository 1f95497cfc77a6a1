"""The command ``mooring-inference stream``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from mooring_inference.backends.base import LoadOptions, only_a_server_may
from mooring_inference.backends.cores import usable_cores
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.errors import ModelLoadError
from mooring_inference.flags.complaints import complain
from mooring_inference.flags.parser import make_parser, underscored
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.observability.logs import configure_logging
from mooring_inference.stream.addresses import Address, in_one_kafka, parse_address
from mooring_inference.stream.answering import Answerer
from mooring_inference.stream.interfaces import Sink, Source, StreamError
from mooring_inference.stream.loop import Limits, StreamLoop
from mooring_inference.stream.messages import Codec
from mooring_inference.stream.metrics import MetricsServer, StreamMetrics
from mooring_inference.stream.table import GROUPS
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
        _check_delivery(args.delivery, source, sink, dead)
    except StreamError as exc:
        return complain(_PROG, exc, 2)
    configure_logging()
    try:
        asyncio.run(_consume(args, source, sink, dead))
    except (StreamError, ModelLoadError, OSError) as exc:
        return complain(_PROG, str(exc), 1)
    return 0


async def _consume(args: argparse.Namespace, source: Address, sink: Address, dead: Address | None) -> None:
    options = LoadOptions(
        threads=args.threads or usable_cores(),
        device=args.device,
        digest=args.model_digest,
        how_to_allow=only_a_server_may,
    )
    backend = load_model(args.model_dir, options)
    metrics = StreamMetrics()
    with ExitStack() as closing:
        closing.callback(backend.close)
        if args.metrics_port is not None:
            server = MetricsServer(metrics, args.host, args.metrics_port)
            closing.callback(server.close)
            log.info("listening", extra={"fields": {"port": server.port}})
        warm = warm_up(backend)
        loop = StreamLoop(
            *_open_systems(args, source, sink, dead),
            Answerer(
                backend,
                Codec(_signature(args, backend.signature), args.model_name, args.revision),
                batchable=warm.batchable,
                one_row=warm.one_row,
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
            extra={
                "fields": {
                    "source": str(source),
                    "sink": str(sink),
                    "dead_letters": str(dead),
                    "delivery": "exactly_once"
                    if _is_exactly_once(args, source, sink, dead)
                    else "at_least_once",
                }
            },
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, loop.stop)
        unfinished = await loop.run()
        log.info("stopped", extra={"fields": {"unfinished": unfinished}})


def _signature(args: argparse.Namespace, signature: Signature) -> Signature:
    """Return the signature with the names of features, as far as they are known."""
    names = read_feature_names(args.model_dir, signature)
    return signature.with_columns({signature.inputs[0].name: args.columns} if args.columns else names)


def _check_delivery(delivery: str, source: Address, sink: Address, dead: Address | None) -> None:
    others = [sink, *([dead] if dead else [])]
    if delivery == "exactly_once" and not in_one_kafka(source, *others):
        raise StreamError(
            "--delivery exactly_once: expected --source, --sink and --dead_letters to be topics of the same Kafka "
            f"brokers with the same user and options, got {', '.join(str(one) for one in [source, *others])}"
        )


def _is_exactly_once(args: argparse.Namespace, source: Address, sink: Address, dead: Address | None) -> bool:
    return args.delivery != "at_least_once" and in_one_kafka(source, sink, *([dead] if dead else []))


def _open_systems(
    args: argparse.Namespace, source: Address, sink: Address, dead: Address | None
) -> tuple[Source, Sink | None, Sink | None]:
    """Return the source, the sink and the place for dead letters; an exchange is all of them."""
    if _is_exactly_once(args, source, sink, dead):
        from mooring_inference.stream.kafka.transactions import KafkaExchange

        exchange = KafkaExchange(
            source,
            args.group,
            sink=sink.name,
            dead_letters=dead.name if dead else None,
            take_over=args.take_over_seconds,
            from_start=args.start == "earliest",
        )
        return exchange, None, None
    remember = args.remember_seconds
    return (
        _open_source(args, source),
        open_sink(sink, args.group, remember),
        open_sink(dead, args.group, remember) if dead is not None else None,
    )


def _open_source(args: argparse.Namespace, address: Address) -> Source:
    """Return the adapter for a source; each imports its library only when it is asked for."""
    seconds, from_start = args.take_over_seconds, args.start == "earliest"
    if address.scheme.startswith("redis"):
        from mooring_inference.stream.redis_streams import RedisSource

        return RedisSource(address, args.group, take_over=seconds, from_start=from_start)
    if address.scheme.startswith("kafka"):
        from mooring_inference.stream.kafka.source import KafkaSource

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
        from mooring_inference.stream.kafka.sink import KafkaSink

        return KafkaSink(address)
    from mooring_inference.stream.jetstream import JetStreamSink

    return JetStreamSink(address, writer=group)


def _parse(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    parser = make_parser(
        _PROG,
        GROUPS,
        environ,
        usage=f"{_PROG} --source URL --sink URL --group NAME [--model_dir PATH] [options]",
        description="Answer messages of Redis Streams, NATS JetStream or Kafka with a model.",
        epilog="URLs: redis://HOST/STREAM, nats://HOST/SUBJECT?stream=NAME, kafka://HOST/TOPIC; with credentials "
        "they are better given as variables.",
    )
    return parser.parse_args(underscored(argv))
