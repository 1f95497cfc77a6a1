"""One child process that evaluates rules: started when it is first asked, replaced when it has ended."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion

_PROGRAM = "mooring_operator.adapters.rules.program"
_CHUNK = 64 << 10
_LONGEST_LINE = 64 << 10
_START_S = 20.0
_OUT_OF_TIME = (-signal.SIGPROF, -signal.SIGXCPU)

Answer = dict[str, Any]


class RulesUnavailable(Exception):
    """The rules came to no answer, and not through their own fault; try later."""


@dataclass(frozen=True)
class Limits:
    """What the rules of one policy may use.

    `seconds` is CPU time, so that a busy machine makes no rule expensive; `memory` is in bytes. `deadline` is for
    all else that could hold an answer up, in seconds of the clock.
    """

    seconds: float = 1.0
    memory: int = 128 << 20
    deadline: float = 30.0


class Child:
    """The process, and the conversation with it. One thread asks at a time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._end()

    def ask(self, question: RuleQuestion) -> RuleAnswers:
        """Give the problem of every expression. One that uses up the budget ends the process.

        Raises:
            RulesUnavailable: the process cannot be started, or somebody else ended it.
        """
        process = self.start()
        words = {"expressions": question.expressions, "facts": question.facts, "names": question.names}
        problems: list[str | None] = []
        expensive: set[int] = set()
        untrue: set[int] = set()
        try:
            for answer in _converse(process, json.dumps(words).encode() + b"\n", self._limits.deadline):
                if "problem" in answer:
                    if answer["expensive"]:
                        expensive.add(len(problems))
                    if answer["untrue"]:
                        untrue.add(len(problems))
                    problems.append(answer["problem"])
                elif "memory" in answer:
                    self._end()
                    return _cut_short(question, problems, f"needs more than {self._limits.memory >> 20} MiB")
                else:
                    if not answer["again"]:
                        self._end()
                    if len(problems) != len(question.expressions):
                        raise ValueError("not every rule has an answer")
                    return RuleAnswers(tuple(problems), frozenset(expensive), frozenset(untrue))
        except (TimeoutError, ValueError, KeyError) as error:
            self._end()
            raise RulesUnavailable(f"rules cannot be evaluated: {error}") from error
        return self._ended(process, question, problems)

    def close(self) -> None:
        """End the process, from any thread; what is being asked comes to no answer."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()

    def start(self) -> "subprocess.Popen[bytes]":
        """Have the process ready, a new one where the last has ended.

        Raises:
            RulesUnavailable: it cannot be started.
        """
        if self._closed:
            raise RulesUnavailable("rules cannot be evaluated any more: the process is stopping")
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = _spawn(self._limits)
            _await_ready(self._process)
        return self._process

    def _ended(
        self, process: "subprocess.Popen[bytes]", question: RuleQuestion, problems: list[str | None]
    ) -> RuleAnswers:
        """Give the answers of a process that ended before it had given all of them."""
        code = _exit_code(process)
        self._end()
        if code in _OUT_OF_TIME:
            return _cut_short(question, problems, f"takes more than {self._limits.seconds:g} s of CPU time")
        if code < 0 and code != -signal.SIGKILL:
            return _cut_short(question, problems, f"crashes the evaluation (signal {-code})")
        raise RulesUnavailable(f"rules cannot be evaluated: the process ended with exit code {code}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _cut_short(question: RuleQuestion, problems: list[str | None], why: str) -> RuleAnswers:
    """Give the answers where one expression used up the budget of all: those behind it are not met either."""
    at = min(len(problems), len(question.expressions) - 1)
    behind = len(question.expressions) - at - 1
    rest = [f"it {why}", *["not evaluated: a rule before it used up the budget"] * behind]
    return RuleAnswers((*problems[:at], *rest), frozenset(range(at, len(question.expressions))))


def _spawn(limits: Limits) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-m", _PROGRAM, str(limits.memory), str(limits.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={},
            cwd="/",
        )
    except OSError as error:
        raise RulesUnavailable(f"rules cannot be evaluated: no process can be started: {error}") from error


def _await_ready(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin
    assert process.stderr
    os.set_blocking(process.stdin.fileno(), False)
    try:
        if next(_converse(process, b"", _START_S), None) == {"ready": True}:
            return
        why = process.stderr.read(_CHUNK).decode(errors="replace").strip().splitlines()[-1:]
    except (TimeoutError, ValueError) as error:
        why = [str(error)]
    process.kill()
    process.communicate()
    raise RulesUnavailable(f"rules cannot be evaluated: the process does not start: {(why or [''])[0]:.300}")


def _exit_code(process: "subprocess.Popen[bytes]") -> int:
    """Give the exit code of a process whose output has ended: it is ending by itself, and says so why."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_START_S)
    return -signal.SIGKILL


def _converse(process: "subprocess.Popen[bytes]", request: bytes, deadline: float) -> Iterator[Answer]:
    """Send a line and yield the lines of the answer, until the output ends.

    Raises:
        TimeoutError: the deadline has passed.
        ValueError: the answer is none.
    """
    assert process.stdin
    assert process.stdout
    end = time.monotonic() + deadline
    inward, outward = process.stdin.fileno(), process.stdout.fileno()
    poll = select.poll()
    poll.register(outward, select.POLLIN)
    if request:
        poll.register(inward, select.POLLOUT)
    unsent, received = memoryview(request), b""
    while True:
        # Beyond the last moment too, to find out whether the answer is there.
        for descriptor, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000):
            if descriptor == inward:
                unsent = unsent[_send(inward, unsent) :]
                if not unsent:
                    poll.unregister(inward)
            elif chunk := os.read(outward, _CHUNK):
                *lines, received = (received + chunk).split(b"\n")
                yield from map(json.loads, lines)
            else:
                return
        if time.monotonic() > end:
            raise TimeoutError(f"no answer within {deadline:g} s; the machine is too busy")
        if len(received) > _LONGEST_LINE:
            raise ValueError(f"an answer of more than {_LONGEST_LINE} bytes")


def _send(descriptor: int, content: memoryview) -> int:
    try:
        return os.write(descriptor, content[:_CHUNK])
    except BrokenPipeError:
        # A process that ends without reading says why by its exit code.
        return len(content)
