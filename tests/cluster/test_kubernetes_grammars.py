"""Schedules and quantities are judged as Kubernetes judges them, but for what nobody means.

What is generated goes to a CronJob and to a pod, which the API server validates by Kubernetes' own parsers, and to the
one place here that the CRDs, the command line and the operator read. `test_cli` shows that those three agree.
"""

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from lightkube import Client, KubeConfig
from mooring_operator.api.quantities import parse_quantity
from mooring_operator.api.resources import Resources
from mooring_operator.api.schedules import never_comes
from mooring_operator.api.types import Quantity, Schedule
from pydantic import TypeAdapter, ValidationError

DRY_RUN = {"dryRun": "All"}
EXAMPLES = settings(max_examples=300, deadline=None)


@pytest.fixture(scope="module")
def api(control_plane):
    """Give an HTTP client of the API server."""
    return Client(KubeConfig.from_file(control_plane.kubeconfig).get())._client._client


def ours(kind, value):
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


# --- schedules ------------------------------------------------------------------------------------


def takes_schedule(api, schedule):
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "a"},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }
    answer = api.post("/apis/batch/v1/namespaces/default/cronjobs", params=DRY_RUN, json=job)
    if answer.status_code == 201:
        return True
    assert answer.status_code == 422, answer.text
    assert "spec.schedule" in answer.text, answer.text
    return False


NEVER_SCHEDULES = re.compile(
    r"[*?]-"  # what follows is ignored
    r"|(^|\s),+(\s|$)"  # no time at all
    r"|[+]"  # signs
    r"|[^\S \t]"  # other white space
    r"|[0-9]{19}"
    r"|\s,*0*3[01](-0*31|,+0*3[01])*,*\s+,*(0*2|(?i:FEB))(,+(0*2|(?i:FEB)))*,*\s+[*?]\s*$"  # no February has that day
    r"|\s,*0*31(,+0*31)*,*\s+,*(0*([2469]|11)|(?i:FEB|APR|JUN|SEP|NOV))"  # and these months no 31st
    r"(,+(0*([2469]|11)|(?i:FEB|APR|JUN|SEP|NOV)))*,*\s+[*?]\s*$"
    r"|@every (.*(-|[nuµμm]s|[0-9]{6})|0$)"  # negative, parts of a second, centuries
)
"""What Kubernetes may take and Mooring never does."""

numbers = st.sampled_from(
    ["0", "1", "5", "05", "000", "6", "7", "12", "13", "23", "24", "31", "32", "59", "60"]
)
words = st.sampled_from(
    ["JAN", "dec", "Mon", "FRI", "sun", "SAT", "TUES", "L", "W", "MON#2", "", "-1", "1.5", "x"]
)
values = st.one_of(numbers, numbers, words)
ranges = st.one_of(
    st.sampled_from(["*", "?", "**", "*-5"]),
    values,
    st.builds("{}-{}".format, values, values),
    st.just("1-2-3"),
)
steps = st.sampled_from(
    ["", "", "", "/1", "/2", "/15", "/0", "/100", "/", "/x", "/-1", "/1/2", "/MON", "/00", "/07"]
)
items = st.builds(str.__add__, ranges, steps)
fields = st.one_of(
    items,
    items,
    st.lists(items, min_size=1, max_size=3).map(",".join),
    st.sampled_from([",1", "1,,2", "1,", ","]),
)
blanks = st.sampled_from([" ", " ", " ", "  ", "\t", " \t "])
plain = st.builds(
    lambda parts, between, around: around[0] + between.join(parts) + around[1],
    st.lists(fields, min_size=5, max_size=5) | st.lists(fields, min_size=3, max_size=7),
    blanks,
    st.tuples(st.sampled_from(["", " "]), st.sampled_from(["", " ", "\t"])),
)
likely = st.tuples(
    st.sampled_from(["0", "*/15", "0,30", "5-10/2", "60", "30-10", "?"]),
    st.sampled_from(["3", "9-17", "*", "24", "17-9", "*/0"]),
    st.sampled_from(["*", "1", "31", "0", "1-15/3", "L"]),
    st.sampled_from(["*", "JAN", "1-6", "jan-JUN", "DEC-JAN", "3-feb", "13"]),
    st.sampled_from(["*", "MON-FRI", "0", "7", "fri-1", "SUN-6", "5-1"]),
).map(" ".join)
macros = st.builds(
    str.__add__,
    st.sampled_from(["", "", " "]),
    st.sampled_from(
        [
            "@daily",
            "@midnight",
            "@hourly",
            "@weekly",
            "@monthly",
            "@yearly",
            "@annually",
            "@reboot",
            "@Daily",
            "@",
            "@daily ",
        ]
    ),
)
every = st.builds(
    "@every {}".format,
    st.lists(
        st.builds("{}{}".format, st.sampled_from(["1", "30", "1.5", ".5", "1.", "0", "-1", "x", ""]),
                  st.sampled_from(["h", "m", "s", "ms", "d", "H", ""])),
        min_size=0, max_size=3,
    ).map("".join),
)  # fmt: skip
zoned = st.builds(str.__add__, st.sampled_from(["TZ=UTC ", "CRON_TZ=Europe/Berlin "]), likely)


