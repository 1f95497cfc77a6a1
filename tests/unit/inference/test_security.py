"""Keys, TLS, guards, compressed and costly bodies, explanations: through a real server."""

from __future__ import annotations

import datetime
import gzip
import json
import signal
import ssl

import httpx
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.guards import parse_guards
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

from tests.unit.inference.inference_process import BODY, running, save_negation, spawn
from tests.unit.inference.model_server import serving

INFER = "/v2/models/m/infer"
FP32 = DATATYPES["FP32"]


class Linear:
    """y = 2 a + 3 b of x = [a, b]."""

    signature = Signature((TensorSpec("x", FP32, (None, 2)),), (TensorSpec("y", FP32, (None, 1)),))
    platform = "test"
    device = "cpu"

    def predict(self, inputs, outputs):
        return [inputs["x"] @ np.array([[2], [3]], np.float32)]

    def close(self):
        pass


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


async def test_occlusion_explains_a_linear_model_exactly():
    async with serving({"m": {"1": Linear()}}) as (_, client):
        answer = await client.post("/v1/models/m:explain", json={"instances": [[10, 1], [0, -1]]})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert [e["attributions"] for e in found["explanations"]] == [[20, 3], [0, -3]]
        assert found["predictions"] == [[23], [-3]]
        wrong = await client.post(
            "/v1/models/m:explain", json={"instances": [[1, 2]], "parameters": {"method": "magic"}}
        )
        assert (wrong.status_code, wrong.json()["field"]) == (400, "parameters.method")
        metrics = (await client.get("/metrics")).text
        assert 'code="200",model="m",protocol="explain"' in metrics
        assert 'code="400",model="m",protocol="explain"' in metrics


async def test_a_model_that_fails_while_it_is_explained_is_500():
    class Fails(Linear):
        def predict(self, inputs, outputs):
            raise RuntimeError("secret")

    async with serving({"m": {"1": Fails()}}) as (_, client):
        answer = await client.post("/v1/models/m:explain", json={"instances": [[10, 1]]})
        assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})


async def test_compressed_bodies_are_read_within_the_limit():
    limits = JsonLimits(max_bytes=10_000)
    async with serving({"m": {"1": Linear()}}, json_limits=limits) as (_, client):
        headers = {"content-encoding": "gzip"}
        good = gzip.compress(json.dumps(BODY).encode())
        answer = await client.post(INFER, content=good, headers=headers)
        assert answer.json()["outputs"][0]["data"] == [8]
        bomb = gzip.compress(b"[" * 10_000_000)
        assert (await client.post(INFER, content=bomb, headers=headers)).status_code == 413
        assert (await client.post(INFER, content=b"junk", headers=headers)).status_code == 400
        unknown = await client.post(INFER, content=good, headers={"content-encoding": "br"})
        assert unknown.status_code == 415


async def test_json_that_would_take_too_much_memory_is_refused_unread():
    limits = JsonLimits(max_parsed_bytes=1_000_000)
    async with serving({"m": {"1": Linear()}}, json_limits=limits) as (_, client):
        refused = await client.post(INFER, content=b"[" * 100_000)
        assert refused.status_code == 413
        assert "when parsed" in refused.json()["error"]


async def test_guards_reject_clip_and_flag():
    rules = {
        "outlier_score": True,
        "inputs": {
            "x": {
                "features": [
                    {"name": "age", "min": 0, "max": 120, "range": "reject", "median": 40, "iqr": 20},
                    {"name": "income", "min": 0, "max": 10, "range": "clip"},
                ]
            }
        },
    }
    async with serving({"m": {"1": Linear()}}) as (server, client):
        server.repository.find("m").guards = parse_guards(rules, Linear.signature)

        async def ask(*row):
            return await client.post("/v1/models/m:predict", json={"instances": [row]})

        fine = await ask(40, 5)
        assert fine.json() == {"predictions": [[95]]}
        assert "x-mooring-flags" not in fine.headers
        clipped = await ask(80, 99)
        assert clipped.json() == {"predictions": [[190]]}
        assert clipped.headers["x-mooring-flags"] == "inputs.x[1]:range-clipped"
        assert clipped.headers["x-mooring-outlier-score"] == "2"
        rejected = await ask(121, 5)
        assert rejected.status_code == 400
        assert "age" in rejected.json()["error"]


