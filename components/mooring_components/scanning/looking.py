"""Look through files and what is packed in them, within bounds of time, memory and depth."""

from __future__ import annotations

import mmap
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mooring_artifacts.errors import InputError
from mooring_artifacts.scans import LONGEST_FILE, LONGEST_FINDING, MOST_FINDINGS, Scan, ScanFinding
from mooring_artifacts.text import in_a_line
from mooring_inference.backends.contents import (
    EXPORTED,
    HDF5,
    LAMBDA,
    ONNX,
    PICKLE,
    TORCHSCRIPT,
    ZIP,
    Content,
    identify,
    identify_archive,
)

from mooring_components.scanning.allowed import Allowed
from mooring_components.scanning.archives import (
    ArchiveError,
    Member,
    decompress,
    is_tar,
    open_zip,
    tar_members,
    zip_members,
)
from mooring_components.scanning.onnx_files import read_onnx
from mooring_components.scanning.pickles import Data, Opcodes, Pickle, is_early_pickle, read_pickle

DEEPEST = 4
_HEAD = 512
_LARGEST_MEMBER = 64 << 20
_LARGEST_TEXT = 1 << 20
_MOST_NAMED = 5
_NPY = b"\x93NUMPY"
_LONGEST_NPY_HEAD = 1 << 20
_LAMBDA = re.compile(rb'"class_name"\s{0,4}:\s{0,4}"Lambda"')


class FormatRefused(InputError):
    """A file is of a content that the model's format does not allow."""


@dataclass
class Limits:
    """What may still be looked at: bytes out of archives, their members, and opcodes of pickles."""

    unpacked: int = 256 << 20
    members: int = 20_000
    opcodes: Opcodes = field(default_factory=Opcodes)


