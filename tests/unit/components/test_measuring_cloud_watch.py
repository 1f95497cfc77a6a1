"""A number of CloudWatch's, from a server that checks signatures by itself and answers as documented."""

import hashlib
import hmac
import json
import re

import httpx2 as httpx
import pytest
from mooring_artifacts.measuring import QUESTION, SECONDS
from mooring_artifacts.webhooks import INSUFFICIENT
from mooring_components.measuring.__main__ import run
from mooring_components.measuring.asking import Line, NoNumberError
from mooring_components.measuring.cloud_watch import ask, client_of

from tests.unit.components.monitoring import Monitoring, Reply, Time, serving

pytest.importorskip("awscrt", reason="pinned in requirements/components.txt")

KEYS = {"accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
METRIC = {"id": "m1", "namespace": "AWS/ApplicationELB", "name": "HTTPCode_Target_5XX_Count",
          "dimensions": {"TargetGroup": "tg/a"}, "stat": "Sum"}  # fmt: skip
ASKED = {
    "provider": "cloudWatch",
    "region": "eu-central-1",
    "queries": [METRIC, {"id": "share", "expression": "100 * m1 / 5"}],
    "period": 300.0,
    "secret": "aws",
}
NOW = 1_800_000_123.0


def results(*values, status="Complete", id="share", times=1):
    result = {"Id": id, "Label": id, "Timestamps": [1.8e9] * len(values), "Values": list(values)}
    return Reply({"MetricDataResults": [{**result, "StatusCode": status}] * times, "Messages": []})


def error(kind, status=400, message="no"):
    return Reply({"__type": f"com.amazonaws.cloudwatch.v2010_08_01#{kind}", "message": message}, status)


def signed(path, headers, body):
    """Refuse what is not signed by the key, by AWS' description of Signature Version 4; and other requests."""
    headers = {name.lower(): value for name, value in headers.items()}
    if (path, headers.get("x-amz-target")) != ("/", "GraniteServiceVersion20100801.GetMetricData"):
        return error("UnknownOperationException")
    if headers["content-type"] != "application/x-amz-json-1.0":
        return error("SerializationException")
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/monitoring/aws4_request, SignedHeaders=([^,]+), "
        r"Signature=([0-9a-f]{64})",
        headers["authorization"],
    )
    key, day, region, names, signature = found.groups()
    if key not in (KEYS["accessKeyId"], "ASIAPOD"):
        return error("UnrecognizedClientException", 403)
    canonical = "".join(f"{name}:{headers[name].strip()}\n" for name in names.split(";"))
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join(["POST", path, "", canonical, names, digest])
    scope = f"{day}/{region}/monitoring/aws4_request"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashed])
    secret = f"AWS4{KEYS['secretAccessKey']}".encode()
    for part in (day, region, "monitoring", "aws4_request", text):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    if secret.hex() != signature or "host" not in names.split(";"):
        return error("InvalidSignatureException", 403)
    data = json.loads(body)
    if data["StartTime"] >= data["EndTime"] or not data["MetricDataQueries"]:
        return error("InvalidParameterValue")
    return None


@pytest.fixture
def keys(tmp_path):
    for name, value in KEYS.items():
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


@pytest.fixture
def watch():
    with serving(Monitoring([results(1.5)], signed)) as service:
        yield service


def number(service, keys, time=None, **changes):
    clock = time or Time()
    with httpx.Client(base_url=service.url, timeout=5, trust_env=False) as client:
        line = Line(client, "CloudWatch", 60.0, clock, clock.sleep)
        return ask({**ASKED, **changes}, keys, line, lambda: NOW)


def problem(*told, **changes):
    with pytest.raises(NoNumberError) as found:
        number(*told, **changes)
    return str(found.value)


