"""Public keys of those whom policies name without one: an administrator keeps them in one place for all policies."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from mooring_operator.api import forms
from mooring_operator.api.demands import DemandsOnFiles, Signer, check_key

MOST_KEYS = 4
"""Of one name: the key of today, and those before it whose signatures still count."""
_BLOCK = re.compile(r"-----BEGIN PUBLIC KEY-----\n[^-]*-----END PUBLIC KEY-----\n?")
_PolicyT = TypeVar("_PolicyT", bound=DemandsOnFiles)


def with_keys(policy: _PolicyT, keys: Mapping[str, Sequence[str]]) -> _PolicyT:
    """Give a policy whose signers have their keys; one whose keys are not known stays without, and nobody is he."""
    if not names_kept_keys(policy):
        return policy
    signers = [known for signer in policy.signed_by for known in _with_keys(signer, keys)]
    return policy.model_copy(update={"signed_by": signers})


def names_kept_keys(policy: DemandsOnFiles) -> bool:
    """Say whether the policy names a signer whose key an administrator keeps."""
    return any(signer.public_key is None for signer in policy.signed_by)


def known(policy: _PolicyT | None, keys: Mapping[str, Sequence[str]]) -> _PolicyT | None:
    """Give a policy that was looked up as `with_keys` does; None for one that is not there."""
    return None if policy is None else with_keys(policy, keys)


def assume_keys(policy: _PolicyT) -> _PolicyT:
    """Give a policy whose signers all have a key, where nobody knows those that an administrator keeps."""
    named = [signer.name for signer in policy.signed_by if signer.public_key is None]
    return with_keys(policy, {name: [_assumed(name)] for name in named})


def _assumed(name: str) -> str:
    body = base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def read_keys(text: str) -> list[str]:
    """Give the public keys of a file in PEM; what stands around them is a comment.

    Raises:
        ValueError: it has none, more than are allowed, or one that is none.
    """
    keys = _BLOCK.findall(text.replace("\r\n", "\n"))
    if not 1 <= len(keys) <= MOST_KEYS:
        raise ValueError(f"it has {len(keys)} public keys in PEM; 1 to {MOST_KEYS} are allowed")
    for key in keys:
        if not forms.PUBLIC_KEY.fits(key):
            raise ValueError(f"it has what is not {forms.PUBLIC_KEY.allowed}")
        check_key(key)
    return keys


def _with_keys(signer: Signer, keys: Mapping[str, Sequence[str]]) -> Iterator[Signer]:
    if signer.public_key is not None or not keys.get(signer.name):
        yield signer
        return
    for key in keys[signer.name]:
        yield signer.model_copy(update={"public_key": key})
