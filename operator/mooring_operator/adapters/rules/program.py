"""Evaluates rules: a line of JSON in, a line for each rule out. What tenants write runs here and nowhere else.

The kernel holds the process to its limits: memory in all, CPU time for each question, no files, no other
processes, nothing in its environment. It keeps nothing of one question for the next but the names of the facts.

Source of the language: Common Expression Language, google/cel-spec.
"""

import json
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

_OUT_OF_MEMORY = b'{"memory": true}\n'
_LONGEST_SHOWN = 200
_NICENESS = 10
_LINUX = sys.platform == "linux"
"""On other systems, where people run the command line, memory is not limited."""
_TOO_MANY_STEPS = "Iteration budget exceeded"
"""What the library says of an expression that goes round its loops more than 10,000 times."""
_PLACE = re.compile(r"<input>:(-?\d+):(-?\d+): ")
_WRAPPING = re.compile(r"^([A-Z_]+: )?(ERROR: )?| expecting \{.*| \(in container ''\)| \[[A-Z_]+\]$")


def main(memory: int, seconds: float) -> None:
    """Answer questions until stdin ends; each may take `seconds` of CPU time, all together `memory` bytes."""
    # Opened before no file can be opened any more. The peak that getrusage knows may be the parent's.
    usage = os.open("/proc/self/statm", os.O_RDONLY) if _LINUX else None
    _limit(memory)
    _write({"ready": True})
    for line in sys.stdin.buffer:
        # The default action of SIGPROF ends the process, whatever it is in the middle of.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            for problem, untrue in _problems(json.loads(line)):
                _write({"problem": problem, "expensive": _is_expensive(problem), "untrue": untrue})
        except MemoryError:
            os.write(1, _OUT_OF_MEMORY)
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        if usage is not None and _used(usage) > memory / 2:
            # What is left of one question must not make the next one fail.
            _write({"done": True, "again": False})
            return
        _write({"done": True, "again": True})


def _limit(memory: int) -> None:
    os.nice(_NICENESS)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        # Where memory runs out all the same, this process goes and the operator stays.
        score.write("1000")
    # The library logs what nobody reads, and its pipe must not fill up.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    # The first use of everything loads what it needs.
    list(_problems({"expressions": ["has(a.b) && a.b.matches('b')", "a >"], "facts": {"a": {"b": "b"}}}))
    limits = {
        resource.RLIMIT_NOFILE: 3,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in (limits | ({resource.RLIMIT_AS: memory} if _LINUX else {})).items():
        resource.setrlimit(limit, (value, value))


def _used(usage: int) -> int:
    """Give the bytes of address space that the process has."""
    return int(os.pread(usage, 100, 0).split()[0]) * resource.getpagesize()


def _write(answer: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _problems(question: Mapping[str, Any]) -> Iterator[tuple[str | None, bool]]:
    """Yield for every expression why it is not true, or where there are no facts, why it cannot be read.

    With it: whether that is because it is false.
    """
    facts = question["facts"]
    names = question["names"] if facts is None else facts
    environment = _environment(frozenset(names))
    for expression in question["expressions"]:
        try:
            yield _problem(environment, expression, facts)
        except MemoryError:
            raise
        except Exception as error:
            # Whatever an expression makes the library raise, it is not met.
            yield f"{_cut(expression)} cannot be evaluated: {_one_line(error)}", False


@lru_cache(maxsize=8)
def _environment(names: frozenset[str]) -> Any:
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


def _problem(environment: Any, expression: str, facts: Mapping[str, Any] | None) -> tuple[str | None, bool]:
    try:
        program = environment.compile(expression)
    except RuntimeError as error:
        return f"the expression cannot be read: {_one_line(error)}", False
    if facts is None:
        gives = program.return_type()
        if gives in (cel.Type.BOOL, cel.Type.DYN):
            return None, False
        return f"it is no condition: it gives {gives.name().lower()}, not true or false", False
    answer = program.eval(data=facts)
    value = answer.plain_value()
    if answer.type() == cel.Type.ERROR:
        return f"{_cut(expression)} cannot be evaluated: {_one_line(value)}", False
    if value is not True and value is not False:
        return f"{_cut(expression)} is no condition: it gives {value!r:.60}, not true or false", False
    return (None, False) if value else (f"{_cut(expression)} is not true", True)


def _is_expensive(problem: str | None) -> bool:
    return problem is not None and problem.endswith(_TOO_MANY_STEPS)


def _one_line(error: object) -> str:
    """Give the first line of one of the library's errors, without its wrapping."""
    first = str(error).strip().partition("\n")[0]
    return _cut(_PLACE.sub(_place, _WRAPPING.sub("", first)))


def _place(match: re.Match[str]) -> str:
    line, column = match.groups()
    return "" if int(line) < 0 else f"line {line}, column {column}: "


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
