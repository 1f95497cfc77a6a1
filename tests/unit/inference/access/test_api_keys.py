"""API keys from files."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mooring_inference.access.api_keys import ApiKeys, ApiKeysError, unauthorized

FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# the team's\n{FIRST}\n\n  {SECOND}\r\n")
    return path


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"x-api-key": FIRST}, True),
        ({"x-api-key": SECOND}, True),
        ({"authorization": f"Bearer {SECOND}"}, True),
        ({"authorization": f"bearer  {SECOND} "}, True),
        ({"x-api-key": "wrong", "authorization": f"Bearer {FIRST}"}, True),
        ({}, False),
        ({"x-api-key": ""}, False),
        ({"x-api-key": FIRST[:-1]}, False),
        ({"x-api-key": "# the team's"}, False),
        ({"authorization": FIRST}, False),
        ({"authorization": f"Basic {FIRST}"}, False),
        ({"authorization": "Bearer"}, False),
        ({"x-api-key": "\udcff" * 20}, False),
    ],
)
def test_one_of_the_keys_in_either_header_lets_in(path, headers, allowed):
    assert (ApiKeys(path).rights(headers) is not None) is allowed


@given(st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_text_is_a_key(path, text):
    assert ApiKeys(path).knows(text) is (text.strip() in (FIRST, SECOND))


def test_a_mounted_secret_is_read_file_by_file_and_followed_when_it_is_swapped(tmp_path):
    def mount(version, **keys):
        folder = tmp_path / f"..{version}"
        folder.mkdir()
        for name, key in keys.items():
            (folder / name).write_text(key)
            link = tmp_path / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        (tmp_path / "..tmp").symlink_to(folder.name)
        (tmp_path / "..tmp").rename(tmp_path / "..data")

    mount(1, team=FIRST)
    keys = ApiKeys(tmp_path, interval=10)
    assert keys.knows(FIRST)
    assert not keys.maybe_reload(0)
    mount(2, team=SECOND)
    assert not keys.maybe_reload(9)
    assert keys.maybe_reload(10)
    assert keys.knows(SECOND)
    assert not keys.knows(FIRST)


def test_taking_all_keys_away_lets_nobody_in(path):
    keys = ApiKeys(path, interval=0)
    path.write_text("")
    assert keys.maybe_reload(0)
    assert not keys.knows(FIRST)
    assert not keys.knows("")


def test_keys_that_cannot_be_read_leave_the_old_ones_in_use(path, caplog):
    keys = ApiKeys(path, interval=0)
    path.write_text("short")
    assert not keys.maybe_reload(0)
    assert keys.knows(FIRST)
    assert "not usable" in caplog.text
    path.unlink()
    assert not keys.maybe_reload(1)
    assert keys.knows(FIRST)


def test_files_without_good_keys_are_refused_without_showing_them(tmp_path):
    path = tmp_path / "keys"
    for content, words in (("# none\n", "at least one"), ("\nhunter2\n", "16 characters or more in line 2")):
        path.write_text(content)
        with pytest.raises(ApiKeysError, match=words) as caught:
            ApiKeys(path)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(ApiKeysError, match="cannot be read: No such file"):
        ApiKeys(tmp_path / "none")


def test_the_refusal_is_401_and_says_where_a_key_goes():
    assert unauthorized().status == 401
    assert "x-api-key" in unauthorized().message
