"""Public keys that an administrator keeps for policies, as a folder that changes under the operator."""

import os
from pathlib import Path

import pytest
from mooring_operator.adapters.signers_folder import SignersFolder
from mooring_operator.api import ModelPolicySpec
from mooring_operator.planning.policies.evidence import demands_of, judge_files
from mooring_operator.planning.policies.signers import MOST_KEYS, assume_keys, read_keys, with_keys

PEM = (Path(__file__).parents[1] / "components" / "signed_by_model_signing.pem").read_text()
OTHER = PEM.replace("M", "N", 1)
NAMED = ModelPolicySpec.model_validate({"signedBy": [{"name": "release"}]})


def test_a_folder_that_kubernetes_swaps_is_followed(tmp_path):
    keys = SignersFolder(tmp_path / "data")
    assert keys() == {}
    for version, text in (("one", PEM), ("two", PEM + "# the one before\n" + OTHER)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "release.pem").write_text(text)
    (tmp_path / "data").symlink_to("one")
    assert keys() == {"release": [PEM]}
    (tmp_path / "new").symlink_to("two")
    os.replace(tmp_path / "new", tmp_path / "data")
    assert keys() == {"release": [PEM, OTHER]}
    (tmp_path / "data").unlink()
    assert keys() == {}


@pytest.mark.parametrize(
    "text",
    ["", "no key", PEM.replace("PUBLIC", "PRIVATE"), PEM * (MOST_KEYS + 1), "x" * 20_000, "\x00\xff",
     "-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----\n"],
)  # fmt: skip
def test_a_file_that_is_no_key_is_nobodys_and_is_said(tmp_path, caplog, text):
    (tmp_path / "release.pem").write_bytes(text.encode("latin-1"))
    (tmp_path / "other.pem").write_text(PEM.replace("\n", "\r\n"))
    (tmp_path / "..data.pem").write_text(PEM)
    (tmp_path / "notes.txt").write_text(PEM)
    assert SignersFolder(tmp_path)() == {"other": [PEM]}
    assert "release.pem is nobody's key" in caplog.text
    assert "PRIVATE" not in caplog.text


def test_without_a_folder_nobody_has_a_key(tmp_path):
    assert SignersFolder(None)() == {}


def test_a_signer_without_a_key_has_those_that_are_kept_and_is_nobody_without():
    assert demands_of([with_keys(NAMED, {})]) == {}
    signature = {"verified": True, "signer": "release", "key": "0" * 64}
    (found,) = judge_files(with_keys(NAMED, {"other": [PEM]}), {"signature": signature})
    assert (found.score, found.reason) == (0, "ConfigMap mooring-signers has no key of release")
    asked = demands_of([with_keys(NAMED, {"release": [PEM, OTHER]})])
    assert {(one["name"], one["key"]) for one in asked["signers"]} == {("release", PEM), ("release", OTHER)}


def test_a_key_in_the_policy_counts_alone():
    inline = ModelPolicySpec.model_validate({"signedBy": [{"name": "release", "publicKey": PEM}]})
    assert with_keys(inline, {"release": [OTHER]}) is inline


def test_a_rehearsal_assumes_keys_that_a_run_could_be_given():
    (assumed,) = assume_keys(NAMED).signed_by
    assert read_keys(assumed.public_key) == [assumed.public_key]
