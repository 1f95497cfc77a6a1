"""What obstore's errors are told as: one line with the store's own reason, the same line for the same failure."""

import pytest
from mooring_artifacts.errors import AccessError, InputError, StoreUnavailable
from mooring_artifacts.store_errors import failed, is_outage, store_failure
from obstore.exceptions import GenericError, PermissionDeniedError

XML = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>{}</Message></Error>'
ASKED = "Generic S3 error: Error performing GET http://s3.example/b/m in 11.59ms - "


def answered(status, code="", message="", kind=GenericError):
    body = XML.format(code, message) if code else ""
    return kind(
        f"{ASKED}Server returned non-2xx status code: {status}: {body}\n\nDebug source:\nGeneric {{\n}}"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            answered("403 Forbidden", "SignatureDoesNotMatch", "It does not match", PermissionDeniedError),
            "the store refuses the credentials: 403 Forbidden, It does not match (SignatureDoesNotMatch)",
        ),
        (answered("401 Unauthorized"), "the store refuses the credentials: 401 Unauthorized"),
        (
            answered("400 Bad Request", "ExpiredToken", "The provided token has expired."),
            "the store refuses the credentials: 400 Bad Request, The provided token has expired. (ExpiredToken)",
        ),
        (
            answered("403 Forbidden", "InvalidObjectState", "Restore it"),
            "403 Forbidden, Restore it (InvalidObjectState)",
        ),
        (
            answered("400 Bad Request", "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong"),
            "the bucket is in another region than AWS_REGION says, or is not at AWS_ENDPOINT",
        ),
        (
            GenericError(f"{ASKED}Received redirect without LOCATION, this normally indicates an"),
            "the bucket is in another region than AWS_REGION says, or is not at AWS_ENDPOINT",
        ),
        (
            answered("404 Not Found", "NoSuchBucket", "There is none"),
            "there is no such bucket: 404 Not Found, There is none (NoSuchBucket)",
        ),
        (
            answered("400 Bad Request"),
            "400 Bad Request, no reason is given; S3 does so where a session token has expired, or AWS_REGION is "
            "not the bucket's",
        ),
        (answered("503 Service Unavailable", "SlowDown"), "503 Service Unavailable, SlowDown"),
        (
            answered("400 Bad Request", "Odd", "two\nlines &amp; \x1b[31mred"),
            "400 Bad Request, two lines & \\u001b[31mred (Odd)",
        ),
        (
            GenericError(f"{ASKED}HTTP error: error sending request"),
            "Generic S3 error: Error performing GET http://s3.example/b/m - HTTP error: error sending request",
        ),
        (
            GenericError(
                "Generic LocalFileSystem error: Unable to walk dir: IO error for operation on /a b/names: "
                "Permission denied (os error 13)"
            ),
            "/a b/names: Permission denied",
        ),
    ],
)
def test_a_failure_is_told_by_its_reason(error, told):
    assert store_failure(error) == told


def test_the_reason_of_a_store_is_cut():
    told = store_failure(answered("403 Forbidden", "AccessDenied", "x" * 900))
    assert len(told) < 350


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered("503 Service Unavailable", "SlowDown", "Slow down"), StoreUnavailable),
        (GenericError(f"{ASKED}HTTP error: error sending request"), StoreUnavailable),
        (answered("400 Bad Request", "ExpiredToken", "It has expired"), AccessError),
        (answered("403 Forbidden", "AccessDenied", "Denied"), AccessError),
        (answered("403 Forbidden"), AccessError),
        (GenericError(f"{ASKED}HTTP error: of http://169.254.169.254/latest/api/token"), AccessError),
        (PermissionError(13, "Permission denied"), AccessError),
        (answered("403 Forbidden", "InvalidObjectState", "Restore it"), InputError),
        (answered("404 Not Found", "NoSuchBucket", "There is none"), InputError),
        (answered("400 Bad Request"), InputError),
    ],
)
def test_an_outage_a_refusal_and_an_answer_are_told_apart(error, kind):
    assert type(failed("uri 's3://b/m' cannot be read", error)) is kind
    assert is_outage(error) is (kind is StoreUnavailable)