class Looker:
    """Looks at files of one model, one after the other.

    allowed: what they may be. judged: paths of files whose format is judged by who loads them.
    """

    def __init__(self, allowed: Allowed, judged: Sequence[str] = (), limits: Limits | None = None) -> None:
        self._allowed = allowed
        self._judged = frozenset(judged)
        self._limits = limits or Limits()
        self._findings: list[ScanFinding] = []
        self._left_out = 0
        self._files = 0

    def look(self, path: Path, name: str) -> None:
        """Look at the file at `path`, which is called `name` in the model's folder.

        Raises:
            FormatRefused: it, or what is packed in it, may not be there.
        """
        self._files += 1
        if not path.stat().st_size:
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            self._look(name, data, path, 0, kept=name in self._judged)

    def scan(self) -> Scan:
        """What was found."""
        return Scan(files=self._files, findings=self._findings, left_out=self._left_out)

    def _look(self, name: str, data: Data, source: Path | bytes, depth: int, *, kept: bool) -> None:
        """Look at some bytes; `kept`: what runs code may be among them, for who loads them looks at that himself."""
        head = bytes(data[:_HEAD])
        if head.startswith(ZIP):
            self._look_into_zip(name, source, depth, kept=kept)
        elif is_tar(head):
            for member in tar_members(data):
                if not self._look_at_member(name, member, depth, kept=kept):
                    return
        elif (unpacked := decompress(data, min(self._limits.unpacked, _LARGEST_MEMBER))) is not None:
            self._limits.unpacked -= len(unpacked)
            if len(unpacked) >= _LARGEST_MEMBER or not self._limits.unpacked:
                self._find("unread", name, f"is compressed, and was looked at up to {len(unpacked)} bytes")
            self._look_deeper(name, unpacked, depth, kept=kept)
        else:
            self._look_at_plain(name, data, head, kept=kept)

    def _look_into_zip(self, name: str, source: Path | bytes, depth: int, *, kept: bool) -> None:
        try:
            archive = open_zip(source)
        except ArchiveError as error:
            self._find("archive", name, str(error))
            return
        with archive:
            content = identify_archive(archive.namelist())
            if content.runs_code:
                self._judge(name, content, kept=kept)
            if content == TORCHSCRIPT:
                self._find("code", name, content.told)
            # Their own readers look at the pickles in them.
            inner = kept or content in (EXPORTED, TORCHSCRIPT)
            self._look_at_members(name, archive, depth, kept=inner)

    def _look_at_members(self, name: str, archive: zipfile.ZipFile, depth: int, *, kept: bool) -> None:
        for member in zip_members(archive):
            if not self._look_at_member(name, member, depth, kept=kept):
                return

    def _look_at_member(self, name: str, member: Member, depth: int, *, kept: bool) -> bool:
        """Look at a file in an archive; False where no more of them can be looked at."""
        called, limits = f"{name}!{member.name}", self._limits
        if limits.members <= 0 or limits.unpacked <= 0:
            self._find("unread", name, "holds more than is looked at")
            return False
        limits.members -= 1
        if member.problem:
            self._find("archive", called, member.problem)
        try:
            head = member.read(_HEAD)
            if not head or not _may_matter(head, member.size):
                return True
            data = member.read(min(_LARGEST_MEMBER, limits.unpacked))
        except ArchiveError as error:
            self._find("unread", called, str(error))
            return True
        limits.unpacked -= len(data)
        if len(data) < member.size:
            self._find("unread", called, f"was looked at up to {len(data)} of {member.size} bytes")
        self._look_deeper(called, data, depth, kept=kept)
        return True

    def _look_deeper(self, name: str, data: bytes, depth: int, *, kept: bool) -> None:
        if depth < DEEPEST:
            self._look(name, data, data, depth + 1, kept=kept)
        else:
            self._find("archive", name, f"is packed more than {DEEPEST} times")

    def _look_at_plain(self, name: str, data: Data, head: bytes, *, kept: bool) -> None:
        if head.startswith(_NPY):
            place = _objects_in(bytes(data[:_LONGEST_NPY_HEAD]))
            if place is not None:
                self._look_at_pickle(name, data, place, "is an array of objects: it", kept=kept)
            return
        content = identify(head, len(data))
        if content is not None and content.runs_code and content != PICKLE:
            self._judge(name, content, kept=kept)
            self._find("code", name, content.told)
        elif content == ONNX:
            self._look_at_onnx(name, data)
        elif content == HDF5 or (head[:1] == b"{" and len(data) <= _LARGEST_MEMBER):
            if _LAMBDA.search(data):
                self._judge(name, LAMBDA, kept=kept)
                self._find("code", name, LAMBDA.told)
        elif content == PICKLE or (
            len(data) <= _LARGEST_TEXT and is_early_pickle(data, self._limits.opcodes)
        ):
            self._look_at_pickle(name, data, 0, "", kept=kept)

    def _look_at_pickle(self, name: str, data: Data, place: int, prefix: str, *, kept: bool) -> None:
        found = read_pickle(data, place, self._limits.opcodes)
        if kept and found.only_values:
            return
        if not found.names and not found.complete and self._limits.opcodes.left:
            # Other bytes, such as raw weights, that begin as a pickle does: reading them as one fails.
            return
        told = f"{prefix} {PICKLE.told}".strip() + _imports(found)
        self._judge(name, PICKLE, kept=kept, told=told)
        self._find("pickle", name, told)

    def _look_at_onnx(self, name: str, data: Data) -> None:
        found = read_onnx(data)
        folder = PurePosixPath(name.rpartition("!")[2]).parent
        for location in sorted(found.locations):
            if _leads_out(folder, location):
                where = _shown(repr(location), 100)
                raise FormatRefused(
                    f"{_shown(name, LONGEST_FILE)} has its weights in {where}, outside of the model's folder"
                )
        if found.domains:
            message = f"uses operators that are none of the standard: {_named(sorted(found.domains))}"
            self._find("custom-operators", name, message)

    def _judge(self, name: str, content: Content, *, kept: bool, told: str = "") -> None:
        if not kept and (why := self._allowed.refuses(content)):
            raise FormatRefused(f"{_shown(name, LONGEST_FILE)} {told or content.told}; {why}")

    def _find(self, kind: str, name: str, message: str) -> None:
        if len(self._findings) == MOST_FINDINGS:
            self._left_out += 1
            return
        file, said = _shown(name, LONGEST_FILE), _shown(message, LONGEST_FINDING)
        self._findings.append(ScanFinding(kind=kind, file=file, message=said))


def _shown(text: str, longest: int) -> str:
    """Text of a file's, in a line, as Kubeflow Pipelines takes it.

    Between steps it replaces placeholders, and its database holds no emoji.
    """
    line = in_a_line(text, longest).replace("{{", "{ {")
    return "".join(one if one <= "\uffff" else f"\\U{ord(one):08x}" for one in line)[:longest]


def _may_matter(head: bytes, size: int) -> bool:
    """Whether more of a file in an archive has to be read: raw weights are long, and nothing is told by their heads."""
    known = head.startswith((ZIP, _NPY, b"BZh", b"\xfd7zXZ\0", b"\x5d\0\0", b"\x78")) or is_tar(head)
    return known or identify(head, size) is not None or size <= _LARGEST_TEXT


def _objects_in(head: bytes) -> int | None:
    """Where the pickle of an array of objects begins; None where the array has plain values."""
    wide = head[6:7] > b"\x01"
    start = 12 if wide else 10
    end = start + int.from_bytes(head[8:start], "little")
    return end if b"'|O'" in head[start:end] else None


def _imports(found: Pickle) -> str:
    if found.names:
        return f"; it would import {_named(found.names)}"
    return "" if found.complete else ", and was looked at in part"


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(ascii(name)[1:-1][:60] for name in names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")


def _leads_out(folder: PurePosixPath, location: str) -> bool:
    """Whether a path beside a file in `folder` leads out of the model's folder."""
    path = location.replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or "\0" in path:
        return True
    depth = len([part for part in folder.parts if part != "."])
    for part in path.split("/"):
        depth += -1 if part == ".." else int(part not in ("", "."))
        if depth < 0:
            return True
    return False