@given(st.one_of(likely, plain, macros, every, zoned, st.text("0*/,-@? 15aTZ=", max_size=12)))
@example("0 25 * * *")
@example("*/0 * * * *")
@example("0 5-1 * * *")
@example("0  3 * * *")
@example("@daily")
@example("*-5 * * * *")
@example(", * * * *")
@example("0 +3 * * *")
@example("0 3 * * *\n")
@example("@every 1h30m")
@example("@every -1h")
@example("TZ=UTC 0 3 * * *")
@EXAMPLES
def test_a_schedule_is_what_a_cronjob_takes(api, schedule):
    taken = takes_schedule(api, schedule)
    if NEVER_SCHEDULES.search(schedule) or (taken and never_comes(schedule)):
        assert not ours(Schedule, schedule), schedule
    else:
        assert ours(Schedule, schedule) == taken, schedule


# --- quantities -----------------------------------------------------------------------------------


def takes_quantities(api, limit, request):
    resources = {"limits": {"memory": limit}, "requests": {"memory": request}}
    container = {"name": "a", "image": "a", "resources": resources}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}}
    answer = api.post("/api/v1/namespaces/default/pods", params=DRY_RUN, json=pod)
    if answer.status_code == 201:
        return True
    assert answer.status_code in (400, 422), answer.text
    assert re.search(r"quantit|limits\[memory\]|requests\[memory\]|memory limit", answer.text), answer.text
    return False


NEVER_AMOUNTS = re.compile(
    r"^[-+]?[.]?([a-zA-Z]|$)"  # no digits: Kubernetes reads a zero
    r"|^-"  # -0 is one, too
    r"|\s"
    r"|[eE][-+]?[0-9]{3}"  # a hundred digits
)

digits = st.sampled_from(
    ["0", "1", "7", "10", "500", "999", "1000", "1024", "1025", "0010", "1536", "9999999999", ""]
)
amounts = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "", "", "+", "-", " "]),
    digits,
    st.one_of(st.just(""), st.just(""), digits.map(".{}".format)),
    st.one_of(
        st.sampled_from(
            ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
        ),
        st.sampled_from(["K", "ki", "B", "Gb", "i", "e", "mi", "Zi", " Gi", "e1.5", "e3x"]),
        st.builds("{}{}".format, st.sampled_from(["e", "E", "e-", "E+"]), st.integers(0, 99)),
    ),
)


@given(amounts | st.integers(-5, 2**63 - 1) | st.text("0123.eEkKmMi+- n", max_size=7))
@example(".")
@example("1.")
@example("-0")
@example("100u")
@example("1e3")
@example("1E")
@example("9Ei")
@EXAMPLES
def test_a_quantity_is_what_a_pod_takes(api, amount):
    taken = takes_quantities(api, amount, amount)
    if NEVER_AMOUNTS.search(str(amount)):
        assert not ours(Quantity, amount), amount
    else:
        assert ours(Quantity, amount) == taken, amount


@given(amounts, amounts)
@example("1Gi", "1G")
@example("1G", "1Gi")
@example("1m", "1u")
@example("100m", "0.1")
@example("9Ei", "8Ei")
@example("9E", "8Ei")
@EXAMPLES
def test_quantities_compare_as_requests_and_limits_of_a_pod(api, limit, request):
    assume(ours(Quantity, limit) and ours(Quantity, request))
    assert takes_quantities(api, limit, request) == (parse_quantity(request) <= parse_quantity(limit))
    assert ours(
        Resources, {"limits": {"memory": limit}, "requests": {"memory": request}}
    ) == takes_quantities(api, limit, request)
