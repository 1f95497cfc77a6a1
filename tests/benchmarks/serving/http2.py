"""The client's side of one gRPC connection with one call at a time, no more than a load generator needs.

HTTP/2 as in RFC 9113, header compression as in RFC 7541, gRPC over HTTP/2 for unary calls.
"""

from __future__ import annotations

import struct

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_LARGEST_WINDOW = 2**31 - 1
_DEFAULT_WINDOW = 65535


class ProtocolError(Exception):
    """The server ended the stream or the connection."""


class Http2Exchange:
    """Makes the bytes of the calls and reads the answers; knows no sockets."""

    def __init__(self, authority: str, path: str, message: bytes) -> None:
        self._message = b"\0" + struct.pack("!I", len(message)) + message
        self._first_block, self._next_block = _header_blocks(authority, path)
        self.reset()

    def reset(self) -> None:
        """Begin a new connection."""
        self._stream = -1
        self._buffer = b""
        self._body: list[bytes] = []
        self._window = self._stream_window = _DEFAULT_WINDOW
        self._waiting = b""
        self._received = 0
        self.failed = False
        self.closes = False

    def opening(self) -> bytes:
        """What a connection starts with: the preface, and windows so large that they need no care."""
        settings = struct.pack("!HI", 4, _LARGEST_WINDOW)
        window = struct.pack("!I", _LARGEST_WINDOW - _DEFAULT_WINDOW)
        return (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, window)
        )

    def request(self) -> bytes:
        """The next call, as far as the server's window lets it go now."""
        block = self._first_block if self._stream < 0 else self._next_block
        self._stream += 2
        self._body = []
        headers = _frame(_HEADERS, _END_HEADERS, self._stream, block)
        data = _frame(_DATA, _END_STREAM, self._stream, self._message)
        if len(self._message) > min(self._window, self._stream_window):
            self._waiting = data
            return headers
        self._window -= len(self._message)
        return headers + data

    def receive(self, data: bytes) -> tuple[bytes | None, bytes]:
        """The answer's message if it is complete, and what must be sent now.

        Raises:
            ProtocolError: the server will not answer this call.
        """
        buffer = self._buffer + data if self._buffer else data
        position, end, answer, replies = 0, len(buffer), None, b""
        while end - position >= 9:
            length = int.from_bytes(buffer[position : position + 3], "big")
            if end - position - 9 < length:
                break
            kind, flags = buffer[position + 3], buffer[position + 4]
            stream = int.from_bytes(buffer[position + 5 : position + 9], "big")
            payload = buffer[position + 9 : position + 9 + length]
            position += 9 + length
            if kind in (_DATA, _HEADERS):
                if kind == _DATA:
                    self._body.append(payload)
                    self._received += length
                if flags & _END_STREAM:
                    answer = b"".join(self._body)[5:]
                    # A failed call has trailers and no message.
                    self.failed = not answer
            else:
                replies += self._control(kind, flags, stream, payload)
        self._buffer = buffer[position:]
        if self._received > _LARGEST_WINDOW // 2:
            replies += _frame(_WINDOW_UPDATE, 0, 0, struct.pack("!I", self._received))
            self._received = 0
        return answer, replies

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if kind == _SETTINGS and not flags & _ACK:
            for offset in range(0, len(payload), 6):
                setting, value = struct.unpack_from("!HI", payload, offset)
                if setting == 4:
                    self._stream_window = value
            return _frame(_SETTINGS, _ACK, 0, b"") + self._release()
        if kind == _PING and not flags & _ACK:
            return _frame(_PING, _ACK, 0, payload)
        if kind == _WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
            return self._release()
        if kind == _RST_STREAM:
            raise ProtocolError("the server reset the stream")
        if kind == _GOAWAY:
            # Calls up to the stream that it names are still answered.
            if int.from_bytes(payload[:4], "big") < self._stream:
                raise ProtocolError("the server refused the call")
            self.closes = True
        return b""

    def _release(self) -> bytes:
        if not self._waiting or len(self._message) > min(self._window, self._stream_window):
            return b""
        waiting, self._waiting = self._waiting, b""
        self._window -= len(self._message)
        return waiting


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _header_blocks(authority: str, path: str) -> tuple[bytes, bytes]:
    """The headers of a connection's first call, which the server puts in its table, and of all later ones."""
    static = b"\x83\x86"  # :method POST, :scheme http
    added = (
        b"\x44" + _text(path)
        + b"\x41" + _text(authority)
        + b"\x5f" + _text("application/grpc")
        + b"\x40" + _text("te") + _text("trailers")
    )  # fmt: skip
    # The table counts backwards from 62, the entry that came last.
    return static + added, static + bytes(0x80 | index for index in (65, 64, 63, 62))


def _text(value: str) -> bytes:
    raw = value.encode()
    if len(raw) > 126:
        raise ValueError(f"longer than 126 bytes: {value!r}")
    return bytes((len(raw),)) + raw