async def test_guards_come_with_the_model(tmp_path):
    save_negation(tmp_path)
    guards = {"inputs": {"x": {"all": {"max": 1, "range": "reject"}}}}
    (tmp_path / "guards.json").write_text(json.dumps(guards))
    async with running(tmp_path, "--drain_seconds=0") as (_, client):
        assert (await client.post(INFER, json=BODY)).status_code == 400


async def test_guards_that_do_not_fit_the_model_keep_it_from_starting(tmp_path):
    save_negation(tmp_path)
    (tmp_path / "guards.json").write_text('{"inputs": {"z": {}}}')
    process = await spawn("--model_name=m", f"--model_dir={tmp_path}", "--http_port=0", "--host=127.0.0.1")
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"guards.json" in stderr
    assert stderr.count(b"\n") == 1


async def test_keys_are_needed_for_all_but_probes_and_metrics(model_dir, tmp_path):
    (tmp_path / "keys").write_text("correct-horse-battery\n")
    async with running(model_dir, f"--api_keys={tmp_path}/keys", "--drain_seconds=0") as (_, client):
        refused = await client.post(INFER, json=BODY)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.get("/v2/models/m")).status_code == 401
        for headers in (
            {"x-api-key": "correct-horse-battery"},
            {"authorization": "Bearer correct-horse-battery"},
        ):
            assert (await client.post(INFER, json=BODY, headers=headers)).status_code == 200
        wrong = {"x-api-key": "wrong-horse-battery"}
        assert (await client.post(INFER, json=BODY, headers=wrong)).status_code == 401
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m/ready", "/metrics"):
            assert (await client.get(path)).status_code == 200


class Authority:
    """Makes certificates."""

    def __init__(self, folder):
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self._certificate = self._sign(self._name, self._key.public_key(), is_authority=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name):
        """(certificate file, key file)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        files[0].write_bytes(self._sign(subject, key.public_key()).public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def _sign(self, subject, public_key, is_authority=False):
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


async def test_tls_with_client_certificates(model_dir, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    flags = [f"--tls_cert={certificate}", f"--tls_key={key}", f"--tls_client_ca={authority.file}"]
    async with running(model_dir, *flags, "--drain_seconds=0") as server:
        url = f"https://localhost:{server.port}"
        trusting = ssl.create_default_context(cafile=str(authority.file))
        async with httpx.AsyncClient(verify=trusting, trust_env=False, timeout=30) as nobody:
            with pytest.raises(httpx.TransportError):
                await nobody.post(url + INFER, json=BODY)
        trusting = ssl.create_default_context(cafile=str(authority.file))
        trusting.load_cert_chain(*authority.issue("client"))
        async with httpx.AsyncClient(verify=trusting, trust_env=False, timeout=30) as known:
            assert (await known.post(url + INFER, json=BODY)).status_code == 200
        with pytest.raises(httpx.HTTPError):
            await server.client.get("/v2/health/live")


async def test_probes_need_no_certificate_on_their_own_port_which_answers_nothing_else(model_dir, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    flags = [f"--tls_cert={certificate}", f"--tls_key={key}", f"--tls_client_ca={authority.file}"]
    async with running(model_dir, *flags, "--probe_port=0", "--drain_seconds=30") as server:
        port = next(line["port"] for line in server.lines if line["message"] == "listening for probes")
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as kubelet:
            for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m/ready", "/v1/models/m", "/"):
                assert (await kubelet.get(path)).status_code == 200
            for path in ("/metrics", "/v2", "/v2/models/m", "/v1/models", "/docs"):
                assert (await kubelet.get(path)).status_code == 404
            refused = await kubelet.post(INFER, json=BODY)
            assert (refused.status_code, refused.json()) == (404, {"error": "this port answers probes alone"})
            # Readiness goes first, and liveness stays until the end.
            server.process.send_signal(signal.SIGTERM)
            while (await kubelet.get("/v2/health/ready")).status_code == 200:
                pass
            assert (await kubelet.get("/v2/health/live")).status_code == 200


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tls_cert=/no/such", "--tls_key=/no/such"], "/no/such"),
        (["--api_keys=/no/such"], "/no/such"),
    ],
)
async def test_files_that_are_missing_are_one_line_and_exit_code_1(model_dir, flags, said):
    process = await spawn(
        "--model_name=m", f"--model_dir={model_dir}", "--http_port=0", "--host=127.0.0.1", *flags
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert said in stderr.decode()
    assert stderr.count(b"\n") == 1
