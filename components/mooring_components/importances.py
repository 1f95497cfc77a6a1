"""Which features move what a model says: the serving runtime's occlusion, over some rows of the test data.

A feature of a row is replaced by what is usual, and the fall of the explained output is its attribution, as `:explain`
answers it; the mean of its size over the rows is the importance.
"""

from __future__ import annotations

from collections import Counter
from math import prod

import numpy as np
from mooring_artifacts.errors import InputError
from mooring_artifacts.importances import MOST_RANKED, Feature, Importances
from mooring_inference.errors import RequestError
from mooring_inference.explain import ExplanationRequest, plan_explanation, run_plan
from mooring_inference.score.mapping import Feed
from mooring_inference.tensors import Array

from mooring_components.evidence import LONGEST_NAME
from mooring_components.feeding import FedModel, join_requests


def measure_importances(fed: FedModel, rows: int) -> Importances:
    """The features that move the model most, by `rows` rows from all over the data; or why there are none."""
    chosen = fed.spread_rows(rows)
    try:
        inputs = join_requests(fed.requests(chosen))
        asked = ExplanationRequest(
            inputs,
            method="occlusion",
            baseline={name: _usual(array) for name, array in inputs.items()},
        )
        output, plan = plan_explanation(asked, fed.model.signature)
        place = fed.model.signature.output_names.index(output)
        found = run_plan(plan, lambda batch: fed.answer(batch)[place])
    except (RequestError, InputError) as error:
        return Importances(rows=len(chosen), problem=str(error)[:1000])
    named = [pair for feed in fed.feeds for pair in _named(feed, found.attributions[feed.spec.name])]
    total = sum(size for _, size in named)
    if not np.isfinite(total) or total <= 0:
        return Importances(rows=len(chosen), output=output, problem="no feature moves what the model says")
    named.sort(key=lambda pair: -pair[1])
    features = [
        Feature(name=name[:LONGEST_NAME], size=size, share=size / total) for name, size in named[:MOST_RANKED]
    ]
    return Importances(
        rows=len(chosen), output=output, features=features, left_out=max(len(named) - MOST_RANKED, 0)
    )


def _named(feed: Feed, attributions: Array) -> list[tuple[str, float]]:
    """Each element of an input with the mean size of its attributions over the rows."""
    sizes = np.abs(np.asarray(attributions, np.float64)).mean(axis=0).ravel()
    count = prod(attributions.shape[1:])
    if feed.side_by_side and len(feed.columns) == count:
        names = list(feed.columns)
    elif count == 1:
        names = [feed.columns[0] if feed.columns[0].isprintable() else feed.spec.name]
    else:
        names = [f"{feed.spec.name}[{place}]" for place in range(count)]
    return list(zip(names, sizes.tolist(), strict=True))


def _usual(array: Array) -> Array:
    """(1, ...): the mean of each element that is a float, without NaN, and else the value that most rows have."""
    if array.dtype.kind == "f":
        wide = np.asarray(array, np.float64)
        known = np.isfinite(wide)
        means = np.where(known, wide, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        typical: Array = means[None].astype(array.dtype)
        return typical
    flat = array.reshape(len(array), -1)
    usual = [Counter(flat[:, place].tolist()).most_common(1)[0][0] for place in range(flat.shape[1])]
    return np.array(usual, array.dtype).reshape(1, *array.shape[1:])
