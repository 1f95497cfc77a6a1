"""What policies demand of a model's files: who has to have signed them, and which documents have to be there."""

from typing import Annotated, Any

from mooring_artifacts.demands import MOST_DOCUMENTS
from mooring_artifacts.public_keys import key_id
from pydantic import AfterValidator, ConfigDict, Field

from mooring_operator.api import forms
from mooring_operator.api.types import Model

MOST_SIGNERS = 8
_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


def check_key(pem: str) -> str:
    """Refuse what has the frame of a key alone.

    Raises:
        ValueError: the text in the frame is no base64.
    """
    key_id(pem)
    return pem


class Signer(Model):
    """Somebody who may sign models."""

    name: Annotated[str, forms.LABEL.field, Field(description="Who it is, as people are told.")]
    public_key: Annotated[
        Annotated[str, forms.PUBLIC_KEY.field, AfterValidator(check_key)] | None,
        Field(
            description="Public key in PEM: an elliptic curve, P-256, P-384 or P-521. When left out, those of NAME.pem "
            "in ConfigMap mooring-signers beside the operator.",
        ),
    ] = None


class RequiredDocument(Model):
    """A document that has to be there and not empty."""

    name: Annotated[str, forms.LABEL.field, Field(description="What it is, like model-card.")]
    address: Annotated[
        str,
        forms.DOCUMENT.field,
        Field(
            description="Path in the model's folder, like README.md, or the address of a file: s3://, gs://, az:// or "
            "https://, there for everybody."
        ),
    ]


class DemandsOnFiles(Model):
    """The demands that a run looks up; each that is not met counts as a rule that is not."""

    model_config = ConfigDict(frozen=True)

    signed_by: Annotated[
        list[Signer],
        Field(
            description="Who may sign models: one of them has to have signed all files, in the format of OpenSSF Model "
            "Signing (mooring ci sign). Anybody or nobody when left out.",
            max_length=MOST_SIGNERS,
            json_schema_extra=_BY_NAME,
        ),
    ] = []
    required_documents: Annotated[
        list[RequiredDocument],
        Field(
            description="Documents that have to be there, all of them.",
            max_length=MOST_DOCUMENTS,
            json_schema_extra=_BY_NAME,
        ),
    ] = []

    @property
    def looks_at_files(self) -> bool:
        """Whether a run has to look something up."""
        return bool(self.signed_by or self.required_documents)
