"""The forms that names and addresses in specs have, each in one place.

The models and with them the CRDs, the command line and the places that build paths, selectors and keys all read
them here. Patterns are written for RE2, which the API server uses, for pydantic's engine and for Python's alike.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TypeGuard

from mooring_artifacts.digests import DIGEST_PATTERN
from mooring_artifacts.gates import LONGEST_SLICE_NAME, SLICE_PATTERN
from mooring_artifacts.public_keys import LONGEST_PEM, PEM_PATTERN
from mooring_artifacts.text import UNSEEN, python_pattern
from pydantic import Field
from pydantic.fields import FieldInfo

from mooring_operator.api import schedules

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NUMBER = "[1-9][0-9]{0,4}"
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


@dataclass(frozen=True)
class Form:
    """A form of text: `allowed` says in words what `pattern` and `longest` allow."""

    pattern: str
    longest: int
    allowed: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(python_pattern(self.pattern))

    @property
    def field(self) -> FieldInfo:
        """What a model's field of this form is annotated with."""
        annotation: FieldInfo = Field(pattern=self.pattern, max_length=self.longest)
        return annotation

    def fits(self, text: object) -> TypeGuard[str]:
        """Whether `text` is a string of this form."""
        return isinstance(text, str) and len(text) <= self.longest and bool(self._compiled.search(text))


