"""Charts of traffic and pods: what they show, at every width."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.cli.rehearsal_view import offset
from mooring_operator.cli.rollout_chart import Sample, Share, draw

from tests.unit.cli_world import MANIFEST, invoke

MINUTE = timedelta(minutes=1)
CANARY = [
    Sample(0 * MINUTE, {"stable": Share(100, 4), "new": Share(0, 0)}),
    Sample(2 * MINUTE, {"stable": Share(90, 4), "new": Share(10, 1)}),
    Sample(12 * MINUTE, {"stable": Share(0, 0), "new": Share(100, 4)}),
]


def drawn(samples, width=78, **options):
    return list(draw(samples, width, offset, **options))


def test_each_arm_has_a_row_of_traffic_and_one_of_pods():
    assert drawn(CANARY, 70) == [
        "traffic stable  100% ████████ 90% █████████████████████████ 0%",
        "        new     0%            10% ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁ 100% ████",
        "pods    stable  4 ███████████ 4 ███████████████████████████ 0",
        "        new     0             1 ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂ 4 ███████",
        "                +0:00:00      +0:02:00                      +0:12:00",
    ]


def test_without_unicode_it_is_drawn_with_letters():
    lines = drawn(CANARY, heights=".:-=+*#@")
    assert all(line.isascii() for line in lines)
    assert "10% ...." in lines[1]


def test_what_does_not_fit_goes_on_below():
    lines = drawn(CANARY, 40)
    assert lines[5] == ""
    assert [line[16:24] for line in lines if line.lstrip().startswith("+")] == ["+0:00:00", "+0:12:00"]


def test_nothing_is_drawn_where_nothing_changes():
    assert drawn([]) == []
    assert drawn([CANARY[0], Sample(5 * MINUTE, CANARY[0].shares)]) == []


def test_of_one_moment_the_last_is_drawn():
    glimpse = Sample(2 * MINUTE, {"stable": Share(50, 4), "new": Share(50, 2)})
    assert drawn([CANARY[0], glimpse, *CANARY[1:]]) == drawn(CANARY)


shares = st.builds(Share, st.integers(0, 100), st.integers(0, 1000))


@st.composite
def samples(draw_):
    arms = draw_(st.lists(st.sampled_from(["stable", "new", "b", "variant-c"]), min_size=1, unique=True))
    times = sorted(draw_(st.sets(st.integers(0, 10**7), min_size=2, max_size=12)))
    return [
        Sample(timedelta(seconds=at), draw_(st.fixed_dictionaries(dict.fromkeys(arms, shares))))
        for at in times
    ]


@given(samples(), st.integers(1, 300))
def test_every_change_is_shown_in_order_and_no_line_is_too_long(given, width):
    lines = drawn(given, width)
    changes = [
        now for before, now in zip([None, *given], given, strict=False) if _shares(before) != _shares(now)
    ]
    if len(changes) < 2:
        assert lines == []
        return
    # One value of each arm at least, however narrow the terminal is.
    assert max(map(len, lines)) <= max(width, 40)
    times = re.findall(r"\+(?:\d+d )?\d+:\d\d:\d\d", "\n".join(lines))
    assert times == [offset(sample.at) for sample in changes]
    arms = list(given[0].shares)
    for place, arm in enumerate(arms):
        size = 2 * len(arms) + 2
        weights = [number for line in lines[place::size] for number in re.findall(r"(\d+)%", line)]
        assert weights == [str(sample.shares[arm].weight) for sample in changes]
        pods = [
            number for line in lines[len(arms) + place :: size] for number in re.findall(r"\d+", line[8:])
        ]
        assert pods == [str(sample.shares[arm].pods) for sample in changes]


def _shares(sample):
    return sample and sample.shares


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "iris.yaml"
    path.write_text(MANIFEST.replace("  rollout:", "  serving: {minReplicas: 3}\n  rollout:"))
    return str(path)


def test_a_rehearsal_ends_with_its_chart(capsys, manifest):
    _, out, _ = invoke(capsys, "rehearse", manifest, "--from-stable")
    lines = out.splitlines()
    (first,) = [index for index, line in enumerate(lines) if line.startswith("traffic")]
    assert [re.findall(r"\d+%?", line) for line in lines[first : first + 4]] == [
        ["100%", "90%", "0%"],
        ["0%", "10%", "100%"],
        ["3", "3", "0"],
        # Where both revisions are one service its pods are not waited for: two are still starting.
        ["0", "1", "1"],
    ]
    assert lines[first + 4].split() == ["+0:00:00", "+0:02:30", "+0:12:30"]


def test_a_candidate_that_never_starts_gets_nothing(capsys, manifest):
    _, out, _ = invoke(capsys, "rehearse", manifest, "--from-stable", "--candidate", "never")
    assert "traffic" not in [line.split(" ")[0] for line in out.splitlines()]


def test_where_nothing_changes_no_chart_leaves_a_gap(capsys, manifest):
    _, out, _ = invoke(capsys, "rehearse", str(manifest), "--from-stable", "--candidate", "never")
    assert "\n\nIt ends rolled back" in out
    assert "\n\n\n" not in out


def test_the_first_revision_has_no_other_beside_it(capsys, manifest):
    _, out, _ = invoke(capsys, "rehearse", manifest, "--first")
    assert re.search(r"^traffic new +0% +100% ", out, re.MULTILINE)
    assert re.search(r"^pods +new +0 +3 ", out, re.MULTILINE)
    assert "stable" not in out


def test_in_a_pipe_a_row_of_the_timeline_is_a_line(capsys, tmp_path):
    path = tmp_path / "iris.yaml"
    path.write_text(MANIFEST.replace("compare the error rates", "compare" + " the error rates" * 11))
    _, out, _ = invoke(capsys, "rehearse", str(path), "--from-stable")
    (line,) = [line for line in out.splitlines() if "awaits approval" in line]
    assert line.endswith("(mooring approve)")
    assert max(len(line) for line in out.splitlines() if "%" in line and line[:1] in "tp ") <= 120
