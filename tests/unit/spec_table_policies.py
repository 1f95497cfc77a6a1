"""The rows of the table of specs for ClusterModelPolicy."""

from typing import Any

from tests.unit.spec_case import ABSENT, Case


def _bound(name: str, patch: dict[str, Any], accepted: bool = True, says: str = "") -> Case:
    return Case(name, patch, accepted, says, "ClusterModelPolicy")


def _selector(name: str, selector: dict[str, Any], accepted: bool = True, says: str = "") -> Case:
    return _bound(name, {"spec.namespaceSelector": selector}, accepted, says)


def _expression(**fields: Any) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "stage", **fields}]}


_RULE = {"name": "small", "expression": "metrics.modelSizeMB < 100.0"}
_PEM = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEHBmCKkfhKQ/5vWsuVOI4S6NKcyg1
pIm8TPvWJSjapeqr+LtvSQwk4m8BImz5K52rHaAIA67tqI4XduXhMwsUZA==
-----END PUBLIC KEY-----
"""
_PRIVATE = _PEM.replace("PUBLIC", "PRIVATE")
_NOWHERE = (
    "",
    "../card.md",
    "/etc/passwd",
    "a//b",
    "file:///etc/passwd",
    "http://host.example/a",
    "https://localhost/a",
    "https://169.254.169.254/a",
    "https://[::1]/a",
    "https://user@host.example/a",
    "https://host.example/../a",
    "https://host.example/%2e%2e/a",
    "https://host.example/a?b",
    "https://host.example/",
    "s3://b",
    "a?b",
    "-x",
)
_CARD = {"name": "card", "address": "README.md"}
_SIGNER = {"name": "release", "publicKey": _PEM}
_GATE = {"metric": "accuracy", "min": 0.9}

CLUSTER_POLICY = [
    _bound("a policy of some namespaces", {}),
    _bound("a policy of all namespaces", {"spec.namespaceSelector": ABSENT}),
    _bound("a policy that demands nothing", {"spec": {}}),
    _bound("no spec", {"spec": ABSENT}, False, "spec"),
    _bound("a misspelt demand", {"spec.requireCi": True}, False, "spec.requireCi"),
    _bound("tests demanded in words", {"spec.requireCI": "yes"}, False, "spec.requireCI"),
    _selector("every namespace", {}),
    _selector("labels", {"matchLabels": {"stage": "production", "mooring.dev/tier": "1"}}),
    _selector("an empty label", {"matchLabels": {"stage": ""}}),
    _selector("a label that is none", {"matchLabels": {"stage": "a b"}}, False, "spec.namespaceSelector"),
    _selector("a key that is none", {"matchLabels": {"a b": "c"}}, False, "spec.namespaceSelector"),
    _selector("an expression", _expression(operator="In", values=["production", "staging"])),
    _selector("an expression without values", _expression(operator="Exists")),
    _selector("In without values", _expression(operator="In"), False, "namespaceSelector: In on stage needs values"),
    _selector("NotIn nothing", _expression(operator="NotIn", values=[]), False, "NotIn on stage needs values"),
    _selector(
        "Exists with values", _expression(operator="Exists", values=["a"]), False, "Exists on stage takes no values"
    ),
    _selector("an unknown operator", _expression(operator="Like", values=["a"]), False, "matchExpressions[0].operator"),
    _selector("an unknown field", {"labels": {"a": "b"}}, False, "spec.namespaceSelector.labels"),
    _bound("formats", {"spec.allowedFormats": ["onnx", "pytorch"]}),
    _bound("a format twice", {"spec.allowedFormats": ["onnx", "onnx"]}, False, "spec.allowedFormats[1]"),
    _bound("a format that is none", {"spec.allowedFormats": ["ONNX!"]}, False, "spec.allowedFormats[0]"),
    _bound(
        "sources",
        {"spec.allowedSources": ["s3://team-a/", "models:/team-a-", "oci://registry:5000/models", "hf://acme", "gs://x"]},
    ),
    _bound("every registered model", {"spec.allowedSources": ["models:/"]}),
    _bound("a source with a wildcard", {"spec.allowedSources": ["s3://team-*"]}, False, "spec.allowedSources[0]"),
    _bound("a source with a password", {"spec.allowedSources": ["https://u:p@host/"]}, False, "spec.allowedSources[0]"),
    _bound("a source without a scheme", {"spec.allowedSources": ["team-a/models"]}, False, "spec.allowedSources[0]"),
    _bound("a source twice", {"spec.allowedSources": ["s3://a", "s3://a"]}, False, "spec.allowedSources[1]"),
    _bound("gates", {"spec.requiredGates": [_GATE, {"metric": "latencyP95Ms", "max": 100}]}),
    _bound("a gate without bounds", {"spec.requiredGates": [{"metric": "f1"}]}, False,
           "spec.requiredGates: the gate on f1 needs min, max or both"),
    _bound("a gate upside down", {"spec.requiredGates": [{"metric": "f1", "min": 0.9, "max": 0.5}]}, False,
           "spec.requiredGates: the gate on f1 has min 0.9 above max 0.5"),
    _bound("two gates on one metric", {"spec.requiredGates": [_GATE, _GATE]}, False, "spec.requiredGates[1]"),
    _bound("rules", {"spec.rules": [_RULE, {**_RULE, "name": "tiny"}]}),
    _bound("no rules", {"spec.rules": []}),
    _bound("two rules of one name", {"spec.rules": [_RULE, _RULE]}, False, "spec.rules[1]"),
    _bound("a signer", {"spec.signedBy": [_SIGNER]}),
    _bound("a signer whose key an administrator keeps", {"spec.signedBy": [{"name": "release"}]}),
    _bound("a signer of a private key", {"spec.signedBy": [{**_SIGNER, "publicKey": _PRIVATE}]}, False,
           "spec.signedBy[0].publicKey"),
    _bound("a signer twice", {"spec.signedBy": [_SIGNER, _SIGNER]}, False, "spec.signedBy[1]"),
    _bound("a nameless signer", {"spec.signedBy": [{**_SIGNER, "name": ""}]}, False, "spec.signedBy[0].name"),
    _bound("nine signers", {"spec.signedBy": [{**_SIGNER, "name": f"s{n}"} for n in range(9)]}, False, "spec.signedBy"),
    _bound("documents", {"spec.requiredDocuments": [
        _CARD, {"name": "review", "address": "s3://reviews/digits/review.pdf"},
        {"name": "terms", "address": "https://docs.example.com:8443/terms/v1.pdf"}]}),
    *(_bound(f"a document at {address!r}", {"spec.requiredDocuments": [{**_CARD, "address": address}]}, False,
             "spec.requiredDocuments[0].address") for address in _NOWHERE),
    _bound("a document without an address", {"spec.requiredDocuments": [{"name": "card"}]}, False,
           "spec.requiredDocuments[0].address"),
    _bound("a document twice", {"spec.requiredDocuments": [_CARD, _CARD]}, False,
           "spec.requiredDocuments[1]"),
    _bound("thirteen documents", {"spec.requiredDocuments": [{**_CARD, "name": f"d{n}"} for n in range(13)]}, False,
           "spec.requiredDocuments"),
    _bound("a nameless document", {"spec.requiredDocuments": [{"name": "", "address": "a"}]}, False,
           "spec.requiredDocuments[0].name"),
    Case("a signer alone", {"spec": {"signedBy": [_SIGNER]}}, kind="ModelPolicy"),
    Case("documents alone", {"spec": {"requiredDocuments": [_CARD]}}, kind="ModelPolicy"),
    Case("a policy of empty lists", {"spec": {"signedBy": [], "requiredDocuments": []}}, False,
         "a policy has rules, requiredTemplates, signedBy or requiredDocuments", "ModelPolicy"),
    _bound("a score", {"spec.minimumScore": 0.5}, False, "spec.minimumScore"),
]  # fmt: skip
