"""The part of the table that is about ``spec.serving.capture``."""

from typing import Any

from tests.unit.spec_case import Case

STORE = "s3://captured/team-a"


def _capture(**fields: Any) -> dict[str, Any]:
    return {"spec.serving.capture": {"store": STORE, **fields}}


def _masked(column: str, rule: str) -> dict[str, Any]:
    return _capture(mask={column: rule})


def _hmac(**serving: Any) -> dict[str, Any]:
    return {"spec.serving": {"capture": {"store": STORE, "mask": {"customer": "hmac"}}, **serving}}


_KEY = "MOORING_CAPTURE_HMAC_KEY"
_SECRET = {"name": "capture", "key": "hmac"}

CAPTURE = [
    Case("capture", _capture()),
    Case(
        "capture of all kinds",
        _capture(
            sample=0.1, features=["x[0]", "age in years", "größe"], retention="720h", mask={"x[1]": "drop"}
        ),
    ),
    Case(
        "capture without a store",
        {"spec.serving.capture": {"sample": 0.5}},
        False,
        "spec.serving.capture.store",
    ),
    *(
        Case(f"capture in {store}", {"spec.serving.capture": {"store": store}})
        for store in (
            "s3://captured",
            "gs://captured/a/b.c",
            "az://captured/stage=test",
            "file:///tmp/captured",
        )
    ),
    *(
        Case(
            f"capture in {store}",
            {"spec.serving.capture": {"store": store}},
            False,
            "spec.serving.capture.store",
        )
        for store in (
            "s3://captured/../team-b",
            "s3://captured/",
            "s3://captured//a",
            "s3://user:key@captured",
            "file:///",
            "https://captured",
            "models:/captured",
            "/tmp/captured",
            "s3://captured/$(KEY)",
            "s3://captured/a?b",
            "",
        )
    ),
    *(
        Case(f"a sample of {share}", _capture(sample=share), False, "spec.serving.capture.sample")
        for share in (0, -0.1, 1.01, "10%")
    ),
    Case("a sample of all", _capture(sample=1)),
    Case(
        "a captured feature with a comma", _capture(features=["a,b"]), False, "spec.serving.capture.features"
    ),
    Case("257 captured features", _capture(features=["a"] * 257), False, "spec.serving.capture.features"),
    Case("captured for 59 minutes", _capture(retention="59m"), False, "is shorter than an hour"),
    Case("captured for an hour", _capture(retention="60m")),
    Case("captured for days", _capture(retention="30d"), False, "spec.serving.capture.retention"),
    *(Case(f"mask {rule}", _masked("a", rule)) for rule in ("drop", "bucket:1", "bucket:-1.5,0,10")),
    *(
        Case(f"mask {rule}", _masked("a", rule), False, "spec.serving.capture.mask")
        for rule in (
            "",
            "keep",
            "bucket",
            "bucket:",
            "bucket:a",
            "bucket:1,",
            "drop,b=drop",
            "bucket:1e5",
            "hmac:a",
        )
    ),
    Case("mask with edges that fall", _masked("a", "bucket:10,9"), False, "edges that do not rise"),
    Case("mask of two columns in one", _masked("a=drop,b", "drop"), False, "is not the name of a feature"),
    Case("65 masks", _capture(mask={f"c{n}": "drop" for n in range(65)}), False, "spec.serving.capture.mask"),
    Case("hmac without a key", _hmac(), False, "hmac needs the variable MOORING_CAPTURE_HMAC_KEY"),
    Case(
        "hmac with another variable",
        _hmac(env=[{"name": "A", "value": "b"}]),
        False,
        "hmac needs the variable",
    ),
    Case("hmac with a key", _hmac(env=[{"name": _KEY, "valueFrom": {"secretKeyRef": _SECRET}}])),
    Case("hmac with all of a Secret", _hmac(envFrom=[{"secretRef": {"name": "capture"}}])),
    Case("a field that capture has not", _capture(uri="s3://a"), False, "spec.serving.capture"),
]
