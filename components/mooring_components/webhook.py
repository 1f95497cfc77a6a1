"""Asks a webhook until it says yes or no: what the pod of a rollout's step runs.

2xx is a yes; 403, 409 and 422 are a no; anything else, and silence, is asked again until the time is over. Redirects
are not followed: another address is another question.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.webhooks import BODY, INSUFFICIENT, NO, SECONDS, URL, YES

REFUSALS = frozenset({403, 409, 422})
_REQUEST_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 30.0
_LARGEST_ANSWER, _LARGEST_HEADER = 4096, 8192
_LONGEST_REASON = 200
_HEADER = re.compile("[A-Za-z0-9][-A-Za-z0-9_.]*")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_SAYS = Path("/dev/termination-log")


@dataclass(frozen=True)
class Answer:
    """What was found out: an exit code, and a sentence."""

    code: int
    reason: str


def ask(
    client: httpx.Client,
    url: str,
    body: str,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Post `body` to `url` until it says yes or no, for `seconds` at most."""
    deadline, pause, times = clock() + seconds, _FIRST_PAUSE_S, 0
    while True:
        times += 1
        code, said = _post(client, url, body)
        if code is not None:
            return Answer(code, said)
        left = deadline - clock()
        if left <= pause:
            return Answer(INSUFFICIENT, f"neither yes nor no in {seconds:g} s, asked {times} times; {said}")
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def read_headers(folder: Path) -> dict[str, str]:
    """Read the headers that a Secret's keys are, one file each.

    Raises:
        InputError: a key is no name of a header, or its value cannot be one; the value is not told.
    """
    headers = {}
    # A mounted Secret has links of its own beside the keys.
    for file in sorted(path for path in folder.iterdir() if not path.name.startswith("..")):
        with file.open("rb") as stream:
            value = stream.read(_LARGEST_HEADER + 1).rstrip(b"\r\n").decode("latin-1")
        if not _HEADER.fullmatch(file.name) or not _VALUE.fullmatch(value) or len(value) > _LARGEST_HEADER:
            raise InputError(
                f"key {file.name} of webhook.headersSecret is no header: keys are letters, digits, - and _, and values "
                f"one line of at most {_LARGEST_HEADER} printable ASCII characters"
            )
        headers[file.name] = value
    return headers


def _post(client: httpx.Client, url: str, body: str) -> tuple[int | None, str]:
    """Ask once: give an exit code, or None where that was neither yes nor no; and what was said."""
    try:
        with client.stream("POST", url, content=body) as response:
            said = _beginning(response)
    except httpx.InvalidURL:
        # Its text has parts of the address, which may be a password.
        return None, "no answer: the address is not a URL"
    except httpx.HTTPError as error:
        return None, f"no answer: {first_line(error)}"
    status = response.status_code
    told = f"it answered {status}{f': {said}' if said else ''}"
    if response.is_success:
        return YES, told
    return NO if status in REFUSALS else None, told


def _beginning(response: httpx.Response) -> str:
    """Give the first line of an answer, of which no more is read than is shown."""
    found, until = b"", time.monotonic() + _REQUEST_S
    for part in response.iter_raw():
        found += part[:_LARGEST_ANSWER]
        if len(found) >= _LARGEST_ANSWER or time.monotonic() > until:
            break
    line = next((line for line in found.decode("utf-8", "replace").splitlines() if line.strip()), "")
    return "".join(character if character.isprintable() else "?" for character in line.strip())[
        :_LONGEST_REASON
    ]


def run(environment: Mapping[str, str], headers: Path, says: Path = _SAYS) -> int:
    """Ask as the environment says, tell what was found out, and give the exit code."""
    try:
        sent = read_headers(headers) if headers.is_dir() else {}
    except (InputError, OSError) as error:
        answer = Answer(INSUFFICIENT, first_line(error))
    else:
        # What is posted is JSON, and what is answered is read as it comes, whatever a Secret says.
        fixed = {
            "User-Agent": "mooring-webhook",
            **sent,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        with httpx.Client(headers=fixed, timeout=_REQUEST_S, trust_env=False) as client:
            answer = ask(client, environment[URL], environment[BODY], float(environment[SECONDS]))
    print(answer.reason, flush=True)
    with suppress(OSError):
        # The kubelet's: what stands here when the container ends is told with the pod.
        says.write_text(answer.reason)
    return answer.code


def main() -> None:
    """Run as a program; the only argument is the folder of the headers."""
    sys.exit(run(os.environ, Path(sys.argv[1] if len(sys.argv) > 1 else "/headers")))


if __name__ == "__main__":
    main()
