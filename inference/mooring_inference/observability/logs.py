"""Logs as one JSON object a line: what callers and models can make of it is bounded in length and number."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

# Characters of a message and of each field, and of what is said about an exception.
_LONGEST_TEXT, _LONGEST_EXCEPTION = 1000, 6000
# Frames of each exception's stack, the innermost; and exceptions that led to each other.
_MOST_FRAMES, _MOST_EXCEPTIONS = 12, 3

# Lines of one kind in one period, and kinds that are told apart.
_BURST, _PERIOD_SECONDS, _MOST_KINDS = 10, 10.0, 256

_Kind = tuple[object, ...]

log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "logger", "message"}`` and whatever ``extra={"fields": {...}}`` adds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": shorten(record.getMessage(), _LONGEST_TEXT),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update((name, _bounded(value)) for name, value in fields.items())
        if suppressed := getattr(record, "suppressed", 0):
            line["suppressed"] = suppressed
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = describe_exception(record.exc_info[1])
        return _dumps(line)


class RateLimit(logging.Filter):
    """Lets so many warnings and errors of one kind pass in a period, and counts the others.

    A kind is a logger, a level, a message before its arguments, and the exception and the line that raised it. The
    number that was left out is a field of the kind's next line, or of the line that ``report_suppressed`` logs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[_Kind, _Count] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        if record.levelno < logging.WARNING:
            return True
        kind = _kind_of(record)
        with self._lock:
            now = self._clock()
            count = self._count(kind, record, now)
            if now - count.since >= _PERIOD_SECONDS:
                record.suppressed = count.suppressed
                count.since, count.lines = now, 0
            count.lines += 1
            return count.lines <= _BURST

    def take_suppressed(self) -> list[tuple[_Kind, int]]:
        """Return kinds of which lines were left out in a period that is over, and how many; each is returned once."""
        with self._lock:
            now = self._clock()
            over = [
                (kind, count)
                for kind, count in self._kinds.items()
                if count.suppressed and now - count.since >= _PERIOD_SECONDS
            ]
            for kind, _ in over:
                del self._kinds[kind]
        return [(kind, count.suppressed) for kind, count in over]

    def _count(self, kind: _Kind, record: logging.LogRecord, now: float) -> _Count:
        count = self._kinds.get(kind)
        if count is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._forget(now)
            if len(self._kinds) >= _MOST_KINDS:
                # Messages that differ each time, as from a library that formats its own: all of a logger are one.
                kind = (record.name,)
                count = self._kinds.get(kind)
        if count is None:
            count = self._kinds[kind] = _Count(now)
        return count

    def _forget(self, now: float) -> None:
        for kind, count in tuple(self._kinds.items()):
            if now - count.since >= _PERIOD_SECONDS and not count.suppressed:
                del self._kinds[kind]


@dataclass(slots=True)
class _Count:
    since: float
    lines: int = 0

    @property
    def suppressed(self) -> int:
        return max(0, self.lines - _BURST)


# One for the process, as log lines go through one handler.
_rate_limit = RateLimit()


def configure_logging(level: int = logging.INFO) -> None:
    """Send every log record to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_rate_limit)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def report_suppressed() -> None:
    """Log how many lines of which kind were left out; to be called periodically."""
    for kind, lines in _rate_limit.take_suppressed():
        logger, *rest = kind
        fields = {"of": logger, "like": rest[1] if rest else "", "lines": lines}
        log.info("log lines were left out", extra={"fields": fields})


def describe_exception(error: BaseException) -> str:
    """Return an exception, those that led to it, and the innermost frames of each, the last one last."""
    parts = [_describe_one(each) for each in _chain(error)]
    return shorten("\n".join(reversed(parts)), _LONGEST_EXCEPTION)


def shorten(text: str, limit: int) -> str:
    """Return the text, with what is left out counted at its end."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text) - limit} characters more)"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(_MOST_EXCEPTIONS):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _describe_one(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES)
    lines = [
        f"{frame.filename}:{frame.lineno} {frame.name}: {shorten(frame.line or '', 120)}" for frame in frames
    ]
    return "\n".join((*lines, shorten(f"{type(error).__name__}: {_text_of(error)}", _LONGEST_TEXT)))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "no text"


def _kind_of(record: logging.LogRecord) -> _Kind:
    error = record.exc_info[1] if record.exc_info else None
    message = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    if error is None:
        return record.name, record.levelno, message[:_LONGEST_TEXT]
    raised_at = error.__traceback__
    while raised_at is not None and raised_at.tb_next is not None:
        raised_at = raised_at.tb_next
    place = (raised_at.tb_frame.f_code, raised_at.tb_lineno) if raised_at is not None else None
    return record.name, record.levelno, message[:_LONGEST_TEXT], type(error), place


def _bounded(value: object) -> object:
    if isinstance(value, str):
        return shorten(value, _LONGEST_TEXT)
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return value if len(text) <= _LONGEST_TEXT else shorten(text, _LONGEST_TEXT)


def _dumps(line: dict[str, object]) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Half of a surrogate pair, as in the name of a file that is not UTF-8; integers of more than 64 bits.
        safe = {name: str(value).encode("utf-8", "backslashreplace").decode() for name, value in line.items()}
        return orjson.dumps(safe).decode()
