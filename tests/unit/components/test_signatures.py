"""Signatures of models: those of this package and those of model-signing, and what is wrong with others."""

import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.demands import Signer
from mooring_artifacts.errors import InputError
from mooring_artifacts.public_keys import key_id
from mooring_components.signatures.bundles import SignatureInvalid, public_pem, verify
from mooring_components.signatures.step import NAME, sign_model, verify_at

# Made by model-signing 1.1.1 with a key of P-256.
THEIRS = Path(__file__).parent / "signed_by_model_signing"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def pem(key, password=None):
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def signer(key, name="release"):
    return Signer(name=name, key=public_pem(key))


@pytest.fixture
def model(tmp_path):
    """A model of two files that KEY has signed."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"weights")
    (folder / "sub" / "features.json").write_bytes(b"{}")
    sign_model(folder.as_uri(), pem(KEY))
    return folder


def why_not(folder, *signers):
    found = verify_at(folder.as_uri(), signers or [signer(KEY)])
    assert not found.verified
    assert found.key is None
    return found.problem


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_was_signed_is_verified_by_the_key_that_signed(model, curve):
    key = ec.generate_private_key(curve)
    assert sign_model(model.as_uri() + "/", pem(key)) == (model / NAME).as_uri()
    found = verify_at(model.as_uri(), [signer(OTHER, "other"), signer(key)])
    assert (found.verified, found.signer, found.key) == (True, "release", key_id(public_pem(key)))


def test_a_signature_of_model_signing_is_verified(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(THEIRS, folder)
    theirs = Signer(name="theirs", key=THEIRS.with_suffix(".pem").read_text())
    found = verify_at(folder.as_uri(), [theirs])
    assert (found.verified, found.signer) == (True, "theirs")
    # The name of the key is the one that they write down.
    bundle = json.loads((folder / NAME).read_text())
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == found.key
    (folder / "model.onnx").write_bytes(b"other")
    assert why_not(folder, theirs) == "signed by theirs, but 'model.onnx' changed since"


def test_a_model_that_is_one_file_has_its_signature_beside_it(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"weights")
    assert sign_model(file.as_uri(), pem(KEY)) == (tmp_path / "model.onnx.sig").as_uri()
    assert verify_at(file.as_uri(), [signer(KEY)]).verified
    file.write_bytes(b"others")
    assert why_not(file) == "signed by release, but '.' changed since"


def test_every_change_of_the_files_is_named(model):
    (model / "model.onnx").write_bytes(b"Weights")
    (model / "sub" / "features.json").unlink()
    for name in ("a", "b", "c"):
        (model / name).touch()
    assert why_not(model) == (
        "signed by release, but 'model.onnx' changed since; 'a', 'b' and 1 more not signed; "
        "'sub/features.json' missing"
    )


def test_what_a_registry_adds_is_not_asked_for(model):
    (model / "registered_model_meta").write_text("model_name: digits")
    assert verify_at(model.as_uri(), [signer(KEY)]).verified


def test_a_signature_by_another_key_says_whose_it_is_not(model):
    assert why_not(model, signer(OTHER), signer(OTHER, "b")) == "it is signed by none of b, release"


@pytest.mark.parametrize("order", [[KEY, OTHER], [OTHER, KEY]])
def test_the_key_that_signed_is_told_though_another_has_its_name(model, order):
    found = verify_at(model.as_uri(), [signer(key) for key in order])
    assert (found.verified, found.key) == (True, key_id(public_pem(KEY)))


def test_a_key_of_one_policy_that_is_none_does_not_spoil_that_of_another(model):
    odd = Signer(name="odd", key="-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    assert verify_at(model.as_uri(), [odd, signer(KEY)]).verified
    assert why_not(model, odd, signer(OTHER)) == (
        "it is signed by none of release; the key of odd is no public key in PEM"
    )


def test_a_model_that_nobody_signed(model):
    (model / NAME).unlink()
    assert why_not(model) == "there is none at model.sig"


def changed(model, change):
    bundle = json.loads((model / NAME).read_text())
    change(bundle)
    (model / NAME).write_text(json.dumps(bundle))


def resigned(model, change):
    """What KEY signed, but not as a statement about this model."""

    def sign(bundle):
        envelope = bundle["dsseEnvelope"]
        document = json.loads(base64.b64decode(envelope["payload"]))
        found = change(document)
        payload = json.dumps(found if isinstance(found, list) else document).encode()
        kind = envelope["payloadType"]
        signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        signature = KEY.sign(signed, ec.ECDSA(hashes.SHA256()))
        envelope["payload"] = base64.b64encode(payload).decode()
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()

    changed(model, sign)


NO_BUNDLE = "it is no bundle of OpenSSF Model Signing"
NO_STATEMENT = "what is signed is no statement of OpenSSF Model Signing"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b.update(mediaType="x"), "its media type is not application/vnd.dev.sigstore.bundle.v0.3+json"),
        (lambda b: b.pop("dsseEnvelope"), NO_BUNDLE),
        (lambda b: b.update(dsseEnvelope=[]), NO_BUNDLE),
        (lambda b: b["dsseEnvelope"].update(payload="é"), NO_BUNDLE),
        (lambda b: b["dsseEnvelope"].update(signatures=[{}]), NO_BUNDLE),
        (lambda b: b["dsseEnvelope"].update(signatures=[]), "it is not one signature of application/vnd.in-toto+json"),
        (lambda b: b["dsseEnvelope"].update(payload="e30="), "it names a key of release, but is not signed by it"),
        (lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=""),
         "it names a key of release, but is not signed by it"),
    ],
)  # fmt: skip
def test_a_bundle_of_another_form_is_told_in_a_line(model, change, reason):
    changed(model, change)
    assert why_not(model) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: ["x"], NO_STATEMENT),
        (lambda d: d.pop("predicate"), NO_STATEMENT),
        (lambda d: d.update(subject=[]), NO_STATEMENT),
        (lambda d: d["predicate"].update(resources=[3]), NO_STATEMENT),
        (lambda d: d["predicate"]["resources"][0].update(digest="zz"), NO_STATEMENT),
        (lambda d: d.update(predicateType="x"), "it is no statement of the type https://model_signing/signature/v1.0"),
        (lambda d: d["predicate"]["serialization"].update(method="shards"),
         "it is not over the sha256 of whole files, which is what is read here"),
        (lambda d: d["predicate"]["resources"].pop(), "its digest is not that of the files that it names"),
        (lambda d: d["predicate"]["resources"].append(d["predicate"]["resources"][0]),
         "its digest is not that of the files that it names"),
    ],
)  # fmt: skip
def test_a_statement_of_another_form_is_told_in_a_line(model, change, reason):
    resigned(model, change)
    assert why_not(model) == reason


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"3"])
def test_what_is_no_json_is_told_in_a_line(model, content):
    (model / NAME).write_bytes(content)
    assert why_not(model) == NO_BUNDLE


def test_a_signature_has_an_end(model):
    with (model / NAME).open("wb") as file:
        file.truncate((8 << 20) + 1)
    assert why_not(model) == "it has 8388609 bytes; 8388608 are allowed"


def test_a_key_of_a_policy_that_is_none_is_told_in_a_line(model):
    frame = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    assert why_not(model, Signer(name="odd", key=frame)) == "the key of odd is no public key in PEM"
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    text = edwards.public_bytes(serialization.Encoding.PEM, form).decode()
    assert (
        why_not(model, Signer(name="odd", key=text))
        == "the key of odd is no key of the curves P-256, P-384 or P-521"
    )


def test_a_private_key_may_have_a_password(model):
    sign_model(model.as_uri(), pem(OTHER, b"secret"), b"secret")
    assert verify_at(model.as_uri(), [signer(OTHER)]).verified
    for password in (None, b"wrong"):
        with pytest.raises(InputError, match="its password is wrong or missing"):
            sign_model(model.as_uri(), pem(OTHER, b"secret"), password)
    with pytest.raises(InputError, match="no private key in PEM"):
        sign_model(model.as_uri(), public_pem(KEY).encode())


def test_nothing_is_not_signed(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        sign_model((tmp_path / "none").as_uri(), pem(KEY))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / NAME).touch()
    with pytest.raises(InputError, match="holds no file beside a signature"):
        sign_model((tmp_path / "m").as_uri(), pem(KEY))


def test_a_signature_may_lie_elsewhere(model, tmp_path):
    (model / NAME).unlink()
    (tmp_path / "signatures").mkdir()
    place = (tmp_path / "signatures" / "digits.sig").as_uri()
    assert sign_model(model.as_uri(), pem(KEY), None, place) == place
    assert verify_at(model.as_uri(), [signer(KEY)], place).verified
    assert not verify_at(model.as_uri(), [signer(KEY)]).verified
    assert verify_at(model.as_uri(), [signer(KEY)], place + "x").problem == "there is none at digits.sigx"


def test_a_signature_may_have_another_name_in_the_folder(model):
    (model / NAME).rename(model / "release.sig")
    assert verify_at(model.as_uri(), [signer(KEY)], "release.sig").verified


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("../other/model.sig", "is no name of a file or folder"),
        ("a//model.sig", "is no name of a file or folder"),
        ("%2e%2e/model.sig", "is no name of a file or folder"),
        ("s3://user:secret@bucket/model.sig", "it names no possible bucket"),
        ("http://169.254.169.254/latest", "its scheme is none of"),
        ("https://[::1]/model.sig", "its address is not allowed"),
        ("https://169.254.169.254/model.sig", "its address is not allowed"),
        ("https://user@example.com/model.sig", "its address is not allowed"),
        ("https://example.com/../model.sig", "its address is not allowed"),
    ],
)
def test_a_signature_lies_where_one_place_is_meant(model, place, says):
    found = verify_at(model.as_uri(), [signer(KEY)], place)
    assert (found.verified, says in found.problem, "secret" in found.problem) == (False, True, False)


def test_what_lies_below_the_name_of_a_signature_is_not_left_out(model):
    """In an object store `model.sig` may be a file, and `model.sig/m.onnx` another."""
    from mooring_artifacts.digests import ManifestEntry
    from mooring_components.signatures.step import verify_files

    entries = [
        ManifestEntry(path.relative_to(model).as_posix(), 0, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in model.rglob("*")
        if path.is_file()
    ]
    below = ManifestEntry("release.sig/m.onnx", 0, "0" * 64)
    (model / "release.sig").write_bytes((model / NAME).read_bytes())
    asked = (model.as_uri(), [*entries, below], [signer(KEY)], "release.sig")
    assert verify_files(*asked, is_file=False).problem == (
        "signed by release, but 'release.sig/m.onnx' not signed"
    )


def test_a_model_that_is_one_file_has_no_path_in_its_folder(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    found = verify_at((tmp_path / "model.onnx").as_uri(), [signer(KEY)], "sub/model.sig")
    assert found.problem == "the model is one file, which has no sub/model.sig in its folder"


def test_a_signature_of_another_model_is_none(model, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.onnx").write_bytes(b"others")
    sign_model((tmp_path / "other").as_uri(), pem(KEY))
    place = (tmp_path / "other" / NAME).as_uri()
    assert verify_at(model.as_uri(), [signer(KEY)], place).problem.startswith(
        "signed by release, but 'model.onnx' changed since"
    )


@given(st.integers(0, 2000))
def test_a_signature_that_is_cut_off_is_none(cut):
    whole = (THEIRS / NAME).read_bytes()
    with pytest.raises(SignatureInvalid):
        verify(whole[: cut % len(whole)], [])
