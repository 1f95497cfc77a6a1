"""Records of decisions, each with the digest of the one before it. Schema version 1.

The chain is over the bytes as they are stored: nothing has to be written in a canonical form to be checked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from mooring_artifacts.errors import InputError

LARGEST_RECORD = 64 << 10
_NAME = re.compile(r"^([0-9]{12})\.json$")
_LONGEST = 8000

Text = Annotated[str, Field(max_length=_LONGEST)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Subject(_Part):
    """The object that a decision is about."""

    kind: Text
    namespace: Text = ""
    name: Text
    uid: Text
    generation: int


class Entry(_Part):
    """A decision, before it has a place in the trail.

    Attributes:
        id: the same for every attempt to append the same decision.
        time: when it was decided.
        actor: the user who asked for it, or the operator's own name.
        action: what was decided, in one CamelCase word: the reason of the Event that tells of it.
        message: the sentence of that Event, with the numbers that decided.
        subject: the object.
        revision: the revision that it is about; empty where it is about none.
        model: address of the revision's model, and digest of its files, where known.
        run_id: the run that tested it, and what that found.
    """

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    time: AwareDatetime
    actor: Text
    action: Text
    message: Text = ""
    subject: Subject
    revision: Text = ""
    model: Text = ""
    model_digest: Text = ""
    run_id: Text = ""
    verdict: Text = ""


class Record(Entry):
    """A decision in its place: `previous` is the SHA-256 of the bytes of the record before, empty for the first."""

    schema_version: Literal[1] = 1
    sequence: Annotated[int, Field(ge=1)]
    previous: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


@dataclass(frozen=True)
class Head:
    """The last record of a chain: its number, 0 where there is none, and the SHA-256 of its bytes."""

    sequence: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Fault:
    """A place where a trail is not what was written."""

    sequence: int
    message: str


def file_name(sequence: int) -> str:
    """Give the name of a record's file."""
    return f"{sequence:012}.json"


def sequence_of(name: str) -> int | None:
    """Give the number of a record by its file's name; None for other files."""
    match = _NAME.match(name)
    return int(match[1]) if match else None


def seal(entry: Entry, head: Head) -> bytes:
    """Give the record that follows `head`, as it is stored."""
    record = Record(**dict(entry), sequence=head.sequence + 1, previous=head.digest)
    return record.model_dump_json(by_alias=True, exclude_defaults=True).encode() + b"\n"


def head_of(sequence: int, content: bytes) -> Head:
    """Give what the next record refers to."""
    return Head(sequence, hashlib.sha256(content).hexdigest())


def parse_record(content: bytes) -> Record:
    """Read a record.

    Raises:
        InputError: it is none.
    """
    if len(content) > LARGEST_RECORD:
        raise InputError(f"{len(content)} bytes; a record has {LARGEST_RECORD} at most")
    try:
        return Record.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place or 'it'}: {first['msg']}") from error


def check_chain(stored: Iterable[tuple[int, bytes]], *, head: Head | None = None) -> list[Fault]:
    """Find where records are missing, changed or out of order.

    What was cut off at the end leaves no trace in what is left: for that a `head` has to be known from elsewhere.

    Args:
        stored: number, by the file's name, and content, ascending.
        head: a record that was there once.
    """
    faults: list[Fault] = []
    last = Head()
    for sequence, content in stored:
        if fault := _find_fault(sequence, content, last):
            faults.append(fault)
        last = head_of(sequence, content)
        if head is not None and head.sequence == sequence and head.digest != last.digest:
            faults.append(Fault(sequence, "it is not the record that was there"))
    if head is not None and last.sequence < head.sequence:
        faults.append(_missing(last.sequence + 1, head.sequence))
    return faults


def _find_fault(sequence: int, content: bytes, last: Head) -> Fault | None:
    if sequence != last.sequence + 1:
        return _missing(last.sequence + 1, sequence - 1)
    try:
        record = parse_record(content)
    except InputError as error:
        return Fault(sequence, f"it is no record: {error}")
    if record.sequence != sequence:
        return Fault(sequence, f"it says that it is record {record.sequence}")
    if record.previous != last.digest:
        before = f"record {last.sequence}" if last.sequence else "what was before it"
        return Fault(sequence, f"{before} was changed after this one was written, or this one was")
    return None


def _missing(first: int, last: int) -> Fault:
    return Fault(first, "it is missing" if first == last else f"records {first} to {last} are missing")
