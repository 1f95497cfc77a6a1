"""Spares clients in tests the certificates of all the world's authorities.

Each of httpx's clients reads them anew, also for plain HTTP: 0.1 s of computing, which was a seventh of what the tests
took. No test talks to a server that one of them vouches for; those that need an authority name their own.
"""

import functools
import ssl
import tempfile
from pathlib import Path

import certifi

_END = "-----END CERTIFICATE-----\n"


@functools.cache
def one_authority() -> Path:
    """Give a file with the first of certifi's certificates."""
    first, end, _ = Path(certifi.where()).read_text().partition(_END)
    path = Path(tempfile.mkdtemp(prefix="authority-"), "ca.pem")
    path.write_text(first + end)
    return path


def trust_one() -> None:
    """Make it the only authority, in this process, of whoever names none: httpx asks certifi, httpx2 OpenSSL."""
    path = str(one_authority())
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=path, openssl_capath="")
    certifi.where = lambda: path
    ssl.get_default_verify_paths = lambda: paths
