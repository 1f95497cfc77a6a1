"""``mooring ci sign`` and ``verify``: signatures of models, by keys that lie here and without any network."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mooring_operator.cli import output
from mooring_operator.cli.addresses import as_address
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import NO, CliError, needing
from mooring_operator.cli.help import paragraphs

PASSWORD = "MOORING_SIGNING_KEY_PASSWORD"  # noqa: S105 - the name of a variable
_LARGEST_KEY = 64 << 10

SIGN_HELP = paragraphs(
    """
    Sign all files of a model, a folder or one file, here or in a store: model.sig in its folder, or FILE.sig.

    The format is that of OpenSSF Model Signing, so that model_signing verifies it too. The key is one of an elliptic
    curve, P-256, P-384 or P-521, in PEM; MOORING_SIGNING_KEY_PASSWORD is its password where it has one. Sign last: a
    file that is added or changed afterwards is not signed.
    """,
    "openssl ecparam -name prime256v1 -genkey -noout -out release.pem",
    "openssl ec -in release.pem -pubout -out release.pub",
    "mooring ci sign ./model --key release.pem",
    "mooring ci sign s3://models/iris/7/ --key release.pem",
    "mooring ci sign s3://models/iris/7/ --key release.pem --signature s3://signatures/iris-7.sig",
)
VERIFY_HELP = paragraphs(
    """
    Say whether the files of a model are those that somebody signed with this public key, or one of several.

    Exit codes: 0 they are; 1 they are not, or nobody signed them; 2 the model or a key cannot be read.
    """,
    "mooring ci verify ./model --key release.pub",
)

_Model = Annotated[str, typer.Argument(metavar="MODEL", help="Path or address of a folder or file.")]
_Signature = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Where the signature is: path or address; beside MODEL if left out."
    ),
]


def sign(
    model: _Model,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Private key in PEM.")],
    signature: _Signature = None,
) -> None:
    """Sign one model."""
    with _telling():
        from mooring_components.signatures.step import sign_model

        password = os.environ.get(PASSWORD)
        written = sign_model(
            as_address(model), _read(key), password.encode() if password else None, _address(signature)
        )
    output.say(f"signed: {written}", style="green")


def verify(
    model: _Model,
    key: Annotated[list[Path], typer.Option(metavar="FILE", help="Public key in PEM. May be repeated.")],
    signature: _Signature = None,
    form: Output = output.Format.TEXT,
) -> None:
    """Verify the signature of one model."""
    with _telling():
        from mooring_artifacts.demands import Signer
        from mooring_components.signatures.bundles import public_pem, read_public_key
        from mooring_components.signatures.step import verify_at

        names = {path: public_pem(read_public_key(_read(path), f"--key {path}")) for path in key}
        signers = [Signer(name=path.name[:63], key=pem) for path, pem in names.items()]
        found = verify_at(as_address(model), signers, _address(signature))
    if form is not output.Format.TEXT:
        output.dump(found.model_dump(mode="json", by_alias=True), form)
    else:
        output.say(found.in_words(), style="green" if found.verified else "red")
    if not found.verified:
        raise typer.Exit(NO)


def _address(signature: str | None) -> str:
    return "" if signature is None else as_address(signature)


@contextmanager
def _telling() -> Iterator[None]:
    from mooring_artifacts.errors import InputError, StoreUnavailable

    with needing("extra components", "signing models"):
        try:
            yield
        except (InputError, StoreUnavailable) as error:
            raise CliError(str(error)) from error


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CliError(f"--key {path}: {error.strerror}") from error
    if len(content) > _LARGEST_KEY:
        raise CliError(f"--key {path}: it has {len(content)} bytes, which is no key")
    return content
