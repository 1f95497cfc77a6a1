"""``mooring audit``: what was decided, when, by whom, and whether anything of it is missing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mooring_operator.cli import output
from mooring_operator.cli.addresses import as_address
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import NO, CliError, needing
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_artifacts.audit.records import Head, Record

_HELP = paragraphs(
    """
    Show what was decided, when, by whom and on what ground; --verify finds what is missing or was changed.

    ROOT is what MOORING_AUDIT_ROOT says to the operator, a path or an address; your own credentials read it.

    Exit codes: 0 done; 1 --verify found a fault; 2 it cannot be read.
    """,
    "mooring audit s3://audit/production --since 24h",
    "mooring audit s3://audit/production -n team-a --object fraud --since 2026-03-01 --until 2026-04-01",
    "mooring audit s3://audit/production --verify",
    "mooring audit s3://audit/production --verify --head team-a/41/9f86d08188...",
)
_HEAD = re.compile(r"^([^/]+)/([0-9]+)/([0-9a-f]{64})$")
_CLUSTER = "_cluster"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("audit", help=_HELP, rich_help_panel="Watch")(audit)


def audit(
    root: Annotated[str, typer.Argument(envvar="MOORING_AUDIT_ROOT", help="Path or address of the trail.")],
    namespace: Annotated[
        str | None,
        typer.Option("-n", "--namespace", help=f"Of this namespace alone; {_CLUSTER}: what has none."),
    ] = None,
    about: Annotated[str | None, typer.Option("--object", help="About objects of this name alone.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Not older: a time such as 2026-03-01, or a length such as 24h.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Older than this.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look for gaps and changes instead of showing records.")
    ] = False,
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            metavar="NAMESPACE/NUMBER/SHA256",
            help="A last record that --verify printed before: what was cut off since shows.",
        ),
    ] = None,
    form: Output = output.Format.TEXT,
) -> None:
    """Show, or verify."""
    first, last = _moment(since, "--since"), _moment(until, "--until")
    with _told():
        chains = _chains(as_address(root), namespace)
        if verify:
            _verify(as_address(root), chains, _heads(heads or []), form)
            return
        if not chains and form is output.Format.TEXT:
            output.say(f"nothing is recorded in {root}: nothing was decided yet, or it is another address")
            return
        found = [
            record
            for chain in chains
            for record in _records(as_address(root), chain)
            if (about is None or record.subject.name == about)
            and (first is None or record.time >= first)
            and (last is None or record.time < last)
        ]
    _show(sorted(found, key=lambda record: record.time), form)


def _chains(root: str, namespace: str | None) -> list[str]:
    from mooring_artifacts.audit.trail import namespaces_of

    known = namespaces_of(root)
    if namespace is None:
        return known
    if namespace not in known:
        there = f"there are {', '.join(known[:8])}" if known else "there is nothing yet"
        raise CliError(f"--namespace {namespace!r}: nothing is recorded of it in {root}; {there}")
    return [namespace]


def _records(root: str, chain: str) -> "Iterator[Record]":
    from mooring_artifacts.audit.records import parse_record
    from mooring_artifacts.audit.trail import read_chain
    from mooring_artifacts.errors import InputError

    for sequence, content in read_chain(root, chain):
        try:
            yield parse_record(content)
        except InputError as error:
            output.say(f"{chain}: record {sequence} cannot be read: {error}; --verify says more", stderr=True)


def _verify(root: str, chains: list[str], heads: "dict[str, Head]", form: output.Format) -> None:
    from mooring_artifacts.audit.records import check_chain, head_of
    from mooring_artifacts.audit.trail import read_chain

    if not chains and not heads:
        raise CliError(f"nothing is recorded in {root}: it is another address, or all of the trail is gone")
    # A chain that is gone as a whole is a gap as well.
    faults, ends = [], {}
    for chain in sorted({*chains, *heads}):
        stored = list(read_chain(root, chain))
        faults += [
            {"namespace": chain, "record": fault.sequence, "message": fault.message}
            for fault in check_chain(stored, head=heads.get(chain))
        ]
        if stored:
            end = head_of(*stored[-1])
            ends[chain] = f"{chain}/{end.sequence}/{end.digest}"
    if form is not output.Format.TEXT:
        output.dump({"faults": faults, "heads": list(ends.values())}, form)
    else:
        for fault in faults:
            output.say(f"{fault['namespace']}: record {fault['record']}: {fault['message']}", style="red")
        if not faults:
            output.say(
                f"nothing is missing or was changed in {len(ends)} chain{'s' if len(ends) != 1 else ''}"
            )
        for known in ends.values():
            output.say(f"--head {known}")
    if faults:
        raise typer.Exit(NO)


def _show(records: "list[Record]", form: output.Format) -> None:
    if form is not output.Format.TEXT:
        output.dump([record.model_dump(mode="json", by_alias=True) for record in records], form)
        return
    if not records:
        output.say("nothing is recorded that fits")
        return
    from mooring_operator.cli.tables import plain_table

    rows = (
        [
            record.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            record.actor,
            f"{record.subject.namespace or _CLUSTER}/{record.subject.name}",
            record.revision,
            record.action,
            record.message,
        ]
        for record in records
    )
    columns = ["TIME (UTC)", "BY", "OBJECT", "REVISION", "ACTION", "MESSAGE"]
    output.console().print(plain_table(columns, rows, indent=0))


def _moment(text: str | None, option: str) -> datetime | None:
    """Read a time, or a length of time before now."""
    if text is None:
        return None
    from mooring_operator.api.types import parse_duration
    from mooring_operator.cli.times import parse

    if moment := parse(text):
        return moment
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        allowed = "a time such as 2026-03-01 or 2026-03-01T12:00:00Z, or a length such as 30m or 24h"
        raise CliError(f"{option} {text!r}: {allowed} is allowed") from None


def _heads(texts: list[str]) -> "dict[str, Head]":
    from mooring_artifacts.audit.records import Head

    heads = {}
    for text in texts:
        if not (match := _HEAD.match(text)):
            raise CliError(f"--head {text!r} is not NAMESPACE/NUMBER/SHA256, as --verify prints it")
        heads[match[1]] = Head(int(match[2]), match[3])
    return heads


@contextmanager
def _told() -> Iterator[None]:
    with needing("extra components", "reading the trail"):
        from mooring_artifacts.errors import InputError, StoreUnavailable

        try:
            yield
        except (InputError, StoreUnavailable) as error:
            raise CliError(str(error)) from error
