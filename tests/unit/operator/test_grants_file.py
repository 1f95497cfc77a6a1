"""The administrator's grants as a file that changes under the operator."""

import os

from mooring_operator.adapters.grants_file import GrantsFile

ADDRESS = "s3://team-a/model"
TEXT = '- {namespaces: [team-a], addresses: ["s3://team-a/"]}'


def test_file_is_followed(tmp_path):
    path = tmp_path / "grants.yaml"
    grants = GrantsFile(path)
    assert not grants().allows("team-a", ADDRESS)
    path.write_text(TEXT)
    assert grants().allows("team-a", ADDRESS)
    path.write_text(TEXT.replace("[team-a]", "[team-b]"))
    assert not grants().allows("team-a", ADDRESS)
    assert grants().allows("team-b", ADDRESS)
    path.unlink()
    assert not grants().allows("team-b", ADDRESS)


def test_file_that_kubernetes_swaps_is_followed(tmp_path):
    """A mounted ConfigMap is a link to a folder, which is replaced as a whole."""
    for version, namespace in (("one", "team-a"), ("two", "team-b")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "grants.yaml").write_text(TEXT.replace("[team-a]", f"[{namespace}]"))
    (tmp_path / "data").symlink_to("one")
    grants = GrantsFile(tmp_path / "data" / "grants.yaml")
    assert grants().allows("team-a", ADDRESS)
    (tmp_path / "new").symlink_to("two")
    os.replace(tmp_path / "new", tmp_path / "data")
    assert not grants().allows("team-a", ADDRESS)
    assert grants().allows("team-b", ADDRESS)


def test_broken_file_grants_nothing_and_is_said_once(tmp_path, caplog):
    path = tmp_path / "grants.yaml"
    path.write_text(TEXT)
    grants = GrantsFile(path)
    assert grants().allows("team-a", ADDRESS)
    for broken in ("- {namespaces: [team-a]}", "\x00", "- *x"):
        caplog.clear()
        path.write_text(broken)
        assert not grants().allows("team-a", ADDRESS)
        assert not grants().allows("team-a", ADDRESS)
        (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert str(path) in record.getMessage()
    path.write_bytes(b"\xff\xfe")
    assert not grants().allows("team-a", ADDRESS)


def test_no_file_grants_nothing():
    assert not GrantsFile(None)().allows("team-a", ADDRESS)
    assert GrantsFile(None, files=True)().files
