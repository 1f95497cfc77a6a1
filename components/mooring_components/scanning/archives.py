"""Members of archives, and what is compressed: as much of it as is looked at, and no more."""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mooring_components.scanning.pickles import Data

LARGEST_DIRECTORY = 16 << 20
"""Of a zip archive, in bytes: one of a hundred thousand members has about a half of that."""
_END, _LONGEST_END = b"PK\x05\x06", 22 + 65535
_END64, _LONGEST_END64 = b"PK\x06\x06", 76
_TAR_BLOCK = 512
_TAR_MAGIC = slice(257, 262)
_LINK_TYPES = b"12"
_FILE_TYPES = b"0\0"
_PIECE = 1 << 20


class ArchiveError(Exception):
    """An archive, or a compressed file, cannot be read; says why."""


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    size: as the archive says. read: gives so many of its bytes, as far as it has them. problem: what is odd about it.
    """

    name: str
    size: int
    read: Callable[[int], bytes]
    problem: str = ""


def open_zip(source: Path | bytes) -> zipfile.ZipFile:
    """Open an archive whose directory is of a size that can be held.

    Raises:
        ArchiveError: it is damaged, or has too many members.
    """
    # Closed with the archive.
    file: BinaryIO = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    try:
        size = _directory_size(file)
        if size > LARGEST_DIRECTORY:
            raise ArchiveError(f"its directory has {size} bytes; {LARGEST_DIRECTORY} are looked at")
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, struct.error) as error:
        file.close()
        raise ArchiveError(f"it is a damaged zip archive ({error})") from None
    except ArchiveError:
        file.close()
        raise


def zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    """The files of an archive; reading them raises ArchiveError."""
    for info in archive.infolist():
        if not info.is_dir():
            linked = "is a link" if stat.S_ISLNK(info.external_attr >> 16) else ""
            yield Member(
                info.filename,
                info.file_size,
                lambda most, info=info: _read_zipped(archive, info, most),  # type: ignore[misc]
                linked or _astray(info.filename),
            )


def is_tar(head: bytes) -> bool:
    """Whether a file begins as a tar archive does."""
    return head[_TAR_MAGIC] == b"ustar"


def tar_members(data: Data) -> Iterator[Member]:
    """The files of an archive, up to the first header that is none."""
    place = 0
    while place + _TAR_BLOCK <= len(data):
        header = bytes(data[place : place + _TAR_BLOCK])
        if header[_TAR_MAGIC] != b"ustar":
            return
        size, kind = _tar_size(header[124:136]), header[156:157]
        name = header[:100].rstrip(b"\0").decode(errors="replace")
        start = place + _TAR_BLOCK
        if kind in _LINK_TYPES:
            yield Member(name, 0, lambda _: b"", "is a link")
        elif kind in _FILE_TYPES:
            held = min(size, max(len(data) - start, 0))
            yield Member(
                name,
                size,
                lambda most, start=start, held=held: bytes(data[start : start + min(most, held)]),  # type: ignore[misc]
                _astray(name),
            )
        place = start + -(-size // _TAR_BLOCK) * _TAR_BLOCK


def decompress(data: Data, most: int) -> bytes | None:
    """Up to `most` bytes of what a compressed file holds; None where it is none.

    gzip, zlib, bzip2, xz and lzma, as joblib writes them.
    """
    head = bytes(data[:6])
    try:
        if head.startswith(b"\x1f\x8b"):
            return _inflate(data, most, 31)
        if len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0:
            return _inflate(data, most, 15)
        if head.startswith(b"BZh"):
            return _unpack(bz2.BZ2Decompressor(), data, most)
        if head.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
            return _unpack(lzma.LZMADecompressor(memlimit=256 << 20), data, most)
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
        return None
    return None


def _inflate(data: Data, most: int, bits: int) -> bytes:
    unpacker = zlib.decompressobj(bits)
    out, place = bytearray(), 0
    while len(out) < most and not unpacker.eof and place < len(data):
        piece = unpacker.unconsumed_tail or bytes(data[place : place + _PIECE])
        place += 0 if unpacker.unconsumed_tail else len(piece)
        out += unpacker.decompress(piece, most - len(out))
    return bytes(out)


def _unpack(unpacker: bz2.BZ2Decompressor | lzma.LZMADecompressor, data: Data, most: int) -> bytes:
    out, place = bytearray(), 0
    while len(out) < most and not unpacker.eof:
        piece = b""
        if unpacker.needs_input:
            piece = bytes(data[place : place + _PIECE])
            place += len(piece)
            if not piece:
                break
        out += unpacker.decompress(piece, most - len(out))
    return bytes(out)


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    try:
        with archive.open(info) as file:
            return file.read(min(most, info.file_size))
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        lzma.LZMAError,
        struct.error,
    ) as error:
        raise ArchiveError(f"cannot be read ({error})") from None


def _directory_size(file: BinaryIO) -> int:
    """Bytes of a zip archive's directory, as its end says: the larger number where it says two."""
    end = file.seek(0, io.SEEK_END)
    length = min(end, _LONGEST_END + _LONGEST_END64)
    file.seek(end - length)
    tail = file.read(length)
    file.seek(0)
    sizes = [0]
    if (place := tail.rfind(_END)) >= 0 and len(tail) >= place + 16:
        (size,) = struct.unpack_from("<I", tail, place + 12)
        sizes.append(0 if size == 0xFFFFFFFF else size)
    if (place := tail.rfind(_END64)) >= 0 and len(tail) >= place + 48:
        sizes.append(struct.unpack_from("<Q", tail, place + 40)[0])
    return max(sizes)


def _tar_size(text: bytes) -> int:
    # Large files have their size in binary.
    if text[:1] == b"\x80":
        return int.from_bytes(text[4:], "big")
    digits = text.strip(b"\0 ")
    return int(digits, 8) if digits and all(digit in b"01234567" for digit in digits) else 0


def _astray(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    return "leads out of its archive" if ".." in parts or name.startswith(("/", "\\")) else ""