def test_the_last_whole_period_is_asked_for_as_documented(watch, keys):
    assert number(watch, keys) == 1.5
    body = json.loads(watch.asked[0][2])
    assert (body["StartTime"], body["EndTime"]) == (1_799_999_700, 1_800_000_000)
    assert body["MetricDataQueries"] == [
        {
            "Id": "m1",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/ApplicationELB",
                    "MetricName": "HTTPCode_Target_5XX_Count",
                    "Dimensions": [{"Name": "TargetGroup", "Value": "tg/a"}],
                },
                "Period": 300,
                "Stat": "Sum",
            },
        },
        {"Id": "share", "ReturnData": True, "Expression": "100 * m1 / 5", "Period": 300},
    ]
    (keys / "sessionToken").write_text("session")
    assert number(watch, keys) == 1.5
    sent = {name.lower(): value for name, value in watch.asked[1][1].items()}
    assert sent["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in sent["authorization"]


def test_a_region_has_its_own_address():
    for region, address in (
        ("eu-central-1", "https://monitoring.eu-central-1.amazonaws.com"),
        ("cn-north-1", "https://monitoring.cn-north-1.amazonaws.com.cn"),
    ):
        with client_of({"region": region}) as client:
            assert str(client.base_url).rstrip("/") == address


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("accessKeyId", "AKIDOTHER", "UnrecognizedClientException"),
        ("secretAccessKey", "other", "InvalidSignatureException"),
    ],
)
def test_keys_that_are_wrong_or_missing_are_said_and_not_told(watch, keys, key, value, kind):
    (keys / key).write_text(value)
    said = problem(watch, keys)
    assert said.startswith(
        f"CloudWatch refuses the keys of Secret aws ({kind}): are they right and not expired"
    )
    assert value not in said
    (keys / key).unlink()
    assert problem(watch, keys) == (
        f"credentialsSecret: Secret aws of the namespace has no key {key}, or is not there"
    )


def test_without_a_secret_it_is_the_identity_of_the_pod(watch, keys, monkeypatch):
    """As EKS Pod Identity hands it out: at an address of the node, by a token."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    handed = {
        "AccessKeyId": "ASIAPOD",
        "SecretAccessKey": KEYS["secretAccessKey"],
        "Token": "of-the-pod",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    with serving(Monitoring([Reply(handed)])) as node:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{node.url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(keys / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys / "none"))
        assert number(watch, keys, secret="") == 1.5
        assert node.asked[0][0] == "/v1/credentials"
    sent = {name.lower(): value for name, value in watch.asked[0][1].items()}
    assert sent["x-amz-security-token"] == "of-the-pod"


def test_a_pod_without_an_identity_is_said(watch, keys, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(keys / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys / "none"))
    said = problem(watch, keys, secret="")
    assert said.startswith("no identity of AWS for the pod (")
    assert "give credentialsSecret, or a serviceAccountName that has a role" in said
    assert watch.asked == []


NO_NUMBERS = {
    "no results": (Reply({"MetricDataResults": []}), "share gives no data for the last whole 300 s"),
    "no values": (results(), "write FILL(share, 0)"),
    "another result": (results(1, id="m1"), "share gives no data"),
    "several series": (results(1, times=3), "share gives 3 series: make one of them, as by SUM(share)"),
    "an error inside": (results(status="InternalError"), "CloudWatch gives no data of share: InternalError"),
    "NaN": (Reply(b'{"MetricDataResults":[{"Id":"share","Values":[NaN]}]}'), "share gives nan, which is no number"),
    "too large": (results(10**400), "share gives 1000000000"),
    "a text": (results("NaN"), "share gives NaN, which is no number"),
    "a page": (Reply(b"<html>"), "what answers is not CloudWatch"),
    "a list": (Reply([1]), "what answers is not CloudWatch"),
    "an expression that it does not take": (
        error("InvalidParameterValueException", message="Error in expression 'share'\n[Unknown m2]"),
        "CloudWatch does not take the queries (InvalidParameterValueException): Error in expression 'share' [Unknown",
    ),
    "no right": (error("AccessDeniedException"), "do they allow cloudwatch:GetMetricData?"),
    "expired": (error("ExpiredTokenException"), "are they right and not expired"),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_what_is_no_number_is_said_and_not_asked_again(watch, keys, case):
    reply, said = NO_NUMBERS[case]
    watch.replies = [reply]
    assert said in problem(watch, keys)
    assert len(watch.asked) == 1


def test_a_limit_of_requests_is_waited_for(watch, keys):
    time = Time()
    throttled = error("ThrottlingException", message="Rate exceeded")
    watch.replies = [throttled, Reply({}, 503), Reply({}, 429, {"Retry-After": "7"}), results(2)]
    assert number(watch, keys, time) == 2
    assert time.slept == [1, 2, 7]
    watch.replies = [throttled]
    assert problem(watch, keys, Time()) == "CloudWatch gave no number in time: it answers 400"


def test_as_a_program_it_tells_the_kubelet(watch, keys):
    environment, says = {QUESTION: json.dumps(ASKED), SECONDS: "5"}, keys / "says"
    assert run(environment, keys, says, httpx.Client(base_url=watch.url, trust_env=False)) == 0
    assert json.loads(says.read_text()) == {"value": 1.5}
    watch.replies = [results()]
    assert run(environment, keys, says, httpx.Client(base_url=watch.url, trust_env=False)) == INSUFFICIENT
    assert not any(key in says.read_text() for key in KEYS.values())
