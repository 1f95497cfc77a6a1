"""The table of settings is what the command line takes, and what help, docs and manifests say of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mooring_inference.capture import settings as capture_settings
from mooring_inference.capture.settings import CaptureSettings, parse_capture
from mooring_inference.erase.command import main as erase
from mooring_inference.erase.table import GROUPS as ERASE
from mooring_inference.flags.model import MODEL_DIGEST
from mooring_inference.flags.setting import Setting
from mooring_inference.profile.command import main as profile
from mooring_inference.profile.table import GROUPS as PROFILE
from mooring_inference.score.command import main as score
from mooring_inference.score.table import GROUPS as SCORE
from mooring_inference.settings import page, parse_settings
from mooring_inference.settings.table import CAPTURE, GROUPS
from mooring_inference.stream.command import main as stream
from mooring_inference.stream.table import GROUPS as STREAM

ROOT = Path(__file__).parents[4]
SETTINGS = [setting for group in GROUPS for setting in group.settings]
MODEL = ["--model_name=m"]


COMMANDS = {
    "mooring-inference": (lambda argv: parse_settings(argv, {}), GROUPS),
    "mooring-inference score": (score, SCORE),
    "mooring-inference stream": (stream, STREAM),
    "mooring-inference profile": (profile, PROFILE),
    "mooring-inference erase": (erase, ERASE),
}


def help_text(capsys, command):
    with pytest.raises(SystemExit):
        command(["--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_page_say_the_same_of_each_setting(name, capsys):
    command, groups = COMMANDS[name]
    told = help_text(capsys, command)
    section = page.render().split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    rows = section.splitlines()
    for setting in (setting for group in groups for setting in group.settings):
        assert f"--{setting.name} {setting.value}".rstrip() in told
        assert setting.help in told
        (row,) = [row for row in rows if re.match(rf"\| `--{setting.name}[ `]", row)]
        for said in (setting.help, setting.default_text, setting.variable):
            assert said.replace("|", "\\|") in row


@pytest.mark.parametrize("name", COMMANDS)
def test_names_are_there_once(name):
    found = [setting.name for group in COMMANDS[name][1] for setting in group.settings]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("command", "flag", "said"),
    [
        (score, "--batch-size=0", "expected a whole number above 0, got '0'"),
        (score, "--shard=2/2", "expected I/N with I from 0 to N-1, got '2/2'"),
        (score, "--shard=\u00b2/3", "expected I/N"),
        (score, "--nulls=all", "invalid choice: 'all'"),
        (score, "--shards=1", "unrecognized arguments: --shards=1"),
        (stream, "--max_delay_ms=nan", "expected a number above 0, got 'nan'"),
        (stream, "--metrics_port=70000", "expected a port from 0 to 65535, got '70000'"),
        (stream, "--start=now", "invalid choice: 'now'"),
    ],
)
def test_a_wrong_value_is_said_with_what_is_allowed(command, flag, said, capsys):
    needed = ["--input=a", "--output=b"] if command is score else ["--source=a", "--sink=b", "--group=g"]
    with pytest.raises(SystemExit) as ended:
        command([*needed, flag])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_is_needed_may_be_a_variable(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        stream(["--group=g"])
    assert "the following arguments are required: --source, --sink" in capsys.readouterr().err
    monkeypatch.setenv("MOORING_STREAM_SOURCE", "ftp://user:secret@a/b")
    monkeypatch.setenv("MOORING_STREAM_SINK", "redis://a/b")
    assert stream(["--group=g"]) == 2
    error = capsys.readouterr().err
    assert "--source: expected a URL that begins with one of" in error
    assert "secret" not in error


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.value and s.default_text and not s.otherwise])
def test_the_default_that_is_said_is_the_one_that_counts(setting):
    given = [] if setting.name == "model_dir" else MODEL
    said = [f"--{setting.name}={setting.default_text}"]
    assert parse_settings([*MODEL, *said], {}) == parse_settings([*MODEL, *given], {})


@pytest.mark.parametrize(
    "setting", [s for s in CAPTURE.settings if re.fullmatch(r"[\d.]+|stable", s.otherwise)]
)
def test_what_is_said_of_capture_s_defaults_holds(setting):
    assert parse_capture({"capture_uri": "/c", setting.name: setting.otherwise}) == CaptureSettings("/c")


def test_every_setting_of_capture_can_be_given():
    assert {setting.name for setting in CAPTURE.settings} == {"capture_uri", *capture_settings._PARSERS}


@pytest.mark.parametrize(
    "setting", [s for s in SETTINGS if s.environment and not s.name.startswith("capture_")]
)
def test_a_variable_counts_where_the_flag_is_not_given(setting):
    one, other = (f"sha256:{digit * 64}" for digit in "89")

    def told(flags):
        settings = parse_settings([*MODEL, *flags], {setting.environment: one})
        return settings.load.digest if setting is MODEL_DIGEST else getattr(settings, setting.name)

    assert told([]) == one
    assert told([f"--{setting.name}={other}"]) == other


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "uri": ("s3://a", "s3://b"),
        "sample": ("0.1", "0.2"),
        "features": ("a,b", "c"),
        "mask": ("a=drop", "b=bucket:1,2"),
        "retention_hours": ("1.5", "2"),
        "spool_dir": ("/a", "/b"),
    }.items(),
)
def test_variables_of_capture_count_where_the_flag_is_not_given(name, values):
    by_variable, by_flag = values
    flags = [*MODEL, *([] if name == "uri" else ["--capture_uri=s3://c"])]
    environ = {f"MOORING_CAPTURE_{name.upper()}": by_variable}

    def capture(flags, environ):
        return parse_settings(flags, environ).capture

    assert (
        capture(flags, environ)
        == capture([*flags, f"--capture_{name}={by_variable}"], {})
        != capture(flags, {})
    )
    assert capture([*flags, f"--capture_{name}={by_flag}"], environ) == capture(
        [*flags, f"--capture_{name}={by_flag}"], {}
    )


def test_the_variables_of_capture_are_all_tried():
    told = {s.environment for s in CAPTURE.settings if s.environment}
    tried = ("uri", "sample", "features", "mask", "retention_hours", "spool_dir")
    assert told == {f"MOORING_CAPTURE_{name.upper()}" for name in tried}


def test_the_servingruntimes_give_only_flags_that_exist():
    documents = yaml.safe_load_all((ROOT / "manifests" / "base" / "serving-runtime.yaml").read_text())
    arguments = [container["args"] for each in documents for container in each["spec"]["containers"]]
    assert len(arguments) == 2
    for args in arguments:
        assert parse_settings(args, {}).http_port == 8080


def test_a_default_says_more_than_its_value_only_where_told():
    assert Setting("n", "h", "N", int, 3).default_text == "3"
    assert Setting("n", "h", "S", float, 0.5).default_text == "0.5"
    assert (
        Setting("n", "h", "N", int, otherwise="as many as there are").default_text == "as many as there are"
    )
    assert Setting("n", "h").default_text == ""


def run_page(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mooring_inference.settings.page", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_page_that_differs_fails_the_check(tmp_path):
    assert run_page(ROOT / "docs" / "serving-settings.md", "--check").returncode == 0
    copy = tmp_path / "page.md"
    missing = run_page(copy, "--check")
    assert (missing.returncode, "make generate" in missing.stderr) == (1, True)
    assert run_page(copy).returncode == 0
    assert run_page(copy, "--check").returncode == 0
    copy.write_text(copy.read_text().replace("8080", "80"))
    assert run_page(copy, "--check").returncode == 1
