"""A candidate beside the model that serves now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mooring_artifacts.errors import AccessError, InputError

from mooring_components.datasets import TestData
from mooring_components.endpoints import is_generative, open_endpoint
from mooring_components.fetching import fetch_model
from mooring_components.generative import evaluate_answers
from mooring_components.models import open_model
from mooring_components.options import TestOptions
from mooring_components.quality import Quality, evaluate, incomparable


def evaluate_beside(
    candidate: Path,
    data: TestData,
    options: TestOptions,
    allow: Sequence[str],
    champion_uri: str,
    champion_digest: str,
    place: Path,
    endpoint: str = "",
) -> Quality:
    """Evaluate the model in `candidate`, or at `endpoint` where one is given.

    It is compared with the one at `champion_uri` where there is one. The champion is copied to `place`, an empty
    folder. That it is gone or cannot be tested is a reason, not a failure; that its store is out, or refuses the
    credentials, says nothing about either.

    Raises:
        InputError: the candidate cannot be tested.
        AccessError: the champion's store refuses the credentials.
        StoreUnavailable: the champion's store does not answer.
    """
    if is_generative(endpoint):
        found = evaluate_answers(endpoint, data, options)
        return incomparable(found, "models that write are not compared") if champion_uri else found
    model = open_endpoint(endpoint, data, options) if endpoint else open_model(candidate, allow=allow)
    if not champion_uri:
        return evaluate(model, data, options)
    try:
        fetched = fetch_model(champion_uri, place, champion_digest, "champion_uri")
        champion = open_model(fetched.folder, champion_uri, allow=allow)
    except AccessError as error:
        raise AccessError(f"the model that serves now cannot be tested: {error}") from error
    except InputError as error:
        return incomparable(evaluate(model, data, options), str(error))
    return evaluate(model, data, options, champion)
