"""Merges a template into what Mooring writes, as Kubernetes merges patches of pods.

Source: Kubernetes, "Update API objects in place using kubectl patch": the merge keys of core/v1.
"""

from collections.abc import Callable, Hashable
from typing import Any

_KEYS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("containers", "initContainers", "volumes", "env", "imagePullSecrets", "resourceClaims"), ("name",)
    ),
    "hostAliases": ("ip",),
    "ports": ("containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
}
_DEFAULTS = {"protocol": "TCP"}
_REPLACED = frozenset({"env", "volumes"})
"""Lists whose items are one of several kinds: two kinds in one item would be none."""


def merged(base: Any, patch: Any, name: str = "") -> Any:
    """Give `base` with all that `patch` says: maps merge, lists of named things by their names.

    Other lists are replaced, and a null says nothing. `name` is the field that both are of.
    """
    if isinstance(base, dict) and isinstance(patch, dict):
        said = {field: value for field, value in patch.items() if value is not None}
        return {**base, **{field: merged(base.get(field), value, field) for field, value in said.items()}}
    if isinstance(patch, list) and name in _KEYS:
        there = base if isinstance(base, list) else []
        if all(_has_key(item, _KEYS[name]) for item in (*there, *patch)):
            return _merged_lists(there, patch, name)
    if isinstance(patch, dict):
        return merged({}, patch, name)
    return [merged(None, item) for item in patch] if isinstance(patch, list) else patch


def _merged_lists(base: list[Any], patch: list[Any], name: str) -> list[Any]:
    key = _key_of(_KEYS[name])
    out = {key(item): item for item in base}
    for item in patch:
        before = {} if name in _REPLACED else out.get(key(item), {})
        out[key(item)] = merged(before, item)
    return list(out.values())


def _has_key(item: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(item, dict) and all(
        isinstance(item.get(key, _DEFAULTS.get(key)), str | int) for key in keys
    )


def _key_of(keys: tuple[str, ...]) -> Callable[[dict[str, Any]], Hashable]:
    return lambda item: tuple(item.get(key, _DEFAULTS.get(key)) for key in keys)
