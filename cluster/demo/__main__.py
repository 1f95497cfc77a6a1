"""``mooring demo`` and ``python -m cluster.demo``."""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from cluster.demo import gateway
from cluster.processes import StartError
from cluster.programs import ProgramUnavailableError

DESCRIPTION = """
See Mooring do its main job on this machine, in two or three minutes. It starts what it needs, tells what happens, and
waits for you to look around. Ctrl-C cleans up.
"""
STORIES = ("canary", "bluegreen", "shadow", "abtest", "labels")


def main() -> int:
    """Run the demo; exit code 0 only if every step showed what it should."""
    arguments = sys.argv[1:]
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if not options.doors:
            why = _why_no_gateway(options, [*arguments, "--begun", str(time.monotonic())])
            if options.strategy != "canary":
                console.print(
                    f"[red]The demo cannot run:[/red] strategy {options.strategy} needs a gateway: {why}"
                )
                return 2
            console.print(f"    [dim]·[/dim] no Envoy ({why}): the serving agent splits the requests itself")
        # It loads much, for which there was no need before.
        from cluster.demo.show import show

        return show(options, console)
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 130
    except (ProgramUnavailableError, StartError) as error:
        console.print(f"[red]The demo cannot run:[/red] {error}")
        return 2


def _why_no_gateway(options: argparse.Namespace, arguments: list[str]) -> str:
    """Go on behind a gateway, or say why there is none."""
    if options.kubeconfig is not None:
        return "the pods of another cluster cannot be processes of this machine"
    if options.gateway == "0":
        return "GATEWAY=0 asks for none"
    return gateway.enter(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mooring demo", description=DESCRIPTION)
    parser.add_argument(
        "--strategy",
        choices=STORIES,
        default="canary",
        help="how v2 takes over from v1; labels: a canary that answers wrongly, as labels tell that come late",
    )
    parser.add_argument("--kubeconfig", type=Path, help="use this cluster instead of starting one")
    parser.add_argument("--gateway", choices=("0", "1"), default="1", help="0 does without Envoy")
    parser.add_argument("--no-wait", action="store_true", help="end after the last step")
    # Of the demo in a network of its own: see ``gateway``.
    parser.add_argument("--doors", type=_descriptors, default=[], help=argparse.SUPPRESS)
    parser.add_argument("--begun", type=float, default=time.monotonic(), help=argparse.SUPPRESS)
    return parser


def _descriptors(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    raise SystemExit(main())
