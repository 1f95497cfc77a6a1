"""Cases of spec.serving.affinity, and of the size of spec.serving.env."""

from typing import Any

from tests.unit.spec_case import Case

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_AFFINITY = "spec.serving.affinity"


def _nodes(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": list(terms)}}}


def _expression(operator: str, *values: str, key: str = "zone") -> dict[str, Any]:
    return _nodes({"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]})


def _away_from(selector: dict[str, Any], **term: Any) -> dict[str, Any]:
    return {
        "podAntiAffinity": {
            _PREFERRED: [
                {
                    "weight": 100,
                    "podAffinityTerm": {
                        "labelSelector": selector,
                        "topologyKey": "kubernetes.io/hostname",
                        **term,
                    },
                }
            ]
        }
    }


def _entries(number: int) -> dict[str, Any]:
    """An affinity about nodes with so many expressions and values, spread over terms of both kinds."""
    terms, left = [], number
    while left:
        size = min(left, 8)
        terms.append(
            {"matchExpressions": [{"key": f"k{i}", "operator": "Exists"} for i in range(size - 1)]}
            if size > 1
            else {}
        )
        terms[-1]["matchFields"] = [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]
        left -= size
    preferred = [{"weight": 1, "preference": term} for term in terms[4:]]
    return {
        "nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": terms[:4]}, _PREFERRED: preferred},
    }


def _env(*sizes: int) -> list[dict[str, str]]:
    return [{"name": f"V{index:02}", "value": "x" * (size - 3)} for index, size in enumerate(sizes)]


def _case(name: str, affinity: Any, accepted: bool = True, says: str = "") -> Case:
    return Case(name, {"spec.serving": {"affinity": affinity}}, accepted, says)


_MANY = "at most 32 expressions, values and labels are allowed in all"
_NEEDS = "spec.serving.affinity: operator {} of key zone needs {}"

AFFINITY = [
    _case("nodes of two zones", _expression("In", "a", "b")),
    _case("nodes with many cores", _expression("Gt", "16")),
    _case("nodes with a GPU", _expression("Exists", key="nvidia.com/gpu.present")),
    _case("pods that avoid each other", _away_from({"matchLabels": {"app": "digits"}})),
    _case("pods that avoid all others", _away_from({})),
    _case("an empty affinity", {}),
    _case(
        "any affinity",
        {"nodeAffinity": {"whatever": [1, "two"]}},
        False,
        f"{_AFFINITY}.nodeAffinity.whatever",
    ),
    _case("an affinity that is a list", [], False, _AFFINITY),
    _case("pods of other namespaces", _away_from({}, namespaces=["team-b"]), False, "namespaces"),
    _case("an unknown operator", _expression("Near", "a"), False, f"{_AFFINITY}.nodeAffinity"),
    _case("a zone in no list", _expression("In"), False, _NEEDS.format("In", "at least one value")),
    _case("a value that must exist", _expression("Exists", "a"), False, _NEEDS.format("Exists", "no values")),
    _case(
        "two numbers to compare with",
        _expression("Gt", "1", "2"),
        False,
        _NEEDS.format("Gt", "one whole number"),
    ),
    _case(
        "a word to compare with", _expression("Lt", "many"), False, _NEEDS.format("Lt", "one whole number")
    ),
    _case(
        "a label in no list",
        _away_from({"matchExpressions": [{"key": "zone", "operator": "NotIn"}]}),
        False,
        _NEEDS.format("NotIn", "at least one value"),
    ),
    _case(
        "a label of nodes with a blank", _expression("Exists", key="a b"), False, f"{_AFFINITY}.nodeAffinity"
    ),
    _case("a value of nodes with a blank", _expression("In", "a b"), False, f"{_AFFINITY}.nodeAffinity"),
    _case("no terms", _nodes(), False, "nodeSelectorTerms"),
    _case("nine terms", _nodes(*[{}] * 9), False, "nodeSelectorTerms"),
    _case("33 values of one key", _expression("In", *[f"v{i}" for i in range(33)]), False, "values"),
    _case("32 expressions and values", _entries(32)),
    _case("33 expressions and values", _entries(33), False, _MANY),
    _case(
        "33 labels of pods",
        {
            "podAffinity": {
                _REQUIRED: [
                    {
                        "topologyKey": "zone",
                        "labelSelector": {"matchLabels": {f"k{i}{j}": "v" for j in range(size)}},
                    }
                    for i, size in enumerate((8, 8, 8, 8, 1))
                ]
            }
        },
        False,
        _MANY,
    ),
]

ENV_SIZE = [
    Case("an environment of 11264 characters", {"spec.serving": {"env": _env(4096, 4096, 3072)}}),
    Case(
        "an environment of 11268 characters",
        {"spec.serving": {"env": _env(4096, 4096, 3072, 4)}},
        False,
        "spec.serving.env has 11268 characters; at most 11264 are allowed in all",
    ),
]
