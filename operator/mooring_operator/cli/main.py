"""The application behind ``mooring`` and ``kubectl mooring``."""

import functools
import sys
from typing import Annotated, Any

import typer

from mooring_operator.cli.commands import COMMANDS
from mooring_operator.cli.errors import UNUSABLE, CliError
from mooring_operator.cli.help import paragraphs

_HELP = paragraphs(
    """
    Take trained models to production on Kubeflow and KServe: check, rehearse, watch and steer rollouts.

    Exit codes: 0 done; 1 the answer is no (an invalid file, a rollout that failed, a request that does
    not fit); 2 wrong usage or an unreachable cluster.
    """,
    "mooring validate iris.yaml",
    "mooring rehearse iris.yaml --ci fail",
    "mooring status iris --watch",
    "mooring approve iris -m 'latency looks fine'",
)


def make_app() -> typer.Typer:
    """Give the application with all of its commands."""
    app = typer.Typer(
        name="mooring",
        help=_HELP,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
    )
    app.callback()(_options)
    for command in COMMANDS:
        command.register(app)
    return app


@functools.cache
def _command() -> Any:
    return typer.main.get_command(make_app())


def _say_version(asked: bool) -> None:
    if asked:
        from mooring_operator.cli.commands.offline import version

        version()
        raise typer.Exit


def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run the command line; a failure that a person can act on ends without a traceback."""
    # kubectl runs the program as kubectl-mooring; people type it with a blank.
    name = "kubectl mooring" if sys.argv[0].endswith("kubectl-mooring") else "mooring"
    sys.exit(run(sys.argv[1:], name))


def run(arguments: list[str], name: str = "mooring") -> int:
    """Run the command line with `arguments` and give the exit code."""
    from mooring_operator.cli import output

    try:
        _command()(arguments, prog_name=name)
    except CliError as error:
        output.say(f"error: {error.message}", style="red", stderr=True)
        if error.hint:
            output.say(f"hint: {error.hint}", stderr=True)
        return error.exit_code
    except BrokenPipeError:
        # Somebody piped into head; the interpreter must not complain at exit.
        sys.stderr.close()
        return 0
    except OSError as error:
        # Such as that a file that is named may not be looked at.
        where = f"{error.filename}: " if error.filename else ""
        output.say(f"error: {where}{error.strerror or error}", style="red", stderr=True)
        return UNUSABLE
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        if isinstance(end.code, str):
            output.say(f"error: {end.code}", style="red", stderr=True)
            return UNUSABLE
        return end.code or 0
    return 0
