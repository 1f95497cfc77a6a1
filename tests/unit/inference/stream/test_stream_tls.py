"""Streams over TLS and with credentials, against real servers that take nothing else."""

from __future__ import annotations

import os
import re
import shutil
import ssl

import pytest

from tests.benchmarks.serving.stops.cases import write_certificates
from tests.unit.inference.score_models import sum_and_negative
from tests.unit.inference.stream.stream_consumers import consuming, rows, until
from tests.unit.inference.stream.stream_servers import (
    KafkaBench,
    NatsBench,
    RedisBench,
    Server,
    free_port,
    kafka_server,
)
from tests.unit.inference.stream.test_stream_systems import wait_for_keys

USER, PASSWORD = "who", "se/cret"
IN_URL = f"{USER}:se%2Fcret"


class SecureRedis(RedisBench):
    @staticmethod
    def start(folder):
        program = shutil.which("redis-server") or pytest.skip("there is no redis-server")
        port = free_port()
        settings = folder / "redis.conf"
        settings.write_text(
            f"""bind 127.0.0.1
port 0
tls-port {port}
tls-cert-file {folder}/tls.crt
tls-key-file {folder}/tls.key
tls-ca-cert-file {folder}/tls.crt
tls-auth-clients no
dir {folder}
save ""
user default off
user {USER} on >{PASSWORD} ~* &* +@all
"""
        )
        return Server([program, str(settings)], port).start()

    def __init__(self, server, name, authority):
        from redis.asyncio import Redis

        self.name = name
        self.client = Redis(
            host="127.0.0.1",
            port=server.port,
            username=USER,
            password=PASSWORD,
            ssl=True,
            ssl_ca_certs=authority,
        )
        self.host = f"127.0.0.1:{server.port}"
        self.urls = urls(f"rediss://{IN_URL}@{self.host}", f"{name}-")


class SecureNats(NatsBench):
    @staticmethod
    def start(folder):
        program = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("there is no nats-server")
        port = free_port()
        settings = folder / "nats.conf"
        settings.write_text(
            f"""listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/data" }}
tls {{ cert_file: "{folder}/tls.crt", key_file: "{folder}/tls.key" }}
authorization {{ user: "{USER}", password: "{PASSWORD}" }}
"""
        )
        return Server([program, "-c", str(settings)], port).start()

    def __init__(self, server, name, authority):
        self.name, self.server, self.authority = name, server, authority
        self.host = f"127.0.0.1:{server.port}"
        self.urls = urls(f"tls://{IN_URL}@{self.host}", f"{name}.")

    async def prepare(self):
        import nats

        self.client = await nats.connect(
            f"tls://{self.host}",
            user=USER,
            password=PASSWORD,
            tls=ssl.create_default_context(cafile=self.authority),
        )
        self.context = self.client.jetstream()
        for end in ("in", "out", "dead"):
            await self.context.add_stream(name=f"{self.name}-{end}", subjects=[f"{self.name}.{end}"])
        return self


class SecureKafka(KafkaBench):
    mechanism = "PLAIN"

    @staticmethod
    def start(folder):
        key = folder / "server.pem"
        key.write_text((folder / "tls.key").read_text() + (folder / "tls.crt").read_text())
        modules = "org.apache.kafka.common.security"
        jaas = "listener.name.clients.{}.sasl.jaas.config=" + modules + ".{} required{};"
        settings = [
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={key}",
            "listener.name.clients.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
            jaas.format("plain", "plain.PlainLoginModule", f' user_{USER}="{PASSWORD}"'),
            jaas.format("scram-sha-512", "scram.ScramLoginModule", ""),
        ]
        user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        return kafka_server(folder, "SASL_SSL", "\n".join(settings), (user,))

    def __init__(self, server, name, authority):
        super().__init__(server, name)
        self.security = {
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=authority),
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": USER,
            "sasl_plain_password": PASSWORD,
        }
        found = urls(f"kafkas://{IN_URL}@{self.name}", f"{name}-")
        self.urls = {end: f"{url}?mechanism={self.mechanism}" for end, url in found.items()}


class ScramKafka(SecureKafka):
    mechanism = "SCRAM-SHA-512"


def urls(server, prefix):
    return {end: f"{server}/{prefix}{end}" for end in ("in", "out", "dead")}


KINDS = [SecureRedis, SecureNats, SecureKafka, ScramKafka]


@pytest.fixture(scope="module", params=KINDS, ids=[kind.__name__ for kind in KINDS])
def secure(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secure")
    authority = write_certificates(folder)
    server = request.param.start(folder)
    yield request.param, server, authority
    server.kill()


@pytest.fixture
async def bench(secure, request):
    kind, server, authority = secure
    name = re.sub(r"\W", "-", request.node.originalname)[:60]
    bench = await kind(server, name, authority).prepare()
    yield bench
    await bench.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sum_and_negative(tmp_path_factory.mktemp("model"))


async def said(consumer, text):
    """Wait for a line of the log that holds ``text``."""

    async def is_said():
        return [line for line in consumer.lines() if text in str(line).lower()]

    return (await until(is_said))[0]


async def test_messages_are_answered_over_tls_with_credentials(bench, secure, model, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(secure[2]))
    await bench.put(rows(20))
    with consuming(bench.urls, model) as consumer:
        await wait_for_keys(bench, "out", 20)
        assert consumer.stop() == 0
        assert PASSWORD not in str(consumer.lines())
        assert IN_URL not in str(consumer.lines())
    assert dict(await bench.take("out"))["m7"]["outputs"]["total"] == [8.0]


async def test_a_server_whose_authority_is_not_known_gets_nothing(bench, model, tmp_path, monkeypatch):
    await bench.put(rows(3))
    monkeypatch.setenv("SSL_CERT_FILE", str(write_certificates(tmp_path)))
    with consuming(bench.urls, model) as consumer:
        assert "certificate" in str(await said(consumer, "verify failed")).lower()
    assert await bench.count("out") == 0


async def test_a_wrong_password_is_said_and_not_shown(bench, secure, model, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(secure[2]))
    await bench.put(rows(3))
    wrong = {end: url.replace(IN_URL, f"{USER}:guessed") for end, url in bench.urls.items()}
    with consuming(wrong, model) as consumer:
        assert await until(lambda: ended_or_said(consumer, "authori"))
        assert "guessed" not in str(consumer.lines())
    assert await bench.count("out") == 0


async def ended_or_said(consumer, text):
    if consumer.process.poll() is not None:
        return consumer.process.returncode == 1
    return any(text in str(line).lower() for line in consumer.lines())


@pytest.mark.parametrize("secure", [SecureKafka], indirect=True)
async def test_a_mechanism_that_the_broker_does_not_have_is_said(bench, secure, model, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(secure[2]))
    other = {end: url.replace("PLAIN", "SCRAM-SHA-256") for end, url in bench.urls.items()}
    with consuming(other, model) as consumer:
        assert await until(lambda: ended_or_said(consumer, "unsupported"))
        assert PASSWORD not in str(consumer.lines())
