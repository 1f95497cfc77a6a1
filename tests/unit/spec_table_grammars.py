"""Cases of schedules, time zones, quantities and metrics, in every field that has one."""

from collections.abc import Callable
from typing import Any

from tests.unit.spec_case import Case

_CI = {"testData": {"uri": "s3://d/t"}}
_BATCH = {"schedule": "0 3 * * *", "input": "s3://d/rows", "output": "s3://d/scores"}
_STREAM = {"source": "redis://r/in", "sink": "redis://r/out"}

GOOD_SCHEDULES = (
    "0 3 * * *",
    "*/15 0-6 * JAN,feb MON-FRI",
    "0  3 * * *",
    " 0\t3 * * * ",
    "? 3 ? * ?",
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
    "@every 1h30m",
    "@every 1.5h",
    "5/10 * * * *",
    "1-59/2 08-017 1,15,31 1-DEC/3 sun-6",
    "59 23 31 12 6",
    "0 0 1 1 0",
    "1,,2, ,3 * * *",
    "*/100 * * * *",
    "0 0 29 2 *",
    "0 0 30 2 MON",
    "0 0 30 2,3 *",
    "0 0 31 1,2 ?",
    "0 0 30 4 *",
    "0 0 1,31 4 *",
)
BAD_SCHEDULES = (
    "0 25 * * *",
    "60 * * * *",
    "* * 0 * *",
    "* * 32 * *",
    "* * * 0 *",
    "* * * 13 *",
    "0 0 30 2 *",
    "0 0 30-31 FEB ?",
    "0 0 31,30 02 *",
    "0 0 31 2,apr,6,SEP,11 *",
    "* * * * 7",
    "*/0 * * * *",
    "5-1 * * * *",
    "* 5-1 * * *",
    "* * * DEC-JAN *",
    "* * * * FRI-MON",
    "* * * * 5-MON",
    "1,2,9-3 * * * *",
    "1-2-3 * * * *",
    "*/5/5 * * * *",
    "*/ * * * *",
    "MON * * * *",
    "* * * MON *",
    "* * * * JAN",
    "* * * * MONDAY",
    "* * L * *",
    "* * * * MON#2",
    "1.5 * * * *",
    "-1 * * * *",
    "+1 * * * *",
    "*-5 * * * *",
    ", * * * *",
    "0 3 * *",
    "0 0 3 * * *",
    "0 3 * * *\n",
    "0 3 * *\u00a0*",
    "TZ=UTC 0 3 * * *",
    "CRON_TZ=Europe/Berlin 0 3 * * *",
    "every day",
    "@reboot",
    "@Daily",
    " @daily",
    "@daily ",
    "@every",
    "@every 1 h",
    "@every day",
    "@every 1d",
    "@every -1h",
    "@every 100ms",
    "@every 1h 30m",
    "0" * 128 + " 3 * * *",
    "",
)

GOOD_TIME_ZONES = ("UTC", "America/Argentina/ComodRivadavia", "Etc/GMT+12", "Locale")
BAD_TIME_ZONES = (
    "Local",
    "local",
    "LOCAL",
    "America/Buenos_Aires_City",
    "a" * 15,
    "Europe/-Berlin",
    "Europe/.",
    "",
)

GOOD_QUANTITIES: tuple[Any, ...] = (
    *("0.5", ".5", "1.", "+1", "007", "100n", "100u", "100m", "1k", "1M", "1G", "1T", "1P", "1E"),
    *("1Ki", "1.5Gi", "1Ti", "1Pi", "9Ei", "1e3", "1E3", "1e-3", "1E+3", "1e99", "9" * 32, 0, 1, 2**63 - 1),
)
BAD_QUANTITIES: tuple[Any, ...] = (
    *(
        -1,
        0.5,
        10**20,
        2**63,
        1e30,
        True,
        [],
        {},
        "-1",
        "-0",
        "",
        ".",
        "+",
        "m",
        "Gi",
        "lots",
        " 1",
        "1 ",
        "1\n",
        "1e",
        "1e1.5",
        "1e100",
    ),
    *("1K", "1ki", "1mi", "1Kib", "1 Gi", "1,5", "0x10", "1_000", "1.2.3", "--1", "٣", "9" * 33),
)

