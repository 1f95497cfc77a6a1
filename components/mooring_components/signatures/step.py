"""Sign a model where it lies, and say of the files of one whether they are those that were signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mooring_artifacts.demands import Signer, is_beside, is_on_the_web
from mooring_artifacts.digests import ManifestEntry
from mooring_artifacts.errors import InputError
from mooring_artifacts.local_files import StoredFile
from mooring_artifacts.public_keys import key_id
from mooring_artifacts.run_documents import LONGEST_PROBLEM, SignatureFound
from mooring_artifacts.storage import Location, list_files, locate, read_entry, stream, write
from mooring_artifacts.text import in_a_line
from mooring_artifacts.uris import below

from mooring_components.signatures import bundles
from mooring_components.signatures.bundles import NamedKey, SignatureInvalid
from mooring_components.web_documents import read_web_document

NAME = "model.sig"
"""The file in a model's folder; beside a model that is one file it is that file's name with `.sig`."""
# What OpenSSF Model Signing calls a model that is one file.
_ONLY = "."


def sign_model(uri: str, private_key: bytes, password: bytes | None = None, signature_uri: str = "") -> str:
    """Sign the files at `uri` as they are, and give the address of the signature: beside them, or `signature_uri`.

    Raises:
        InputError: there is no model, the key is none, or the signature cannot be written.
    """
    key = bundles.read_private_key(private_key, password, "the key")
    location, files = _find(uri)
    entries = [read_entry(location, file) for file in files if file.path not in (NAME, signature_uri)]
    if not entries:
        raise InputError(f"{uri!r:.200} holds no file beside a signature")
    single = location.is_file(files)
    content = bundles.sign(
        location.address.name,
        _named(entries, is_file=single),
        key,
        () if single else (NAME, *bundles.UNSIGNED),
    )
    target = _where(uri, signature_uri, is_file=single)
    write(target, content, "signature")
    return target


def verify_at(uri: str, signers: Sequence[Signer], signature_uri: str = "") -> SignatureFound:
    """Whether the model at `uri` is signed by one of `signers`; the signature lies beside it, or where it is said.

    Raises:
        InputError: there is no model.
    """
    location, files = _find(uri)
    entries = [read_entry(location, file) for file in files]
    return verify_files(uri, entries, signers, signature_uri, is_file=location.is_file(files))


def verify_files(
    uri: str,
    entries: Iterable[ManifestEntry],
    signers: Sequence[Signer],
    signature_uri: str = "",
    *,
    is_file: bool,
) -> SignatureFound:
    """Whether `entries`, all files of the model at `uri`, are those that one of `signers` signed.

    The signature is read beside the model, or at `signature_uri`; what is wrong with it is what is found, and no error.
    """
    try:
        keys, unusable = _keys(signers)
        where = _where(uri, signature_uri, is_file=is_file)
        key, statement = _verify(_read(where), keys, unusable)
        # By their whole paths: in a store files may lie below what is a file itself.
        signed = [one for one in entries if is_file or one.path not in (NAME, signature_uri)]
        if problem := bundles.compare(statement, _named(signed, is_file=is_file)):
            raise SignatureInvalid(f"signed by {key.name}, but {problem}")
    except (SignatureInvalid, InputError) as error:
        return SignatureFound(verified=False, problem=in_a_line(error, LONGEST_PROBLEM))
    return SignatureFound(verified=True, signer=key.name, key=key.id)


def _keys(signers: Sequence[Signer]) -> tuple[list[NamedKey], str]:
    """The keys that can be used, and what is wrong with the first of the others; policies share a run."""
    keys, unusable = [], ""
    for signer in signers:
        try:
            public = bundles.read_public_key(signer.key.encode(), f"the key of {signer.name}")
        except InputError as error:
            unusable = unusable or str(error)
        else:
            keys.append(NamedKey(signer.name, key_id(signer.key), public))
    return keys, unusable


def _verify(content: bytes, keys: Sequence[NamedKey], unusable: str) -> tuple[NamedKey, bundles.Statement]:
    if not keys:
        raise SignatureInvalid(unusable or "nobody may sign")
    try:
        return bundles.verify(content, keys)
    except SignatureInvalid as error:
        raise SignatureInvalid(f"{error}; {unusable}" if unusable else str(error)) from error


def _find(uri: str) -> tuple[Location, list[StoredFile]]:
    location = locate(uri, "model")
    return location, list_files(location, "model")


def _named(entries: Iterable[ManifestEntry], *, is_file: bool) -> list[ManifestEntry]:
    return [ManifestEntry(_ONLY, one.size, one.sha256) if is_file else one for one in entries]


def _where(uri: str, signature_uri: str, *, is_file: bool) -> str:
    """The address of a model's signature."""
    if not signature_uri:
        return _beside(uri, is_file=is_file)
    if not is_beside(signature_uri):
        return signature_uri
    if is_file:
        raise InputError(f"the model is one file, which has no {signature_uri} in its folder")
    return below(uri.rstrip("/"), *signature_uri.split("/"))


def _beside(uri: str, *, is_file: bool) -> str:
    root = uri.rstrip("/")
    return f"{root}.sig" if is_file else f"{root}/{NAME}"


def _read(uri: str) -> bytes:
    if is_on_the_web(uri):
        content = bytearray()
        read_web_document(uri, bundles.LARGEST, content.extend)
        return bytes(content)
    location = locate(uri, "signature")
    files = list_files(location, "signature", may_be_none=True)
    if not location.is_file(files):
        raise SignatureInvalid(f"there is none at {location.address.name}")
    if files[0].size > bundles.LARGEST:
        raise SignatureInvalid(f"it has {files[0].size} bytes; {bundles.LARGEST} are allowed")
    return b"".join(stream(location, files[0]))
