"""YAML and JSON of others: plain data, or one line that says what is not read."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.safe_yaml import Limits, load_all_yaml, load_yaml, read_yaml
from mooring_artifacts.small_files import read_json

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)
_documents = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


class Plain(yaml.SafeDumper):
    """Writes what is there twice as often as it is there."""

    def ignore_aliases(self, data):
        return True


@given(_documents, st.booleans())
def test_what_pyyaml_writes_is_read_as_it_was(document, is_flow):
    text = yaml.dump(document, Dumper=Plain, default_flow_style=is_flow)
    assert load_yaml(text.encode()) == document


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x, 2.5, yes, ~, .inf, 0x1f, 017, 1_000]\n",
        "- |\n  a\n  b\n- >\n  a\n  b\n- 'x: y'\n",
        "",
        "# no\n",
    ],
)
def test_other_spellings_are_read_as_pyyaml_reads_them(text):
    assert load_yaml(text.encode()) == yaml.safe_load(text)


def test_times_and_numbers_in_base_60_are_text():
    assert load_yaml(b"[2026-11-24, 2026-11-24 10:00:00, 1:30, 1:30.5, <<, =]") == [
        "2026-11-24",
        "2026-11-24 10:00:00",
        "1:30",
        "1:30.5",
        "<<",
        "=",
    ]


def bomb(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bomb(9), "line 1: expected no anchors and aliases, got a0"),
        (b"x: 1\na: &a [*a]\n", "line 2: expected no anchors and aliases, got a"),
        (b"a: *b\n", "line 1: "),
        (b"a: &a {x: 1}\nb: {<<: *a}\n", "line 1: expected no anchors and aliases, got a"),
        (b"[" * 5000 + b"]" * 5000, "line 1: expected at most 64 levels of lists and objects"),
        (b"{a: " * 5000 + b"}" * 5000, "line 1: expected at most 64 levels of lists and objects"),
        (b"- x\n" * 200_001, "line 200000: expected at most 200000 values"),
        (b"x" * ((1 << 20) + 1), "expected at most 1048576 bytes, got 1048577"),
        (b"? [a, b]\n: 1\n", "line 1: expected a scalar as key, got a list or object"),
        (
            b"a: !!python/object/apply:os.system [ls]\n",
            "line 1: expected plain data, got the tag tag:yaml.org",
        ),
        (b"a: !mine 1\n", "line 1: expected plain data, got the tag !mine"),
        (b"a: 1\n---\nb: 2\n", "expected one document, got 2"),
        (b"a: [1\nb: 2\n", "line 2: "),
        (b"\xff\xfe\x00\xd8", "not YAML"),
        (b"a: \x00", "not YAML"),
    ],
)
def test_what_is_not_read_is_said_in_one_line(content, said):
    with pytest.raises(InputError) as caught:
        load_yaml(content)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_long_number_takes_no_time():
    started = time.process_time()
    for text in (
        b"1:" * 400_000 + b"1",
        b"!!int " + b"1:" * 400_000 + b"1",
        b"9" * 900_000,
        b"0x" + b"f" * 900_000,
    ):
        assert isinstance(load_yaml(text), str)
    assert time.process_time() - started < 2


def test_a_bomb_takes_no_memory(tmp_path):
    (tmp_path / "MLmodel").write_bytes(bomb(12))
    code = (
        "import resource, sys; from pathlib import Path; from mooring_artifacts.safe_yaml import read_yaml\n"
        "from mooring_artifacts.errors import InputError\n"
        "try: read_yaml(Path(sys.argv[1]))\n"
        "except InputError as error: print(error)\n"
    )
    limit = 512 << 20
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "MLmodel")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.stdout == "MLmodel: line 1: expected no anchors and aliases, got a0\n"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    with contextlib.suppress(InputError):
        load_all_yaml(content, Limits(size=150, depth=5, nodes=40))


def test_files_are_read_within_their_limit(tmp_path):
    file = tmp_path / "signature.json"
    for content, said in (
        (b"[" * (1 << 20) + b"]", "signature.json: expected at most 1048576 bytes, got more"),
        (b"[" * 100_000, "signature.json is not JSON"),
        (b"{", "signature.json is not JSON: "),
        (b"\xff", "signature.json is not JSON: "),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_json(file)
        assert str(caught.value).startswith(said)
    with pytest.raises(InputError, match=r"none\.json cannot be read: No such file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "MLmodel").mkdir()
    with pytest.raises(InputError, match="MLmodel cannot be read: Is a directory"):
        read_yaml(tmp_path / "MLmodel")


def test_a_file_without_an_end_is_not_read_to_it():
    with pytest.raises(InputError, match="zero: expected at most 1048576 bytes, got more"):
        read_json(Path("/dev/zero"))
