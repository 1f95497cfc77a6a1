"""The operator's process."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import kopf
from lightkube import ConfigError, SingleConfig

from mooring_operator import handlers
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.audit import AuditUnavailable
from mooring_operator.adapters.cluster import Cluster, Conflict, Unavailable
from mooring_operator.adapters.documents import DocumentsUnavailable
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.leases import KubernetesLeases
from mooring_operator.adapters.outages import Outages
from mooring_operator.adapters.pipelines import PipelinesUnavailable
from mooring_operator.adapters.recent import RecentObjects
from mooring_operator.adapters.rules.child import RulesUnavailable
from mooring_operator.runtime import logs
from mooring_operator.runtime.dispatch import Reconcilers
from mooring_operator.runtime.engine import Engine
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.settings import Settings, read_settings

logger = logging.getLogger(__name__)

Build = Callable[[Settings, Cluster, Outages], Reconcilers]

EXPECTED = (
    AuditUnavailable,
    Conflict,
    DocumentsUnavailable,
    PipelinesUnavailable,
    RulesUnavailable,
    Unavailable,
)
"""Exceptions that say what is wrong in one line, in the log and where it can be in status."""


def main() -> None:
    """Run the operator until SIGTERM or SIGINT; exit code 2: it is not configured."""
    # Here, so that an operator with other reconcilers can be run without those of Mooring.
    from mooring_operator.assembly import build

    run(read_settings(), build)


def run(settings: Settings, build: Build) -> None:
    """Run the operator with the reconcilers that `build` gives."""
    logs.configure(settings.log_level, settings.log_format)
    try:
        config = load_config(settings.kubeconfig)
    except ConfigError as error:
        print(f"mooring-operator: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    asyncio.run(operate(settings, config, build))


async def operate(settings: Settings, config: SingleConfig, build: Build) -> None:
    """Watch and reconcile until a signal, then stop gracefully."""
    telemetry = Telemetry()
    outages = Outages()

    def count(verb: str, resource: str, code: int) -> None:
        telemetry.count_request(verb, resource, code)
        outages.note(code)

    connection = Connection(config, count, may_write=lambda: engine.may_write)
    recent = RecentObjects(by_namespace=bool(settings.namespaces))
    cluster = KubernetesCluster(connection, recent=recent)
    reconcilers = build(settings, cluster, outages)
    telemetry.gauge(
        "mooring_resources_of_others",
        "Resources that another operator of the cluster works on.",
        lambda: float(reconcilers.left),
    )
    engine = Engine(
        settings,
        cluster=cluster,
        leases=KubernetesLeases(connection),
        reconcilers=reconcilers,
        telemetry=telemetry,
        expected=EXPECTED,
        recent=recent,
    )
    try:
        await _start(engine, settings)
        await _watch(settings, engine, config)
    finally:
        await connection.close()


async def _start(engine: Engine, settings: Settings) -> None:
    try:
        await engine.start()
    except OSError as error:
        address = f"{settings.health_host}:{settings.health_port}"
        print(f"mooring-operator: no probes can be served on {address}: {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from error


async def _watch(settings: Settings, engine: Engine, config: SingleConfig) -> None:
    registry = kopf.OperatorRegistry()
    handlers.register(
        registry,
        engine.intake,
        config,
        namespaced=bool(settings.namespaces),
        cluster_policies=settings.cluster_policies,
    )
    signalled, kopf_stop = asyncio.Event(), asyncio.Event()
    before = asyncio.all_tasks()
    watchers = await kopf.spawn_tasks(
        registry=registry,
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        ready_flag=engine.watching,
        stop_flag=kopf_stop,
    )
    # After kopf's own handlers, which would end the watching, and with it our tasks, at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    ends = {
        "kopf": asyncio.create_task(kopf.run_tasks(watchers, ignored=before), name="kopf"),
        "engine": asyncio.create_task(engine.wait(), name="engine"),
        "signal": asyncio.create_task(signalled.wait(), name="signal"),
    }
    await asyncio.wait(ends.values(), return_when=asyncio.FIRST_COMPLETED)
    logger.info("stopping")
    await engine.stop()
    # Last, for kopf cancels every task that is younger than itself.
    kopf_stop.set()
    await asyncio.wait([ends["kopf"]])
    for end in (ends["kopf"], ends["engine"]):
        if (
            end.done()
            and not end.cancelled()
            and (error := end.exception()) is not None
            and not signalled.is_set()
        ):
            raise error
    logger.info("stopped")


if __name__ == "__main__":
    main()
