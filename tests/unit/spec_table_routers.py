"""Rows of the table about ``spec.rollout.router``, ``gateway`` and ``host``."""

from tests.unit.spec_case import Case

_HOST = "spec.rollout.host"
_INSIDE = "is a name inside of the cluster: give one outside of it"

ROUTERS = [
    *(
        Case(f"router {name}", {"spec.rollout": {"router": name}})
        for name in ("Auto", "Gateway", "Endpoints")
    ),
    Case("an unknown router", {"spec.rollout": {"router": "Istio"}}, False, "spec.rollout.router"),
    Case(
        "router Gateway in mode Knative",
        {"spec.rollout": {"router": "Gateway"}, "spec.serving": {"mode": "Knative"}},
        False,
        "spec.rollout.router Gateway cannot serve in spec.serving.mode Knative",
    ),
    Case(
        "router Knative in mode Standard",
        {"spec.rollout": {"router": "Knative"}},
        False,
        "spec.rollout.router Knative cannot serve in spec.serving.mode Standard",
    ),
    Case("a gateway", {"spec.rollout": {"gateway": {"name": "front", "namespace": "gateways"}}}),
    Case("a gateway of the own namespace", {"spec.rollout": {"gateway": {"name": "front"}}}),
    Case(
        "a gateway without a name",
        {"spec.rollout": {"gateway": {"namespace": "gateways"}}},
        False,
        "spec.rollout.gateway.name",
    ),
    Case(
        "a gateway that is a path",
        {"spec.rollout": {"gateway": {"name": "../front"}}},
        False,
        "spec.rollout.gateway.name",
    ),
    Case(
        "a namespace that is a path",
        {"spec.rollout": {"gateway": {"name": "front", "namespace": "a/b"}}},
        False,
        "spec.rollout.gateway.namespace",
    ),
    Case("a host", {"spec.rollout": {"host": "digits.models.example.com"}}),
    Case(
        "a host of router Gateway",
        {"spec.rollout": {"router": "Gateway", "host": "digits.models.example.com"}},
    ),
    *(
        Case(
            f"{field} of router {router}",
            {"spec.rollout": {"router": router, field: value}, "spec.serving": {"mode": mode}},
            False,
            "spec.rollout: gateway and host are for router Gateway; leave them out, or write Gateway or Auto",
        )
        for router, mode in (("Endpoints", "Standard"), ("KServe", "Standard"), ("Knative", "Knative"))
        for field, value in (("host", "digits.models.example.com"), ("gateway", {"name": "front"}))
    ),
    *(
        Case(f"host {host!r}", {"spec.rollout": {"host": host}}, False, _HOST)
        for host in (
            "digits.models",
            "digits",
            "*.example.com",
            "Digits.example.com",
            "digits.example.com.",
            "digits.example.com:80",
            "digits..example.com",
            "digits.example.com/x",
            "digits.example.com\n",
        )
    ),
    *(
        Case(f"host {host!r} of the cluster", {"spec.rollout": {"host": host}}, False, f"{host} {_INSIDE}")
        for host in (
            "fraud.bank.svc",
            "fraud.bank.svc.cluster.local",
            "fraud.bank.svc.example.com",
            "a.b.local",
        )
    ),
]
