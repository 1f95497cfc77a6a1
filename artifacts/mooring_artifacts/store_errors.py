"""Whether a store that failed is out, or has answered: the first is nobody's fault and passes, the second stays.

Source: obstore 0.12, whose errors have an answer's status in their text alone.
"""

from __future__ import annotations

import html
import re

import obstore.exceptions

from mooring_artifacts.errors import AccessError, InputError, StoreUnavailable, first_line
from mooring_artifacts.text import in_a_line

FAILURES = (obstore.exceptions.BaseError, OSError)
"""What obstore, and reading a local file, raise where a store fails."""
_STATUS = re.compile(r"Server returned non-2xx status code: (\d{3})\b(?: [A-Z][A-Za-z ]*)?")
# What S3, Google Cloud Storage and Azure answer with, where they answer with more than a status.
_REASON = re.compile(
    r"<Error>.*?<Code>([^<]{1,100})</Code>(?:.*?<Message>([^<]{1,1000})</Message>)?", re.DOTALL
)
_LONGEST_REASON = 300
_REFUSAL_CODES = frozenset(
    {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestExpired", "XAdminUserNotFound"}
)
"""With status 400, in S3; the last with 404, in versitygw."""
_ARCHIVED = "InvalidObjectState"
"""With status 403, in S3: of an object that is to be restored first."""
_NO_BUCKET_CODES = frozenset({"NoSuchBucket", "ContainerNotFound"})
_OTHER_REGION = "the bucket is in another region than AWS_REGION says, or is not at AWS_ENDPOINT"
_OTHER_REGION_SIGNS = (
    "Received redirect without LOCATION",
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
)
_NO_REASON = (
    "no reason is given; S3 does so where a session token has expired, or AWS_REGION is not the bucket's"
)
_TOOK = re.compile(r" in [0-9.]+(?:ns|µs|ms|s)\b")
_BAD_REQUEST = 400
_REFUSED = (401, 403)
# Timed out, too early, too many requests; beside them all from 500 on.
_BUSY = (408, 425, 429)
# Nobody answered, or not to the end.
_NO_ANSWER = "HTTP error:"
# Path and cause, out of what obstore says of the file system.
_OF_A_FILE = re.compile(r"Generic LocalFileSystem error: [^/]*(/.*: .*) \(os error \d+\)$")
_NO_CREDENTIALS = (
    "there are no credentials: neither variables such as AWS_ACCESS_KEY_ID, nor an identity of the "
    "service account's"
)
_CLOUD_IDENTITY = ("/latest/api/token", "/latest/meta-data/", "/computeMetadata/", "/metadata/identity/")
"""Where clouds give a pod its identity, which clients of stores ask last: on AWS, Google Cloud and Azure."""


def store_failure(error: BaseException) -> str:
    """Say in one line why a store does not serve, with the reason that it gives; the same failure gives the same line.

    That credentials are missing or refused, that there is no such bucket, and that its region is another one, is said
    as that.
    """
    line = first_line(error)
    if _has_no_credentials(line):
        return _NO_CREDENTIALS
    if found := _OF_A_FILE.search(line):
        return found[1]
    if any(sign in str(error) for sign in _OTHER_REGION_SIGNS):
        return _OTHER_REGION
    if (answer := _STATUS.search(line)) is None:
        return _TOOK.sub("", line)
    return _told(answer, _REASON.search(str(error)))


def _told(answer: re.Match[str], reason: re.Match[str] | None) -> str:
    """Say what a store has answered: its status, and the code and message of its body."""
    status, code = int(answer[1]), reason[1] if reason else ""
    told = f"{answer[0].partition(': ')[2]}{f', {reason[2] or code}' if reason else ''}"
    if reason and reason[2]:
        told = f"{told} ({code})"
    elif status == _BAD_REQUEST and not reason:
        told = f"{told}, {_NO_REASON}"
    told = in_a_line(html.unescape(told), _LONGEST_REASON)
    if _refuses(status, code):
        return f"the store refuses the credentials: {told}"
    return f"there is no such bucket: {told}" if code in _NO_BUCKET_CODES else told


def failed(what: str, error: BaseException) -> InputError | StoreUnavailable:
    """The error to raise where a store failed: StoreUnavailable where it is out, InputError where it has answered.

    It is out where it did not answer, not in time or not to the end, or with 408, 425, 429 or 5xx. Answers are that
    there is nothing, that the credentials are none (AccessError), and whatever else a later request would get again.

    Args:
        what: could not be done, such as "test_data_uri 's3://b/x' cannot be read".
        error: one of `FAILURES`.
    """
    message = f"{what}: {store_failure(error)}"
    if is_outage(error):
        return StoreUnavailable(message)
    return AccessError(message) if _is_refusal(error) else InputError(message)


def is_outage(error: BaseException) -> bool:
    """Whether the store did not answer, or said that it cannot now."""
    line = first_line(error)
    if not isinstance(error, obstore.exceptions.BaseError) or _has_no_credentials(line):
        return False
    status = _status(line)
    return status >= 500 or status in _BUSY if status is not None else _NO_ANSWER in line


def _is_refusal(error: BaseException) -> bool:
    line = first_line(error)
    if isinstance(error, PermissionError) or _has_no_credentials(line):
        return True
    status, reason = _status(line), _REASON.search(str(error))
    return status is not None and _refuses(status, reason[1] if reason else "")


def _refuses(status: int, code: str) -> bool:
    return (status in _REFUSED and code != _ARCHIVED) or code in _REFUSAL_CODES


def _has_no_credentials(line: str) -> bool:
    return any(path in line for path in _CLOUD_IDENTITY)


def _status(line: str) -> int | None:
    found = _STATUS.search(line)
    return int(found[1]) if found else None
