"""Whether a model comes from where it may: addresses of any scheme, compared part by part."""

import re

from mooring_artifacts.uris import find_fault, find_hidden_fault

_MODELS = "models:/"
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@]*)(?:/(.*))?", re.DOTALL)


def covers(source: str, address: str) -> bool:
    """Whether `address` is `source` or lies below it, in whole segments.

    Behind models:/ stands the beginning of a registered model's name. What two readers could take for two places,
    for a `..` or what decodes to one, lies nowhere.
    """
    if source.startswith(_MODELS):
        return address.startswith(source)
    outer, inner = parts(source), parts(address)
    return outer is not None and inner is not None and inner[: len(outer)] == outer


def parts(address: str) -> tuple[str, ...] | None:
    """Give scheme, authority and segments; None where there is more than one way to read the address."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not address.isprintable():
        return None
    scheme, authority, written = match[1], match[2], (match[3] or "").removesuffix("/")
    if not written:
        return scheme, authority
    if find_fault(written) or find_hidden_fault(written):
        return None
    return scheme, authority, *written.split("/")
