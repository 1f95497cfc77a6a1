"""``mooring data``: versions of datasets, in a folder or a bucket."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.addresses import as_address
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import NO, CliError, needing
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_artifacts.data_versions.documents import Manifest, Record
    from mooring_artifacts.data_versions.references import Dataset
    from mooring_artifacts.data_versions.store import DataStore
    from mooring_components.data_versions import Push

_HELP = "Versions of datasets, in a folder or a bucket: each is the digest of its files."
_PUSH_HELP = paragraphs(
    """
    Make files of rows the next version of a dataset. Content that the dataset has is the version that it was.

    Of a folder all Parquet, Arrow, CSV and JSON lines are taken. Several may push at once; what is not finished
    is seen by nobody, and goes on where it was when it is pushed again.
    """,
    "mooring data push test.parquet s3://data/versions/iris -m 'labels of March mended'",
    "mooring data push ./test s3://data/versions/iris -o json | jq -r .version",
)
_LIST_HELP = paragraphs(
    "List the datasets of a store, or the versions of one dataset, the newest first.",
    "mooring data list s3://data/versions",
    "mooring data list s3://data/versions/iris",
)
_SHOW_HELP = paragraphs(
    "Show the columns and files of a version: NAME@latest, NAME@3, or NAME@sha256: and 8 or more digits.",
    "mooring data show s3://data/versions/iris@latest",
    "mooring data show s3://data/versions/iris@sha256:8e6c46fc",
)
_DIFF_HELP = paragraphs(
    """
    Say which columns and files are different between two versions. The second may be @NUMBER of the same dataset.

    Exit codes: 0 the same content; 1 different; 2 one cannot be read.
    """,
    "mooring data diff s3://data/versions/iris@3 @latest",
)
_PRUNE_HELP = paragraphs(
    """
    Delete versions that are neither among the newest nor were the newest lately, and files that no version has.

    What a push under way is about to name stays, and a push that begins meanwhile waits. The newest version of a
    dataset is never deleted, and a number is never given again.
    """,
    "mooring data prune s3://data/versions --dry-run",
    "mooring data prune s3://data/versions/iris --keep-last 20 --keep-days 90 --keep 3",
)
_LATEST_HELP = paragraphs(
    "Print the newest version of a dataset as an address that stays that version's.",
    "mooring data latest s3://data/versions/iris",
)

_Version = Annotated[str, typer.Argument(metavar="STORE/NAME@VERSION", help="Path or address.")]
_Dataset = Annotated[str, typer.Argument(metavar="STORE/NAME", help="Path or address.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    data = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")
    data.callback()(lambda: None)
    data.command("push", help=_PUSH_HELP)(push)
    data.command("list", help=_LIST_HELP)(list_versions)
    data.command("show", help=_SHOW_HELP)(show)
    data.command("diff", help=_DIFF_HELP)(diff)
    data.command("latest", help=_LATEST_HELP)(latest)
    data.command("prune", help=_PRUNE_HELP)(prune)
    app.add_typer(data, name="data", rich_help_panel="Before a cluster")


def push(
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="File or folder of rows, or its address.")],
    dataset: _Dataset,
    description: Annotated[
        str, typer.Option("-m", "--message", metavar="TEXT", help="What is new, for people.")
    ] = "",
    form: Output = output.Format.TEXT,
) -> None:
    """Push, and say which version it is."""
    with _told():
        from mooring_artifacts.data_versions.references import parse_dataset
        from mooring_components import data_versions

        to = parse_dataset(as_address(dataset), "STORE/NAME")
        with output.console(stderr=True).status("looking") as status:
            done = data_versions.push(as_address(rows), to, _now(), description, status.update)
    if done.left_out:
        some = ", ".join(done.left_out[:4]) + (", ..." if len(done.left_out) > 4 else "")
        output.say(f"no files of rows, and left out: {some}", stderr=True)
    if form is not output.Format.TEXT:
        output.dump(_as_pushed(done), form)
        return
    _say_pushed(done)


def list_versions(
    place: Annotated[str, typer.Argument(metavar="STORE[/NAME]", help="Path or address.")],
    form: Output = output.Format.TEXT,
) -> None:
    """List a store where datasets are in it, else the dataset of that name."""
    from mooring_operator.cli import data_view

    with _told():
        from mooring_artifacts.data_versions.references import Dataset, parse_dataset
        from mooring_artifacts.data_versions.store import DataStore
        from mooring_artifacts.uris import parse

        address = parse(as_address(place), "STORE", whole_bucket=True)
        store, now = DataStore(address), _now()
        if names := store.names():
            newest = [(name, record) for name in names for record in store.records(name)[-1:]]
            found = [_as_record(Dataset(address, name), record) for name, record in newest]
            table = data_view.datasets_table(newest, now)
        else:
            dataset = parse_dataset(str(address), "STORE/NAME")
            records = DataStore(dataset.store).records(dataset.name)[::-1]
            found = [_as_record(dataset, record) for record in records]
            table = data_view.versions_table(records, now)
    if not found:
        raise _no_datasets(place)
    if form is not output.Format.TEXT:
        output.dump(found, form)
    else:
        output.console().print(table)


def show(version: _Version, form: Output = output.Format.TEXT) -> None:
    """Show one version."""
    from mooring_operator.cli import data_view

    with _told():
        dataset, record, manifest = _find(version)
    if form is not output.Format.TEXT:
        files = manifest.model_dump(mode="json", by_alias=True)
        output.dump(
            {**_as_record(dataset, record), "columns": files["columns"], "files": files["files"]}, form
        )
    else:
        output.console().print(data_view.VersionView(dataset, record, manifest, _now()))


def diff(
    before: _Version,
    after: Annotated[str, typer.Argument(metavar="[STORE/NAME]@VERSION", help="What it is compared with.")],
    form: Output = output.Format.TEXT,
) -> None:
    """Compare two versions."""
    from dataclasses import asdict

    from mooring_operator.cli import data_view

    if after.startswith("@"):
        after = before.rpartition("@")[0] + after
    with _told():
        from mooring_artifacts.data_versions.comparing import compare

        (old, old_record, old_files), (new, new_record, new_files) = _find(before), _find(after)
        found = compare(old_files, new_files)
    names = (f"{old}@{old_record.number}", f"{new}@{new_record.number}")
    if form is not output.Format.TEXT:
        changes = asdict(found)
        for change in changes["files"]:
            for side in ("before", "after"):
                change[side] = change[side] and change[side].model_dump(mode="json", by_alias=True)
        output.dump({"before": names[0], "after": names[1], **changes}, form)
    else:
        output.console().print(data_view.DifferenceView(*names, found))
    if found:
        raise typer.Exit(NO)


def latest(dataset: _Dataset, form: Output = output.Format.TEXT) -> None:
    """Print one address."""
    with _told():
        found, record, _ = _find(f"{dataset}@latest")
    if form is not output.Format.TEXT:
        output.dump(_as_record(found, record), form)
    else:
        sys.stdout.write(f"{found}@{record.number}\n")


def prune(
    place: Annotated[str, typer.Argument(metavar="STORE[/NAME]", help="Path or address.")],
    keep_last: Annotated[
        int, typer.Option(metavar="N", min=1, help="The newest so many of each dataset.")
    ] = 10,
    keep_days: Annotated[
        int, typer.Option(metavar="DAYS", min=1, max=36500, help="What was the newest within so many days.")
    ] = 30,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="VERSION", help="A number or digest of STORE/NAME; repeat.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, no more.")] = False,
    form: Output = output.Format.TEXT,
) -> None:
    """Prune a store where datasets are in it, else the dataset of that name."""
    from mooring_operator.cli import data_view

    with _told():
        from mooring_artifacts.data_versions.pruning import Rule
        from mooring_artifacts.data_versions.pruning import prune as prune_store
        from mooring_artifacts.data_versions.references import check_selector

        store, names, single = _datasets(place)
        selectors = [check_selector(each, "--keep") for each in keep or []]
        if selectors and not single:
            raise CliError("--keep needs one dataset: STORE/NAME")
        rule, now = Rule(keep_last, timedelta(days=keep_days), selectors), _now()
        with output.console(stderr=True).status("looking"):
            found = prune_store(store, names, rule, now, dry_run=dry_run)
    if form is not output.Format.TEXT:
        versions = [_as_record(dataset, record) for dataset, record in found.versions]
        output.dump(
            {"dryRun": dry_run, "versions": versions, "files": found.files, "bytes": found.size}, form
        )
        return
    if found.versions:
        output.console().print(data_view.pruned_table(found.versions, now))
    counts = ((len(found.versions), "version"), (found.files, "file"))
    words = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts]
    output.say(f"{'would be ' * dry_run}deleted: {', '.join([*words, data_view.size(found.size)])}")


def _datasets(place: str) -> "tuple[DataStore, list[str], bool]":
    """The store and its datasets, or that and the one of this name; whether it is the name of one."""
    from mooring_artifacts.data_versions.references import parse_dataset
    from mooring_artifacts.data_versions.store import DataStore
    from mooring_artifacts.uris import parse

    address = parse(as_address(place), "STORE", whole_bucket=True)
    store = DataStore(address)
    if names := store.names():
        return store, names, False
    dataset = parse_dataset(str(address), "STORE/NAME")
    store = DataStore(dataset.store)
    if dataset.name not in store.names():
        raise _no_datasets(place)
    return store, [dataset.name], True


def _no_datasets(place: str) -> CliError:
    return CliError(
        f"{place} holds no datasets, and is none", hint="mooring data push ROWS STORE/NAME makes one"
    )


def _find(text: str) -> "tuple[Dataset, Record, Manifest]":
    from mooring_artifacts.data_versions.references import parse_reference
    from mooring_artifacts.data_versions.store import DataStore

    reference = parse_reference(as_address(text), "VERSION")
    store = DataStore(reference.dataset.store)
    record = store.find(reference, "VERSION")
    return reference.dataset, record, store.manifest(record.version)


@contextmanager
def _told() -> Iterator[None]:
    with needing("extra components", "reading datasets"):
        from mooring_artifacts.errors import InputError, StoreUnavailable

        try:
            yield
        except (InputError, StoreUnavailable) as error:
            raise CliError(str(error)) from error


def _say_pushed(done: "Push") -> None:
    from mooring_operator.cli import data_view

    record = done.pushed.record
    name = f"{done.dataset}@{record.number}"
    if done.pushed.new:
        output.say(f"{name} is new: {data_view.holds(record)}", style="green")
    else:
        output.say(f"{name} has this content since {record.pushed_at:%Y-%m-%d %H:%M} UTC: nothing is new")
        if record.version != done.manifest.version:
            output.say("its files are called otherwise: the names in that version count")
    for other in done.elsewhere[:4]:
        output.say(f"{other} is the same version")
    output.say(record.version)


def _as_pushed(done: "Push") -> dict[str, Any]:
    return {
        **_as_record(done.dataset, done.pushed.record),
        "new": done.pushed.new,
        "uploaded": done.uploaded,
        "leftOut": list(done.left_out),
        "sameVersions": [str(other) for other in done.elsewhere],
    }


def _as_record(dataset: "Dataset", record: "Record") -> dict[str, Any]:
    return {"uri": f"{dataset}@{record.number}", "name": dataset.name, **_as_json(record)}


def _as_json(record: "Record") -> dict[str, Any]:
    return record.model_dump(mode="json", by_alias=True, exclude={"schema_version", "content"})


def _now() -> datetime:
    return datetime.now(UTC)
