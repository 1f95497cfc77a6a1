"""The file that a signature is: a Sigstore bundle around a DSSE envelope around an in-toto statement.

Source: OpenSSF Model Signing 1.0 as the package `model-signing` writes and reads it for keys of elliptic curves
(curves P-256, P-384, P-521). That package itself brings Sigstore's clients, which ask servers, so the format is
written here, on `cryptography`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mooring_artifacts.digests import ManifestEntry
from mooring_artifacts.errors import InputError
from mooring_artifacts.public_keys import key_id

LARGEST = 8 << 20
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_CURVES = "P-256, P-384 or P-521"
# Those that model-signing leaves out, and what MLflow adds to a model that is registered.
UNSIGNED = (".git", ".gitattributes", ".github", ".gitignore", "registered_model_meta")


class SignatureInvalid(Exception):
    """A signature that says nothing of the model; the text is one line that says why."""


@dataclass(frozen=True)
class Statement:
    """What is signed: the sha256 of each file by its path, and the paths that were left out, with all below them."""

    files: Mapping[str, str]
    unsigned: Sequence[str]


@dataclass(frozen=True)
class NamedKey:
    """A public key of somebody who may sign; `id` is what signatures know it by, for several may have one name."""

    name: str
    id: str
    public: ec.EllipticCurvePublicKey


def read_public_key(pem: bytes, label: str) -> ec.EllipticCurvePublicKey:
    """The public key of a text.

    Raises:
        InputError: it is none, or of another curve.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"{label} is no public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise InputError(f"{label} is no key of the curves {_CURVES}")
    return key


def read_private_key(pem: bytes, password: bytes | None, label: str) -> ec.EllipticCurvePrivateKey:
    """The private key of a text.

    Raises:
        InputError: it is none, of another curve, or the password is not its.
    """
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # What is wrong with a password says `cryptography` in the same words as what is wrong with a key.
        raise InputError(f"{label} is no private key in PEM, or its password is wrong or missing") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
        raise InputError(f"{label} is no key of the curves {_CURVES}")
    return key


def public_pem(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> str:
    """The public key as text."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


def sign(
    name: str, entries: Iterable[ManifestEntry], key: ec.EllipticCurvePrivateKey, unsigned: Sequence[str]
) -> bytes:
    """The bundle that signs `entries` as the model `name`; files at or below `unsigned` are left out."""
    signed = sorted((entry.path, entry.sha256) for entry in entries if not _lies_in(entry.path, unsigned))
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in signed)).hexdigest()
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": sorted(unsigned),
            },
            "resources": [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in signed],
        },
    }
    payload = json.dumps(statement).encode()
    signature = key.sign(_authenticated(payload), ec.ECDSA(_HASHES[key.curve.name]))
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key_id(public_pem(key))}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def verify(content: bytes, keys: Sequence[NamedKey]) -> tuple[NamedKey, Statement]:
    """The one of `keys` that signed the bundle, and what it signed.

    Raises:
        SignatureInvalid: it is none, or by none of the keys.
    """
    try:
        bundle = json.loads(content)
        if bundle["mediaType"] != _MEDIA_TYPE:
            raise SignatureInvalid(f"its media type is not {_MEDIA_TYPE}")
        envelope = bundle["dsseEnvelope"]
        if envelope["payloadType"] != _PAYLOAD_TYPE or len(envelope["signatures"]) != 1:
            raise SignatureInvalid(f"it is not one signature of {_PAYLOAD_TYPE}")
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, binascii.Error) as error:
        raise SignatureInvalid("it is no bundle of OpenSSF Model Signing") from error
    for key in keys:
        try:
            key.public.verify(signature, _authenticated(payload), ec.ECDSA(_HASHES[key.public.curve.name]))
        except InvalidSignature:
            continue
        return key, _read_statement(payload)
    raise SignatureInvalid(_by_whom(bundle, keys))


def compare(statement: Statement, entries: Iterable[ManifestEntry]) -> str:
    """In what files differ from those that were signed, in a line; empty where they do not."""
    found = {entry.path: entry.sha256 for entry in entries if not _lies_in(entry.path, statement.unsigned)}
    signed = statement.files
    told = {
        "changed since": [path for path in signed if path in found and found[path] != signed[path]],
        "not signed": [path for path in found if path not in signed],
        "missing": [path for path in signed if path not in found],
    }
    return "; ".join(f"{_listed(paths)} {what}" for what, paths in told.items() if paths)


def _by_whom(bundle: Mapping[str, Any], keys: Sequence[NamedKey]) -> str:
    material = bundle.get("verificationMaterial")
    known = material.get("publicKey") if isinstance(material, dict) else None
    hint = known.get("hint") if isinstance(known, dict) else None
    names = ", ".join(sorted({key.name for key in keys}))
    if hint in {key.id for key in keys}:
        return f"it names a key of {names}, but is not signed by it"
    return f"it is signed by none of {names}"


def _read_statement(payload: bytes) -> Statement:
    """What somebody signed who may: of another form it is all the same no statement about this model."""
    try:
        document = json.loads(payload)
        if (document["_type"], document["predicateType"]) != (_STATEMENT, _PREDICATE):
            raise SignatureInvalid(f"it is no statement of the type {_PREDICATE}")
        predicate = document["predicate"]
        form = predicate["serialization"]
        if (form["method"], form["hash_type"]) != ("files", "sha256"):
            raise SignatureInvalid("it is not over the sha256 of whole files, which is what is read here")
        files = {str(one["name"]): str(one["digest"]) for one in predicate["resources"]}
        (subject,) = document["subject"]
        root = hashlib.sha256(b"".join(map(bytes.fromhex, files.values()))).hexdigest()
        if subject["digest"]["sha256"] != root or len(files) != len(predicate["resources"]):
            raise SignatureInvalid("its digest is not that of the files that it names")
        return Statement(files, tuple(map(str, form.get("ignore_paths", ()))))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SignatureInvalid("what is signed is no statement of OpenSSF Model Signing") from error


def _authenticated(payload: bytes) -> bytes:
    """The bytes that DSSE signs: its pre-authentication encoding."""
    return f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _lies_in(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(repr(path[:60]) for path in paths[:2])
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    return shown + more
