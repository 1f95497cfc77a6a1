"""The step `register-model`: what a test found, as a version in the registry; whatever is in the way is told.

Nothing of it makes a verdict another: a model that passed and cannot be registered has passed, and says why it is not
registered.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from mooring_artifacts.data_versions.references import is_reference, parse_reference, pin
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.run_documents import Registration, Verdict
from mooring_artifacts.text import shortened
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from mooring_components.registration.card import render_card
from mooring_components.registration.client import (
    URL,
    Mlflow,
    RegistryRefused,
    RegistryUnavailable,
    open_client,
)
from mooring_components.registration.registering import Entry, register

FIELD = "registration"
SECONDS = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 10.0
_LONGEST_PROBLEM = 500
_LONGEST_TAG = 5_000


class Wanted(BaseModel):
    """The run's parameter `registration`: under which name, and which version it is where it is one already.

    tracking_uri: of the registry; empty: what the run's Secret says.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True
    )

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=128)]
    version: Annotated[str, Field(pattern=r"^([0-9]{1,18})?$")] = ""
    tracking_uri: Annotated[str, Field(max_length=2048)] = ""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read the parameter.

        Raises:
            InputError: it has another form; the message names the first field that is wrong.
        """
        try:
            return cls.model_validate(dict(document))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join([FIELD, *map(str, first["loc"])])
            raise InputError(f"{where} {first['input']!r:.200} is not allowed: {first['msg']}") from error


@dataclass(frozen=True)
class Outcome:
    """What was tested on what, beside the verdict.

    Attributes:
        verdict: of the test.
        gates: in their JSON form.
        hint: what is said of the labels.
        test_data: its address.
        label: the column with the right answers.
        framework: what loaded the model.
        signature: MLflow's JSON; empty where it is not known.
    """

    verdict: Verdict
    gates: Sequence[Mapping[str, Any]]
    hint: str
    test_data: str
    label: str
    framework: str
    signature: str


def parse_wanted(document: Mapping[str, Any]) -> Wanted:
    """The parameter; raises InputError as `Wanted.parse` does."""
    return Wanted.parse(document)


def register_tested(
    wanted: Wanted,
    outcome: Outcome,
    environment: Mapping[str, str] = os.environ,
    *,
    seconds: float = SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Registration:
    """Register, or say why not. A registry that does not answer is asked again for up to `seconds`."""
    return register_patiently(
        wanted, _entry(wanted, outcome), environment, seconds=seconds, sleep=sleep, clock=clock
    )


def register_patiently(
    wanted: Wanted,
    entry: Entry,
    environment: Mapping[str, str] = os.environ,
    *,
    seconds: float = SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Registration:
    """Register an entry, or say why not. A registry that does not answer is asked again for up to `seconds`."""
    url = wanted.tracking_uri or environment.get(URL, "")
    if not url:
        return Registration(
            name=wanted.name,
            problem="no registry is named: the operator's setting MOORING_MLFLOW_TRACKING_URI, or "
            f"{URL} of the run's Secret, does it",
        )
    deadline, pause = clock() + seconds, _FIRST_PAUSE_S
    with open_client(environment) as client:
        while True:
            try:
                version, note = register(Mlflow(client, url, deadline, clock), entry)
                return Registration(name=wanted.name, version=version, problem=note)
            except RegistryRefused as refusal:
                return _not_registered(wanted, str(refusal))
            except RegistryUnavailable as error:
                # At random, so that many runs do not come back together.
                wait = pause * random.uniform(0.5, 1.0)  # noqa: S311
                if clock() + wait >= deadline:
                    return _not_registered(wanted, f"{error}; tried for {seconds:g} s")
                sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                return _not_registered(
                    wanted, f"what answers at {url} does not answer as MLflow does ({first_line(error):.100})"
                )


def _not_registered(wanted: Wanted, why: str) -> Registration:
    return Registration(name=wanted.name, problem=shortened(" ".join(why.split()), _LONGEST_PROBLEM))


def _entry(wanted: Wanted, outcome: Outcome) -> Entry:
    verdict, data = outcome.verdict, outcome.verdict.test_data_digest
    facts = {
        "loaded by": outcome.framework,
        "test data": outcome.test_data,
        "digest of the test data": data or "",
        "compared with": verdict.champion_digest or "",
    }
    signature = outcome.signature if len(outcome.signature) <= _LONGEST_TAG else ""
    tags = {
        "mooring.verdict": "passed" if verdict.passed else "failed",
        "mooring.testData.digest": data or "",
        "mooring.signature": signature,
    }
    return Entry(
        name=wanted.name,
        version=wanted.version,
        source=verdict.model_uri,
        digest=verdict.model_digest or "",
        run_id=verdict.run_id,
        passed=verdict.passed,
        metrics=verdict.metrics,
        params={
            "model_uri": verdict.model_uri,
            "model_digest": verdict.model_digest or "",
            "champion_digest": verdict.champion_digest or "",
            "label_column": outcome.label,
            "framework": outcome.framework,
        },
        datasets=[describe_rows(outcome.test_data, data or "")],
        card=render_card(wanted.name, verdict, outcome.gates, facts, outcome.hint),
        now_ms=int(time.time() * 1000),
        tags={name: value for name, value in tags.items() if value},
    )


def describe_rows(uri: str, digest: str) -> dict[str, str]:
    """The dataset of MLflow's that stands for test data: the very version, where the address is that of the newest."""
    if is_reference(uri):
        name, source = parse_reference(uri).dataset.name, pin(uri, digest) if digest else uri
    else:
        name, source = uri.rstrip("/").rpartition("/")[2][:200] or "test data", uri
    return {"name": name, "digest": digest, "source": source}
