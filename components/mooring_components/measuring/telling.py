"""What a pod that measures tells: its last words, which the kubelet reads."""

from contextlib import suppress
from pathlib import Path

SAYS = Path("/dev/termination-log")
_LONGEST_REASON = 160


def tell(said: str, code: int, says: Path = SAYS) -> int:
    """Tell a result, or why there is none, and give the exit code."""
    print(said, flush=True)
    with suppress(OSError):
        # The kubelet's: what stands here when the container ends is told with the pod.
        says.write_text(said)
    return code


def printable(text: object, longest: int = _LONGEST_REASON) -> str:
    """Give what somebody else wrote as it may stand in a message: one line, not too long."""
    line = " ".join(str(text).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:longest]
