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
from mooring_inference.settings import page, parse_settings
from mooring_inference.settings.setting import Setting
from mooring_inference.settings.table import CAPTURE, GROUPS

ROOT = Path(__file__).parents[4]
SETTINGS = [setting for group in GROUPS for setting in group.settings]
MODEL = ["--model_name=m"]


def help_text(capsys):
    with pytest.raises(SystemExit):
        parse_settings(["--help"], {})
    return " ".join(capsys.readouterr().out.split())


def test_help_and_page_say_the_same_of_each_setting(capsys):
    told, rows = help_text(capsys), page.render().splitlines()
    for setting in SETTINGS:
        assert f"--{setting.name} {setting.value}".rstrip() in told
        assert setting.help in told
        (row,) = [row for row in rows if re.match(rf"\| `--{setting.name}[ `]", row)]
        for said in (setting.help, setting.default_text, setting.variable):
            assert said.replace("|", "\\|") in row


def test_names_are_there_once():
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


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


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting.environment])
def test_a_variable_counts_where_the_flag_is_not_given(setting):
    environ = {setting.environment: "r9"}
    assert getattr(parse_settings(MODEL, environ), setting.name) == "r9"
    assert getattr(parse_settings([*MODEL, f"--{setting.name}=r8"], environ), setting.name) == "r8"


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
