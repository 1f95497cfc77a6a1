"""Requests to KFP's API, and what its answers mean."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
from kfp_server_api import ApiException

from mooring_operator.adapters.pipelines.port import PipelinesRefused, PipelinesUnavailable
from mooring_operator.planning.manifests.run_jobs import RunPods

TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - the name of a variable
# 401: KFP's own review of the token failed. 403: a missing permission. 408, 429: time heals. 0: a TLS failure.
_SURROUNDINGS = (0, 401, 403, 408, 429)
_LONGEST_REASON = 500
_NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


@dataclass(frozen=True)
class KfpSettings:
    """How to reach KFP.

    host: base URL of the API, such as http://ml-pipeline.kubeflow.svc:8888.
    ui: base URL that people open; the API's when empty.
    experiment: where runs are listed; created when missing.
    image: what steps run in, where the compiled pipelines name Mooring's own image.
    multi_user: whether experiments, pipelines and runs live in the run's namespace.
    connect_seconds, read_seconds: limits of one request.
    token_path: file with a token of audience pipelines.kubeflow.org, read for each request since
        it is rotated; by default what KF_PIPELINES_SA_TOKEN_PATH says; empty for no token.
    """

    host: str
    ui: str = ""
    experiment: str = "mooring"
    image: str = RunPods.image
    multi_user: bool = False
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    token_path: str | None = None


class KfpUnavailable(PipelinesUnavailable):
    """KFP did not answer, or failed.

    status: of its answer; None where there is none.
    sent: whether KFP may have acted on the request.
    """

    def __init__(self, message: str, status: int | None = None, *, sent: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.sent = sent


class KfpRefused(PipelinesRefused):
    """KFP answered that the request is wrong."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class KfpClient:
    """KFP's services; every request is made once and has a deadline."""

    def __init__(self, settings: KfpSettings) -> None:
        self._settings = settings
        configuration = kfp_server_api.Configuration(host=settings.host.rstrip("/"))
        # KFP makes the Workflow before the database row: a repeated POST would start the work twice.
        # 0 and not False, which would hide a redirect's target.
        configuration.retries = urllib3.Retry(0, redirect=0, raise_on_redirect=False)
        self._client = kfp_server_api.ApiClient(configuration)
        self.runs = kfp_server_api.RunServiceApi(self._client)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._client)
        self.pipelines = kfp_server_api.PipelineServiceApi(self._client)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self._client)

    def find(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any | None:
        """Call; None for 404."""
        return self.call(method, *arguments, absent=404, **options)

    def create(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any | None:
        """Call; None when it exists already."""
        return self.call(method, *arguments, absent=409, **options)

    def call(self, method: Callable[..., Any], *arguments: Any, absent: int = 0, **options: Any) -> Any:
        """Make one request; give None for the HTTP status `absent`.

        Raises:
            KfpUnavailable: no answer, a failure of KFP's, or a permission that is missing.
            KfpRefused: any other status of 400 and above.
        """
        settings = self._settings
        self._authorize()
        try:
            # A pair: the client silently ignores a single number that is not an int.
            timeout = (settings.connect_seconds, settings.read_seconds)
            return method(*arguments, _request_timeout=timeout, **options)
        except ApiException as error:
            if absent and error.status == absent:
                return None
            message = f"KFP answered {error.status}: {reason_of(error)}"
            if error.status in _SURROUNDINGS or error.status >= 500:
                raise KfpUnavailable(message, error.status, sent=error.status not in _SURROUNDINGS) from error
            raise KfpRefused(message, error.status) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # ValueError: an answer that is not of the API's form.
            sent = not isinstance(getattr(error, "reason", error), _NOT_SENT)
            raise KfpUnavailable(f"KFP at {settings.host} cannot be reached: {error}", sent=sent) from error

    def _authorize(self) -> None:
        path = self._settings.token_path
        path = os.environ.get(TOKEN_VARIABLE, "") if path is None else path
        if not path:
            return
        try:
            token = Path(path).read_text().strip()
        except OSError as error:
            raise KfpUnavailable(f"the token for KFP cannot be read: {error}", sent=False) from error
        self._client.set_default_header("Authorization", f"Bearer {token}")


def identifier(value: str | None, what: str) -> str:
    """Give an id that KFP answered.

    Raises:
        KfpUnavailable: there is none; the client makes an object without content of anything, a
            proxy's login page included.
    """
    if not value:
        raise KfpUnavailable(f"what answered for KFP named no {what}: it is not KFP")
    return value


def reason_of(error: ApiException) -> str:
    """Say what KFP wrote for people.

    A refusal is short in the details and repeats itself in the message. A failure says "Internal
    Server Error" in the details, and its cause in the message: a chain of wrapped errors. Uploads
    have a shape of their own.
    """
    try:
        body = json.loads(error.body)
        details = [detail.get("message") for detail in body.get("details", [])]
        said = [*details, body.get("message"), body.get("error_details"), body.get("error_message")]
        if error.status >= 500:
            said.insert(0, body.get("message"))
        return _shortened(str(next(filter(None, said))))
    except (ValueError, TypeError, AttributeError, StopIteration):
        return _shortened(str(error.body or error.reason or "no reason given"))


def _shortened(reason: str) -> str:
    # The end of a chain is its cause.
    half = _LONGEST_REASON // 2
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:half]} ... {reason[-half:]}"