GOOD_METRICS = ("accuracy", "f1", "latencyP99Ms", "modelSizeMB")
BAD_METRICS = ("acuracy", "Accuracy", "latency", "ACCURACY", "latencyP95", "p95", "accuracy ", "", "a" * 64)

Patch = Callable[[Any], dict[str, Any]]
_RESOURCES: list[tuple[str, str, Patch]] = [
    ("ModelDeployment", "spec.serving.resources", lambda found: {"spec.serving": {"resources": found}}),
    ("ModelDeployment", "spec.batch.resources", lambda found: {"spec.batch": {**_BATCH, "resources": found}}),
    (
        "ModelDeployment",
        "spec.stream.resources",
        lambda found: {"spec.stream": {**_STREAM, "resources": found}},
    ),
    ("ModelDeployment", "spec.ci.resources", lambda found: {"spec.ci": {**_CI, "resources": found}}),
    ("DriftMonitor", "spec.resources", lambda found: {"spec.resources": found}),
]
"""Every field that holds quantities."""

_GATES: list[tuple[str, str, Patch]] = [
    ("ModelDeployment", "spec.ci.gates[0].metric", lambda gate: {"spec.ci": {**_CI, "gates": [gate]}}),
    ("ClusterModelPolicy", "spec.requiredGates[0].metric", lambda gate: {"spec.requiredGates": [gate]}),
]
"""Every field that holds a metric's name."""


def _schedule(schedule: str, accepted: bool) -> Case:
    patch = {"spec.batch": {**_BATCH, "schedule": schedule}}
    return Case(f"schedule {schedule!r:.60}", patch, accepted, "" if accepted else "spec.batch.schedule")


def _time_zone(zone: str, accepted: bool) -> Case:
    patch = {"spec.batch": {**_BATCH, "timeZone": zone}}
    return Case(f"zone {zone!r}", patch, accepted, "" if accepted else "spec.batch.timeZone")


def _quantities() -> list[Case]:
    cases = []
    for kind, field, patch in _RESOURCES:
        for part in ("requests", "limits"):
            # All spellings in one place, some in the others: the type is the same.
            every = 1 if (field, part) == ("spec.serving.resources", "limits") else 5
            for accepted, amounts in ((True, GOOD_QUANTITIES), (False, BAD_QUANTITIES)):
                for amount in amounts[::every]:
                    name, says = (
                        f"amount {field}.{part} {amount!r:.40}",
                        "" if accepted else f"{field}.{part}",
                    )
                    cases.append(Case(name, patch({part: {"memory": amount}}), accepted, says, kind))
    return cases


def _room() -> list[Case]:
    above = [
        ("cpu", "1001m", 1),
        ("memory", "1Gi", "1G"),
        ("ephemeral-storage", "1e4", "9999"),
        ("cpu", 2, "1999m"),
    ]
    below = [
        ("cpu", "1000m", 1),
        ("memory", "1G", "1Gi"),
        ("ephemeral-storage", "1e3", "1k"),
        ("memory", 1, 1),
    ]
    cases = []
    for kind, field, patch in _RESOURCES:
        for accepted, amounts in ((False, above), (True, below)):
            for name, least, most in amounts:
                found = {"requests": {name: least, "example.com/a": 1}, "limits": {name: most}}
                says = "" if accepted else f"requests of {name}, {least}, are above its limit {most}"
                cases.append(Case(f"{field} {name} {least!r} {most!r}", patch(found), accepted, says, kind))
    return cases


def _metrics() -> list[Case]:
    cases = []
    for kind, field, patch in _GATES:
        for metric in GOOD_METRICS:
            cases.append(Case(f"metric {field} {metric!r}", patch({"metric": metric, "min": 0}), kind=kind))
        for metric in BAD_METRICS:
            cases.append(
                Case(f"metric {field} {metric!r}", patch({"metric": metric, "min": 0}), False, field, kind)
            )
    return cases


GRAMMARS = [
    *(_schedule(schedule, True) for schedule in GOOD_SCHEDULES),
    *(_schedule(schedule, False) for schedule in BAD_SCHEDULES),
    *(_time_zone(zone, True) for zone in GOOD_TIME_ZONES),
    *(_time_zone(zone, False) for zone in BAD_TIME_ZONES),
    *_quantities(),
    *_room(),
    *_metrics(),
]
