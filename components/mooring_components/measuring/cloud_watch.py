"""A number of Amazon CloudWatch's.

Source: CloudWatch API reference, 2010-08-01, GetMetricData, by protocol AWS JSON 1.0; botocore's service model has the
name of its target. Requests are signed by AWS Common Runtime, which also knows the identity of a pod: IAM roles for
service accounts, EKS Pod Identity.
"""

import json
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2 as httpx

from mooring_components.measuring.asking import REQUEST_S, Answered, Line, NoNumberError, as_number
from mooring_components.measuring.keys import read_key, read_keys
from mooring_components.measuring.telling import printable

if TYPE_CHECKING:
    from awscrt.auth import AwsCredentialsProvider

_TARGET = "GraniteServiceVersion20100801.GetMetricData"
_THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "LimitExceededException")
_REFUSED = (
    "AccessDenied",
    "AccessDeniedException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "ExpiredToken",
    "ExpiredTokenException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
)
_IDENTITY_S = 20.0


def client_of(question: Mapping[str, Any]) -> httpx.Client:
    """Give the way to the region that is asked."""
    region = question["region"]
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return httpx.Client(base_url=f"https://monitoring.{region}.{domain}", timeout=REQUEST_S, trust_env=False)


def ask(
    question: Mapping[str, Any],
    keys: Path,
    line: Line,
    now: Callable[[], float] = time.time,
) -> float:
    """Ask for the number of the last whole period.

    Raises:
        NoNumberError: there is none.
    """
    identity = _identity(keys, question["secret"])
    body = json.dumps(_request(question, now())).encode()
    host = line.client.base_url.netloc.decode()

    def headers() -> dict[str, str]:
        return _signed(body, host, question["region"], identity)

    return _read(line.post("/", body, headers, is_later=_is_throttled), question)


def _request(question: Mapping[str, Any], now: float) -> dict[str, Any]:
    period, queries = int(question["period"]), question["queries"]
    until = int(now) // period * period
    last = queries[-1]["id"]
    asked = []
    for query in queries:
        found: dict[str, Any] = {"Id": query["id"], "ReturnData": query["id"] == last}
        if "expression" in query:
            found |= {"Expression": query["expression"], "Period": period}
        else:
            dimensions = [{"Name": name, "Value": value} for name, value in query["dimensions"].items()]
            metric = {"Namespace": query["namespace"], "MetricName": query["name"], "Dimensions": dimensions}
            found["MetricStat"] = {"Metric": metric, "Period": period, "Stat": query["stat"]}
        asked.append(found)
    return {"MetricDataQueries": asked, "StartTime": until - period, "EndTime": until}


def _identity(keys: Path, secret: str) -> "AwsCredentialsProvider":
    from awscrt.auth import AwsCredentialsProvider

    if not secret:
        return AwsCredentialsProvider.new_default_chain()
    known = read_keys(keys, ("accessKeyId", "secretAccessKey"), secret)
    token = read_key(keys, "sessionToken", secret) or None
    return AwsCredentialsProvider.new_static(known["accessKeyId"], known["secretAccessKey"], token)


def _signed(body: bytes, host: str, region: str, identity: "AwsCredentialsProvider") -> dict[str, str]:
    from awscrt.auth import AwsSigningConfig, aws_sign_request
    from awscrt.http import HttpHeaders, HttpRequest

    told = [("Host", host), ("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", _TARGET)]
    request = HttpRequest("POST", "/", HttpHeaders(told), BytesIO(body))
    config = AwsSigningConfig(credentials_provider=identity, region=region, service="monitoring")
    try:
        aws_sign_request(request, config).result(timeout=_IDENTITY_S)
    # What the runtime says has no other kind, and its words may name files and addresses.
    except Exception as error:
        raise NoNumberError(
            f"no identity of AWS for the pod ({type(error).__name__}): give credentialsSecret, or a serviceAccountName "
            "that has a role"
        ) from None
    return {**dict(iter(request.headers)), "Accept-Encoding": "identity"}


def _is_throttled(answered: Answered) -> bool:
    return answered.status == 400 and _kind(answered.json()) in _THROTTLED


def _read(answered: Answered, question: Mapping[str, Any]) -> float:
    said = answered.json()
    kind, message = _kind(said), printable(_message(said))
    if answered.status == 403 or kind in _REFUSED:
        who = f"the keys of Secret {question['secret']}" if question["secret"] else "the pod's identity"
        raise NoNumberError(
            f"CloudWatch refuses {who} ({kind or answered.status}): are they right and not expired, and do they allow "
            "cloudwatch:GetMetricData?"
        )
    if answered.status != 200:
        raise NoNumberError(f"CloudWatch does not take the queries ({kind or answered.status}): {message}")
    results = said.get("MetricDataResults") if isinstance(said, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise NoNumberError("what answers is not CloudWatch: 200, and no MetricDataResults")
    return _number(results, question)


def _number(results: list[dict[str, Any]], question: Mapping[str, Any]) -> float:
    last = question["queries"][-1]["id"]
    found = [result for result in results if result.get("Id") == last]
    if len(found) > 1:
        raise NoNumberError(f"{last} gives {len(found)} series: make one of them, as by SUM({last})")
    status = found[0].get("StatusCode") if found else None
    if status in ("InternalError", "Forbidden"):
        raise NoNumberError(f"CloudWatch gives no data of {last}: {status}")
    values = found[0].get("Values") if found else None
    if not values or not isinstance(values, list):
        raise NoNumberError(
            f"{last} gives no data for the last whole {question['period']:g} s: are its namespace and dimensions "
            f"right? where none means 0, write FILL({last}, 0)"
        )
    value = values[0]
    number = as_number(value)
    if number is None:
        raise NoNumberError(f"{last} gives {printable(value)}, which is no number")
    return number


def _kind(said: Any) -> str:
    """Give the name of an error, without the namespace before it."""
    kind = said.get("__type", "") if isinstance(said, dict) else ""
    return printable(kind).rpartition("#")[2]


def _message(said: Any) -> str:
    found = (said.get("message") or said.get("Message")) if isinstance(said, dict) else None
    return str(found or "it says no more")
