"""``mooring audit``: records are shown, chosen and verified; what cannot be had is one line."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from mooring_artifacts.audit.records import Subject
from mooring_artifacts.audit.trail import Trail

from tests.unit.artifacts.audit.test_audit_records import NOON, entry
from tests.unit.cli_world import invoke


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A trail of three namespaces."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit").mkdir()
    trail = Trail((tmp_path / "audit").as_uri())
    churn = Subject(kind="ModelDeployment", namespace="b", name="churn", uid="v", generation=1)
    policy = Subject(kind="ClusterModelPolicy", name="prod", uid="w", generation=1)
    now = datetime.now(UTC)
    asyncio.run(
        trail.append(
            "a",
            [
                entry(1, action="Testing", actor="mooring"),
                entry(2, time=NOON + timedelta(hours=1), message="it is [red]best[/]\x1b[2J"),
            ],
        )
    )
    asyncio.run(trail.append("b", [entry(3, subject=churn, time=now, action="RolledBack", revision="47fd")]))
    asyncio.run(trail.append("", [entry(4, subject=policy, time=NOON, action="RulesSet")]))
    return tmp_path


def as_json(capsys, *arguments, code=0):
    found, out, err = invoke(capsys, "audit", "audit", *arguments, "-o", "json")
    assert (found, err) == (code, "")
    return json.loads(out)


def numbers(records):
    return sorted(int(record["id"], 16) for record in records)


def test_records_are_shown_in_the_order_of_their_times(here, capsys):
    code, out, err = invoke(capsys, "audit", "audit")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["TIME", "(UTC)", "BY", "OBJECT", "REVISION", "ACTION", "MESSAGE"]
    assert "_cluster/prod" in out
    assert "b/churn" in lines[-1]
    assert "[red]best[/]" in out
    assert "\x1b[2J" not in out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [1, 2, 3, 4]),
        (("-n", "b"), [3]),
        (("-n", "_cluster"), [4]),
        (("--object", "churn"), [3]),
        (("--since", "24h"), [3]),
        (("--until", "2026-03-01T12:30:00Z"), [1, 4]),
        (("--since", "2026-03-01T12:30:00Z", "--until", "2026-03-02"), [2]),
    ],
)
def test_records_are_chosen(here, capsys, options, expected):
    assert numbers(as_json(capsys, *options)) == expected


def test_a_trail_that_is_whole_is_told_with_its_ends(here, capsys):
    code, out, _ = invoke(capsys, "audit", "audit", "--verify")
    first, *heads = out.splitlines()
    assert (code, first, len(heads)) == (0, "nothing is missing or was changed in 3 chains", 3)
    options = [option for head in heads for option in head.split()]
    assert invoke(capsys, "audit", "audit", "--verify", *options)[0] == 0
    (here / "audit/a/000000000002.json").unlink()
    assert invoke(capsys, "audit", "audit", "--verify")[0] == 0
    code, out, _ = invoke(capsys, "audit", "audit", "--verify", *options)
    assert (code, out.splitlines()[0]) == (1, "a: record 2: it is missing")
    (here / "audit/a/000000000001.json").unlink()
    assert as_json(capsys, "--verify", *options, code=1)["faults"] == [
        {"namespace": "a", "record": 1, "message": "records 1 to 2 are missing"}
    ]


def test_what_was_changed_is_told(here, capsys):
    path = here / "audit/a/000000000001.json"
    path.write_bytes(path.read_bytes().replace(b"mooring", b"mallory"))
    code, out, _ = invoke(capsys, "audit", "audit", "--verify")
    assert (code, "a: record 2: record 1 was changed" in out) == (1, True)
    path.write_text("nonsense")
    code, out, err = invoke(capsys, "audit", "audit")
    assert (code, "record 1 cannot be read" in err, "b/churn" in out) == (0, True, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("audit", "-n", "c"), "--namespace 'c': nothing is recorded of it in"),
        (("audit", "-n", "../.."), "--namespace '../..'"),
        (("audit", "--since", "yesterday"), "--since 'yesterday': a time such as 2026-03-01"),
        (("audit", "--verify", "--head", "a/1"), "--head 'a/1' is not NAMESPACE/NUMBER/SHA256"),
        (("ftp://x/audit",), "audit root"),
    ],
)
def test_bad_input_is_one_line(here, capsys, arguments, why):
    code, out, err = invoke(capsys, "audit", *arguments)
    assert (code, out, why in err, len(err.splitlines())) == (2, "", True, 1)


def test_a_trail_that_is_empty_is_no_error(tmp_path, capsys):
    said = f"nothing is recorded in {tmp_path}: "
    code, out, err = invoke(capsys, "audit", str(tmp_path))
    assert (code, out[: len(said)], err) == (0, said, "")
    assert invoke(capsys, "audit", str(tmp_path), "-o", "json") == (0, "[]\n", "")


def test_nothing_cannot_be_verified(here, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    code, out, err = invoke(capsys, "audit", str(tmp_path / "other"), "--verify")
    assert (code, out) == (2, "")
    assert "nothing is recorded in" in err
    # With a head that was kept it is a gap.
    assert invoke(capsys, "audit", str(tmp_path / "other"), "--verify", "--head", f"a/1/{64 * 'a'}")[0] == 1


def test_a_package_that_is_missing_is_named_with_what_has_it(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mooring_artifacts.audit.trail", None)
    code, out, err = invoke(capsys, "audit", "audit")
    assert (code, out) == (2, "")
    assert "reading the trail needs a package that is not installed: mooring_artifacts.audit.trail" in err
    assert "install kube-mooring with its extra components" in err