OBJECT_NAME = Form(
    f"^{_SUBDOMAIN}$",
    253,
    "the name of a Kubernetes object: a to z, 0 to 9, - and ., with a letter or digit at both ends of each part",
)
LABEL = Form(
    f"^{_LABEL}$", 63, "a DNS label: a to z, 0 to 9 and -, with a letter or digit at both ends, 63 at most"
)
LEASE = Form(f"^{_LABEL}/{_LABEL}$", 127, "a Lease as NAMESPACE/NAME")
API_VERSION = Form(
    rf"^({_SUBDOMAIN}/)?v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?$", 253, "an API version: v1, or GROUP/v1beta1"
)
DEPLOYMENT_NAME = Form(
    # KServe names a Deployment NAME-PREDICTOR-predictor; a predictor's name here has 9 characters and
    # KServe allows 47 for NAME-PREDICTOR.
    "^[a-z]([-a-z0-9]*[a-z0-9])?$",
    37,
    "the name of a ModelDeployment: at most 37 characters, a to z, 0 to 9 and -, starting with a letter",
)
HOST = Form(
    # With fewer parts it could be NAME.NAMESPACE, a Service of somebody's.
    rf"^{_LABEL}(\.{_LABEL}){{2,}}$",
    253,
    "a host name of at least three parts: a to z, 0 to 9 and -, like digits.models.example.com",
)
LABEL_KEY = Form(
    f"^({_SUBDOMAIN}/)?{_NAME}$",
    317,
    "the key of a label: NAME or DOMAIN/NAME, NAME with at most 63 letters, digits, -, _ and .",
)
LABEL_VALUE = Form(
    f"^({_NAME})?$", 63, "the value of a label: at most 63 letters, digits, -, _ and ., or nothing"
)
RESOURCE = Form(
    f"^({_SUBDOMAIN}/)?{_NAME}$",
    317,
    "the name of a resource: cpu, memory, ephemeral-storage, or DOMAIN/NAME",
)
EXTENDED_RESOURCE = Form(
    f"^{_SUBDOMAIN}/{_NAME}$", 253, "the name of an extended resource: DOMAIN/NAME, like nvidia.com/gpu"
)
VARIABLE = Form(
    "^[A-Za-z_][A-Za-z0-9_]*$", 128, "the name of a variable: letters, digits and _, no digit first"
)
ARGUMENT = Form(
    "^[a-z][A-Za-z0-9]{0,19}$",
    20,
    "the name of an argument: at most 20 letters and digits, starting with a small letter",
)
QUERY = Form(
    "^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$",
    30,
    "the name of a query: at most 30 characters, a to z, 0 to 9 and -, starting with a letter",
)
QUERY_VARIABLE = Form(
    "^[a-z][a-z0-9_]{0,29}$",
    30,
    "a name for formulas: at most 30 characters, a to z, 0 to 9 and _, starting with a letter",
)
REGION = Form("^[a-z]{2}(-[a-z]{1,12}){1,2}-[0-9]{1,2}$", 32, "a region of AWS, like eu-central-1")
DIMENSION = Form("^[!-9;-~][ -~]*$", 255, "the name of a dimension: printable ASCII, no colon or blank first")
STATISTIC = Form(
    r"^[A-Za-z0-9:.%()]+$",
    40,
    "a statistic of CloudWatch: Sum, Average, Maximum, SampleCount, p99, TM(5%:95%)",
)
COUNTER = Form(
    "^[a-zA-Z_:][a-zA-Z0-9_:]*$",
    120,
    "the name of a counter in Prometheus: at most 120 letters, digits, _ and :, not starting with a digit",
)
SERIES_LABEL = Form(
    "^[a-zA-Z_][a-zA-Z0-9_]*$",
    63,
    "the name of a label in Prometheus: at most 63 letters, digits and _, not starting with a digit",
)
SERIES_VALUE = Form(
    r"^([-A-Za-z0-9_.:/]+|\{\{(name|arguments\.[a-z][A-Za-z0-9]{0,19})\}\})$",
    63,
    "the value of a label: at most 63 letters, digits and - _ . : /, or {{name}}, or {{arguments.NAME}}",
)
ARGUMENT_VALUE = Form(
    # It may stand in a label's value of a query: nothing in it ends that, or means anything there.
    "^[-A-Za-z0-9_.:/]+$",
    63,
    "what an argument may be: at most 63 letters, digits and - _ . : /",
)
CONFIG_KEY = Form("^[-._A-Za-z0-9]+$", 253, "a key of a Secret or ConfigMap: letters, digits, -, _ and .")
POD_FIELD = Form(
    # Source: Kubernetes, API reference of EnvVarSource.
    r"^(metadata[.](name|namespace|uid)|spec[.](nodeName|serviceAccountName)|status[.](hostIPs?|podIPs?)"
    rf"|metadata[.](labels|annotations)\['({_SUBDOMAIN}/)?{_NAME}'\])$",
    360,
    "a field of a pod: metadata.name, .namespace or .uid, metadata.labels['KEY'], metadata.annotations['KEY'], "
    "spec.nodeName or .serviceAccountName, status.hostIP, .hostIPs, .podIP or .podIPs",
)
CONTAINER_RESOURCE = Form(
    "^(limits|requests)[.](cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMGTPE]i)$",
    64,
    "a resource of a container: limits or requests, and .cpu, .memory or .ephemeral-storage, like limits.cpu",
)
HEADER = Form("^[-!#%&'*+.^_`|~A-Za-z0-9]+$", 128, "the name of a header: letters, digits and -")
AMOUNT = Form("^[0-9]{1,6}%?$", 7, "a number of pods or a share of them: write 1 or 25%")
VERSION = Form(
    "^[A-Za-z0-9]([-+A-Za-z0-9_.]*[A-Za-z0-9])?$", 63, "a version: letters, digits, -, +, _ and ., like 1.18"
)
SLICE = Form(
    SLICE_PATTERN, LONGEST_SLICE_NAME, "a column or a value of one: printable characters, at most 60"
)
PIPELINE = Form(
    "^[A-Za-z0-9]([-+A-Za-z0-9_. ]*[A-Za-z0-9])?$",
    100,
    "the name of a pipeline: letters, digits, -, +, _, . and blanks, at most 100",
)
COLUMN = Form(
    # Runs would replace a placeholder of Kubeflow Pipelines: {{$ stands nowhere in it.
    rf"^((\{{?[^{{{UNSEEN}]|\{{\{{+[^{{${UNSEEN}])+\{{*|\{{+)$",
    253,
    "the name of a column: printable characters, at most 253, without {{$",
)
CELL = Form(COLUMN.pattern, 253, "a value of a column: printable characters, at most 253, without {{$")
_UNSEEN_IN_LINES = UNSEEN.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f", 1)
ROWS = Form(
    rf"^((\{{?[^{{{_UNSEEN_IN_LINES}]|\{{\{{+[^{{${_UNSEEN_IN_LINES}])+\{{*|\{{+)$",
    2048,
    "a schema of rows: YAML or JSON of at most 2048 characters without {{$, or the address of a file with it",
)
FEATURE = Form(
    "^[A-Za-z0-9_]([-A-Za-z0-9_.: ]*[-A-Za-z0-9_.:])?$",
    63,
    "a name of at most 63 letters, digits, _, ., :, - and blanks: others stand in features.json beside the model",
)
TIME_ZONE = Form(
    # As a CronJob takes it, which then looks the zone up.
    "^[A-Za-z][-+A-Za-z0-9_]{0,13}(/[A-Za-z0-9_+][-+A-Za-z0-9_]{0,13})*$",
    64,
    "an IANA name, like Europe/Berlin: parts of at most 14 characters",
)
CONSUMER_GROUP = Form(
    "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", 128, "the name of a group: letters, digits, -, _ and ."
)
CRON = Form(schedules.PATTERN, 128, schedules.ALLOWED)
SERVICE_UID = Form(
    f"^{_LABEL}/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$",
    100,
    "NAME/UID of an InferenceService",
)
RUN_ID = Form("^[A-Za-z0-9][-A-Za-z0-9]{0,62}$", 63, "the id of a run: letters, digits and -")
DURATION = Form(
    f"^({_NUMBER}h)?({_NUMBER}m)?({_NUMBER}s)?$",
    20,
    "a valid duration above 0: write hours, minutes and seconds, each from 1 to 99999, like 1h30m or 45s",
)
QUANTITY = Form(
    # Source: apimachinery, ParseQuantity. No resource has less than nothing, so that there is no minus sign.
    r"^[+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$",
    32,
    "a valid quantity: write a number that is not negative with an optional unit, like 500m, 0.5, 4Gi or 1e3",
)
SHARE = Form(
    "^([1-9][0-9]{0,3}|[1-9][0-9]?%|100%)$",
    4,
    "a number of pods from 1 to 9999, or a percentage of them from 1% to 100%: write 2 or 25%",
)
RISK = Form(
    "^(0[.](0[1-9]|[1-9][0-9]?)|([1-9]|[1-4][0-9])([.][0-9]{1,2})?)%$",
    6,
    "a percentage from 0.01% to below 50%: write 1% or 0.5%",
)
TIME = Form(
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
    20,
    "a point in time, in UTC: write 2027-01-31T18:00:00Z",
)
HEADER = Form(
    # Source: RFC 9110, token, as far as the Gateway API takes it; a cookie's name is a token too.
    "^[A-Za-z0-9][-A-Za-z0-9_]*$",
    63,
    "the name of a header or a cookie: letters, digits, - and _",
)
VARIANT = Form(
    "^[a-z]([-a-z0-9]*[a-z0-9])?$",
    20,
    "the name of a variant: at most 20 characters, a to z, 0 to 9 and -, starting with a letter",
)
ARM = Form(
    "^(New|Stable|[a-z]([-a-z0-9]*[a-z0-9])?)$",
    20,
    "who answers: New, Stable, or the name of a variant",
)
REVISION = Form("^[0-9a-f]{10}$", 10, "a revision: 10 hexadecimal digits, as status.retained has them")
HEADER_VALUE = Form(
    # Beside them cookies have ;, and matches of cookies are written as expressions.
    "^[-A-Za-z0-9_.~=]+$",
    128,
    "the value of a header or a cookie: letters, digits and - _ . ~ =",
)
INSTANT = Form(
    # Which of them exist the format date-time says.
    "^20[-0-9]{8}T[0-9:]{8}(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])$",
    25,
    "a point in time with its zone: write 2027-01-31T18:00:00+01:00, or Z for UTC",
)
_DATE = (
    "20([0-9]{2}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    "|([02468][048]|[13579][26])-02-29)"
)
FREEZE = Form(
    "^(((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?([01][0-9]|2[0-3]):[0-5][0-9]"
    f"|{_DATE}(T([01][0-9]|2[0-3]):[0-5][0-9])?)$",
    16,
    "a time before 24:00, a weekday with a time, or a date: write 18:00, Fri 18:00, 2026-12-20 or 2026-12-20T18:00",
)
DIGEST = Form(DIGEST_PATTERN, 71, "a valid digest: write sha256: and 64 hexadecimal digits")
ADDRESS = Form(
    # KServe hands it to a container as an argument, in which the kubelet replaces $(NAME).
    rf"^[a-z][a-z0-9+.-]*:/{{1,3}}[^ ${UNSEEN}]+$",
    1024,
    "a valid address: write SCHEME://..., like s3://bucket/model, or models:/NAME@ALIAS, without blanks and $",
)
PUBLIC_KEY = Form(
    PEM_PATTERN, LONGEST_PEM, "a public key in PEM, of a curve: from -----BEGIN PUBLIC KEY----- to its end"
)
DOCUMENT = Form(
    r"^((s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*/|https://([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]([-a-z0-9]*[a-z0-9])?"
    r"(:[1-9][0-9]{0,4})?/)?[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
    512,
    "a path in the model's folder, like docs/card.md, or a file's address: s3://, gs://, az:// or https://HOST/; of "
    "letters, digits, ., _ and -, and no part begins with . or -",
)
REGISTERED_MODEL = Form(
    # Source: MLflow, mlflow.utils.validation: a name has neither / nor :, a version is a number.
    r"^models:/[^/:@ ]+(/[0-9]{1,18}|@[^/:@ ]+)$",
    1024,
    "a valid address in a registry: write models:/NAME/VERSION or models:/NAME@ALIAS",
)
MODEL_NAME = Form(
    "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    128,
    "the name of a registered model: at most 128 letters, digits, -, _ and ., a letter or digit at both ends",
)
ALIAS = Form(
    # Source: MLflow, mlflow.utils.validation; v and a number, and "latest", are its own.
    "^[A-Za-z0-9_-]+$",
    63,
    "an alias of a registered model: at most 63 letters, digits, - and _, but neither latest nor v and a number",
)
REGISTERED_VERSION = Form("^[^/:@ ]+/[0-9]{1,18}$", 147, "a version in a registry: NAME/VERSION")
SOURCE = Form(
    rf"^(models:/[^ @*{UNSEEN}]*|[a-z][a-z0-9+.-]*://[^ $?#@*{UNSEEN}]*)$",
    1024,
    "the address of a source: write SCHEME://BUCKET/FOLDER, for all that lies below it, or models:/ and the beginning "
    "of a name",
)
FILES = Form(
    # Files of a pod would be gone with it.
    rf"^(s3|gs|az)://[^ {UNSEEN}]+$",
    1024,
    "an address of files: write s3://BUCKET/PATH, gs://BUCKET/PATH or az://CONTAINER/PATH",
)
_SEGMENT = "[A-Za-z0-9_=-][A-Za-z0-9._=-]*"
CAPTURE_STORE = Form(
    rf"^((s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}(/{_SEGMENT})*|file://(/{_SEGMENT})+)$",
    512,
    "the address of a folder: write s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER, with letters, "
    "digits and - _ = ., and no dot at the beginning of a name",
)
CAPTURED = Form(
    # Flags and variables of the runtime separate names by commas.
    rf"^[^,{UNSEEN}]+$",
    253,
    "the name of a feature, an input or prediction.NAME: at most 253 printable characters without commas",
)
_EDGE = "-?[0-9]{1,15}([.][0-9]{1,15})?"
MASK = Form(
    rf"^(drop|hmac|bucket:{_EDGE}(,{_EDGE})*)$",
    128,
    "what is done to a column: write drop, hmac, or bucket: and rising edges, like bucket:18,30,65",
)
MESSAGES = Form(
    # Credentials come from a Secret: an address in a spec is for everybody to read.
    rf"^(redis|rediss|nats|tls|kafka|kafkas)://[^ @{UNSEEN}]+$",
    1024,
    "an address of messages: write redis://HOST/STREAM, nats://HOST/SUBJECT?stream=NAME or kafka://HOST/TOPIC, "
    "without a user and password",
)
HOOK = Form(
    # Without TLS only a Service of the cluster: no other address, and no metadata of a cloud.
    rf"^(https://{_SUBDOMAIN}|http://{_LABEL}\.{_LABEL}\.svc(\.cluster\.local)?)(:{_NUMBER})?(/[!$-~]*)?$",
    512,
    "the address of a webhook: write https://HOST/PATH, or http://SERVICE.NAMESPACE.svc/PATH inside of the cluster",
)
IMAGE = Form(
    "^[A-Za-z0-9][-A-Za-z0-9_.:/@]*$",
    512,
    "the name of an image: write HOST/PATH:TAG or HOST/PATH@sha256:...",
)
WEB_ADDRESS = Form(rf"^https?://[^ {UNSEEN}]+$", 512, "a web address: write http://HOST or https://HOST")

FORMS = tuple(form for form in vars().copy().values() if isinstance(form, Form))
"""All of them, for messages about a pattern."""


def allowed_by(pattern: str, longest: int | None = None) -> str | None:
    """Say in words what a pattern of ours allows, by that of texts so `longest` where several are alike.

    None for another's pattern.
    """
    alike = [form for form in FORMS if form.pattern == pattern]
    return next(
        (form.allowed for form in alike if form.longest == longest), alike[0].allowed if alike else None
    )
