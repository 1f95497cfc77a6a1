"""``mooring demo`` and ``python -m cluster.demo``."""

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
from cluster.demo.story import Story
from cluster.processes import StartError
from cluster.programs import ProgramUnavailableError

DESCRIPTION = """
See Mooring do its main job on this machine, in about a minute. It starts what it needs, tells what happens, and
waits for you to look around. Ctrl-C cleans up.
"""


def main() -> int:
    """Run the demo; exit code 0 only if every step showed what it should."""
    parser = argparse.ArgumentParser(prog="mooring demo", description=DESCRIPTION)
    parser.add_argument("--kubeconfig", type=Path, help="use this cluster instead of starting one")
    parser.add_argument("--no-wait", action="store_true", help="end after the last step")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    begun = time.monotonic()
    try:
        if arguments.kubeconfig is not None:
            load_config(arguments.kubeconfig)
        with Stage(arguments.kubeconfig, lambda line: console.print(f"    [dim]·[/dim] {line}")) as stage:
            return asyncio.run(_show(stage, console, begun, wait=not arguments.no_wait))
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 130
    except (ProgramUnavailableError, StartError, ClusterError) as error:
        console.print(f"[red]The demo cannot run:[/red] {error}")
        return 2
    except Exception as error:
        if type(error).__name__ != "ConfigError":
            raise
        console.print(f"[red]The demo cannot run:[/red] {error}")
        return 2


async def _show(stage: Stage, console: Console, begun: float, *, wait: bool) -> int:
    observer = Observer(stage.kubeconfig)
    try:
        story = await _prepare(stage, observer, console)
        if story is None:
            return 2
        await story.run()
    except Unexpected as error:
        console.print(f"\n[red]The demo did not show what it should:[/red] {error}")
        console.print(stage.logs(), markup=False)
        return 1
    finally:
        await observer.close()
    console.print(f"\n[bold green]Done in {time.monotonic() - begun:.0f} s.[/bold green]", end=" ")
    console.print("v2 was promoted, v3 refused, v4 rolled back, and the drift caught.")
    if wait:
        await _wait(stage, story, console)
    return 0


async def _prepare(stage: Stage, observer: Observer, console: Console) -> Story | None:
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
    for start in (stage.start_pipelines, stage.start_serving, stage.start_operator):
        await asyncio.to_thread(start)
    digits = models.Digits.load()
    begun = time.monotonic()
    data = stage.work / "data"
    data.mkdir()
    models.write_rows(data / "test.parquet", digits.test, digits.test_labels)
    models.write_rows(data / "baseline.parquet", digits.train)
    trained = await asyncio.to_thread(lambda: list(models.train(digits, stage.work / "models")))
    console.print(f"    [dim]·[/dim] models {', '.join(trained)} trained ({time.monotonic() - begun:.1f} s)")
    return Story(observer=observer, front=stage.front, work=stage.work, digits=digits, console=console)


async def _wait(stage: Stage, story: Story, console: Console) -> None:
    """Let the user look around while requests go on."""
    own = stage.work / f"{OWN}.yaml"
    own.write_text(yaml.safe_dump(own_deployment(stage.work), sort_keys=False))
    console.print(look_around(stage.kubeconfig, own, pipelines=stage.pipelines, front=stage.front))
    sending = asyncio.create_task(story.users.run())
    enough = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, enough.set)
    await enough.wait()
    sending.cancel()
    console.print("\nCleaning up.")


def look_around(kubeconfig: Path, own: Path, *, pipelines: str, front: str) -> str:
    """Say what there is to see and to try, as commands to copy."""
    kubectl = "kubectl" if shutil.which("kubectl") else "kubectl (not installed here)"
    return f"""
Look around, in another terminal:

    export KUBECONFIG={kubeconfig}
    alias mooring={Path(sys.executable).parent}/mooring
    mooring status {NAME} -n {NAMESPACE}
    {kubectl} -n {NAMESPACE} get mdep,drift,isvc
    {kubectl} -n {NAMESPACE} describe mdep {NAME}
    {kubectl} explain mdep.spec.rollout

Deploy something of your own; the operator of this demo looks after namespace {NAMESPACE} alone:

    {kubectl} apply -f {own}
    mooring status {OWN} -n {NAMESPACE} --watch
    sed -i s/v1$/v2/ {own}       # another model; apply it again
    mooring approve {OWN} -n {NAMESPACE}

    {pipelines}   the CI runs
    {front}/-/routes   who serves what

Ctrl-C ends everything."""


if __name__ == "__main__":
    raise SystemExit(main())
