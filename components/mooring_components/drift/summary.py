"""What was found about a window, in one line."""

from __future__ import annotations

from collections.abc import Sequence

from mooring_artifacts.text import shortened, visible

from mooring_components.drift.evaluation import Feature, Findings

_NAMED = 5
_LONGEST = 60


def summarize(found: Findings, rows: tuple[int, int]) -> str:
    """The verdict in one sentence; `rows` are those of baseline and window."""
    drifted = drifted_features(found)
    compared = len({feature.name for feature in found.features})
    if not found.features:
        text = "cannot tell: no column could be compared"
    elif drifted:
        named = ", ".join(shortened(feature.title, _LONGEST) for feature in drifted[:_NAMED])
        count = len({feature.name for feature in drifted})
        text = f"{count} of {compared} features drifted: {named}{_more(drifted)}"
    else:
        text = f"no drift in {compared} features"
    changes = found.schema_changes
    told = ", ".join(f"{shortened(one.name, _LONGEST)} ({one.change})" for one in changes[:_NAMED])
    schema = f"; the schema changed: {told}{_more(changes)}" if changes else ""
    left = [shortened(one.asked.name, _LONGEST) for one in found.slices if one.problem]
    slices = f"; slices not compared: {', '.join(left)}" if left else ""
    return visible(f"{text}; {rows[1]} rows against {rows[0]}{slices}{schema}")


def drifted_features(found: Findings) -> list[Feature]:
    """The features that drifted, those that moved most first."""
    return [feature for feature in by_movement(found.features) if feature.drifted]


def by_movement(features: Sequence[Feature]) -> list[Feature]:
    """The features that moved most first."""

    def movement(feature: Feature) -> tuple[bool, float, str, str]:
        tests = (feature.ks, feature.psi, feature.variation)
        moved = max((test[0] for test in tests if test), default=0.0)
        return not feature.drifted, -moved, feature.name, feature.slice

    return sorted(features, key=movement)


def _more(items: Sequence[object]) -> str:
    return f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
