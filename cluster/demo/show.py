"""Starts what the demo needs, has a story told, and lets the user look around."""

import argparse
import asyncio
import shutil
import signal
import sys
import time
from pathlib import Path

import yaml
from mooring_operator.adapters.api_server import load_config
from mooring_operator.adapters.cluster import ClusterError
from mooring_operator.api.crds import RESOURCES, custom_resource_definition
from rich.console import Console

from cluster.demo import models
from cluster.demo.manifests import NAME, NAMESPACE, OWN, own_deployment, policies
from cluster.demo.observer import Observer, Unexpected
from cluster.demo.stage import Stage
from cluster.demo.stories import STORIES
from cluster.demo.story import Scene, Story, ask_mooring
from cluster.doors import Doors
from cluster.programs import ProgramUnavailableError, find


def show(options: argparse.Namespace, console: Console) -> int:
    """Show it; the exit status."""
    doors = Doors.inherited(options.doors) if options.doors else None
    try:
        if options.strategy == "labels" and find("prometheus") is None:
            raise ProgramUnavailableError("strategy labels needs a Prometheus, which cannot be had here")
        if options.kubeconfig is not None:
            load_config(options.kubeconfig)
        with Stage(
            options.kubeconfig, lambda line: console.print(f"    [dim]·[/dim] {line}"), doors
        ) as stage:
            return asyncio.run(_show(stage, console, options))
    except ClusterError as error:
        console.print(f"[red]The demo cannot run:[/red] {error}")
    except Exception as error:
        if type(error).__name__ != "ConfigError":
            raise
        console.print(f"[red]The demo cannot run:[/red] {error}")
    finally:
        if doors is not None:
            doors.close()
    return 2


async def _show(stage: Stage, console: Console, options: argparse.Namespace) -> int:
    observer = Observer(stage.kubeconfig)
    try:
        story = await _prepare(stage, observer, console, STORIES[options.strategy])
        if story is None:
            return 2
        console.print(f"    [dim]·[/dim] set up in {time.monotonic() - options.begun:.0f} s")
        await story.run()
    except Unexpected as error:
        console.print(f"\n[red]The demo did not show what it should:[/red] {error}")
        console.print(await _status(stage), markup=False)
        console.print(stage.logs(), markup=False)
        return 1
    finally:
        await observer.close()
    console.print(f"\n[bold green]Done in {time.monotonic() - options.begun:.0f} s.[/bold green]", end=" ")
    console.print(story.summary)
    if not options.no_wait:
        await _wait(stage, story, console)
    return 0


async def _status(stage: Stage) -> str:
    """Give what `mooring status` says of the deployment, for whoever has to find out why."""
    _, output = await ask_mooring(stage.kubeconfig, "status")
    return f"--- mooring status {NAME} -n {NAMESPACE}\n{output}"


async def _prepare(stage: Stage, observer: Observer, console: Console, kind: type[Story]) -> Story | None:
    if await observer.has_kserve():
        console.print(
            "[red]This cluster runs KServe.[/red] The demo brings a serving agent of its own, and the two would "
            "quarrel over the InferenceServices. Use a cluster without KServe; on this one, install Mooring "
            "itself: kubectl apply -k manifests/overlays/kubeflow"
        )
        return None
    await observer.install(custom_resource_definition(resource) for resource in RESOURCES)
    if stage.has_own_cluster:
        # Elsewhere they are the administrator's to install: they hold for everybody.
        await observer.install_policies(policies())
    digits = models.Digits.load()
    # Two cores are busy then; what serves comes after what it needs.
    await asyncio.gather(
        asyncio.to_thread(_start_serving, stage), asyncio.to_thread(_start_testing, stage, digits, console)
    )
    return kind(
        Scene(
            observer=observer,
            entrance=stage.entrance(),
            preview=stage.entrance(f"{NAME}-preview") if stage.has_gateway else None,
            kubeconfig=stage.kubeconfig,
            work=stage.work,
            digits=digits,
            console=console,
            judges=stage.has_prometheus,
            targets=stage.targets,
        )
    )


def _start_serving(stage: Stage) -> None:
    for start in (stage.start_gateway, stage.start_serving, stage.start_prometheus, stage.start_operator):
        start()


def _start_testing(stage: Stage, digits: models.Digits, console: Console) -> None:
    stage.start_pipelines()
    begun = time.monotonic()
    data = stage.work / "data"
    data.mkdir()
    models.write_rows(data / "test.parquet", digits.test, digits.test_labels)
    models.write_rows(data / "exchanged.parquet", digits.test, models.exchange(digits.test_labels))
    models.write_rows(data / "baseline.parquet", digits.train)
    trained = list(models.train(digits, stage.work / "models"))
    console.print(f"    [dim]·[/dim] models {', '.join(trained)} trained ({time.monotonic() - begun:.1f} s)")


async def _wait(stage: Stage, story: Story, console: Console) -> None:
    """Let the user look around while requests go on."""
    own = stage.work / f"{OWN}.yaml"
    own.write_text(yaml.safe_dump(own_deployment(stage.work), sort_keys=False))
    pipelines, front = (stage.outside(url) for url in (stage.pipelines, stage.front))
    gateway = stage.outside(stage.entrance().url) if stage.has_gateway else ""
    console.print(
        look_around(stage.kubeconfig_outside, own, pipelines=pipelines, front=front, gateway=gateway)
    )
    sending = asyncio.create_task(story.users.run())
    enough = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, enough.set)
    await enough.wait()
    sending.cancel()
    console.print("\nCleaning up.")


def look_around(kubeconfig: Path, own: Path, *, pipelines: str, front: str, gateway: str = "") -> str:
    """Say what there is to see and to try, as commands to copy; ``gateway`` is the address of one, if there is one."""
    kubectl = "kubectl" if shutil.which("kubectl") else "kubectl (not installed here)"
    routed = "httproute,pod" if gateway else "isvc"
    ask = (
        f"\n    curl -H 'host: {NAME}.{NAMESPACE}' {gateway}/v2/models/{NAME}   through the gateway"
        if gateway
        else ""
    )
    return f"""
Look around, in another terminal:

    export KUBECONFIG={kubeconfig}
    alias mooring={Path(sys.executable).parent}/mooring
    mooring status {NAME} -n {NAMESPACE}
    {kubectl} -n {NAMESPACE} get mdep,drift,{routed}
    {kubectl} -n {NAMESPACE} describe mdep {NAME}
    {kubectl} explain mdep.spec.rollout
    mooring audit {own.parent}/audit

Deploy something of your own; the operator of this demo looks after namespace {NAMESPACE} alone:

    {kubectl} apply -f {own}
    mooring status {OWN} -n {NAMESPACE} --watch
    sed -i s/v1$/v2/ {own}       # another model; apply it again
    mooring approve {OWN} -n {NAMESPACE}

    {pipelines}   the CI runs
    {front}/-/routes   who serves what{ask}

Ctrl-C ends everything."""
