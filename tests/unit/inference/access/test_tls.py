"""TLS with real certificates and real handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from mooring_inference.access.tls import ReloadingTls, TlsError

NOW = datetime.datetime.now(datetime.UTC)
PEM = serialization.Encoding.PEM


class Authority:
    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.cert = self._sign(self.name, self.key, authority=True)
        self.pem = self.cert.public_bytes(PEM)

    def _sign(self, name, key, *, authority):
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1))
            .not_valid_after(NOW + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, name, key=None, *, password=None):
        """PEM of a certificate and of its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, authority=False)
        encryption = (
            serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        )
        return cert.public_bytes(PEM), key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


SERVERS, CLIENTS, OTHERS = Authority("servers"), Authority("clients"), Authority("others")


class Files:
    """The files of a server, replaced as Kubernetes does: a link to a new folder."""

    def __init__(self, folder):
        self.folder, self.version = folder, 0
        self.cert, self.key, self.client_ca = (
            folder / "..data" / n for n in ("tls.crt", "tls.key", "ca.crt")
        )

    def write(self, cert, key, client_ca=CLIENTS.pem):
        self.version += 1
        new = self.folder / f"..{self.version}"
        new.mkdir()
        for name, content in (("tls.crt", cert), ("tls.key", key), ("ca.crt", client_ca)):
            (new / name).write_bytes(content)
        link = self.folder / "..tmp"
        link.symlink_to(new.name)
        link.rename(self.folder / "..data")


@pytest.fixture
def files(tmp_path):
    files = Files(tmp_path)
    files.write(*SERVERS.issue("first"))
    return files


@contextlib.asynccontextmanager
async def echo(context):
    """A server that answers each line with itself; its port."""

    async def answer(reader, writer):
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def client(tmp_path, cert=None, authority=SERVERS):
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if cert:
        certificate, key = cert
        path = tmp_path / "client.pem"
        path.write_bytes(certificate + key)
        context.load_cert_chain(path)
    return context


async def connect(port, context):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    return reader, writer


async def say(connection, text=b"hello\n"):
    reader, writer = connection
    writer.write(text)
    return await reader.readline()


def name_of(connection):
    return dict(pair[0] for pair in connection[1].get_extra_info("peercert")["subject"])["commonName"]


async def refused(port, context):
    """Whether the server takes no line from this client; in TLS 1.3 that shows after the handshake."""
    try:
        connection = await connect(port, context)
        answer = await say(connection)
    except (ssl.SSLError, ConnectionError):
        return True
    connection[1].close()
    return answer == b""


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_renewed_certificate_is_used_and_open_connections_go_on(files, tmp_path, new_loop):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(renew(files, tmp_path))


async def renew(files, tmp_path):
    tls = ReloadingTls(files.cert, files.key, interval=10)
    async with echo(tls.context()) as port:
        old = await connect(port, client(tmp_path))
        assert name_of(old) == "first"
        assert not tls.maybe_reload(0)

        files.write(*SERVERS.issue("second"))
        assert not tls.maybe_reload(9), "looked again before its time"
        assert tls.maybe_reload(10)
        assert not tls.maybe_reload(20)

        new = await connect(port, client(tmp_path))
        assert name_of(new) == "second"
        assert await say(old, b"still here\n") == b"still here\n"
        assert await say(new) == b"hello\n"
        old[1].close()
        new[1].close()


async def test_a_certificate_of_another_key_type_and_authority_replaces_the_old_one_wholly(files, tmp_path):
    tls = ReloadingTls(files.cert, files.key, interval=0)
    files.write(*OTHERS.issue("rsa", rsa.generate_private_key(65537, 2048)))
    assert tls.maybe_reload(0)
    async with echo(tls.context()) as port:
        connection = await connect(port, client(tmp_path, authority=OTHERS))
        assert name_of(connection) == "rsa"
        connection[1].close()
        assert await refused(port, client(tmp_path, authority=SERVERS))


async def test_clients_without_a_certificate_of_the_authority_are_refused(files, tmp_path):
    tls = ReloadingTls(files.cert, files.key, files.client_ca)
    async with echo(tls.context()) as port:
        connection = await connect(port, client(tmp_path, CLIENTS.issue("me")))
        assert await say(connection) == b"hello\n"
        connection[1].close()
        assert await refused(port, client(tmp_path))
        assert await refused(port, client(tmp_path, OTHERS.issue("stranger")))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_whose_authority_was_taken_away_is_refused_even_with_its_old_session(
    files, tmp_path, version
):
    tls = ReloadingTls(files.cert, files.key, files.client_ca, interval=0)
    insider = client(tmp_path, CLIENTS.issue("me"))
    insider.maximum_version = version
    async with echo(tls.context()) as port:

        def talk(session=None):
            plain = socket.create_connection(("127.0.0.1", port), timeout=30)
            with insider.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
                secure.sendall(b"hello\n")
                return secure.recv(100), secure.session

        answer, session = await asyncio.to_thread(talk)
        assert answer == b"hello\n"
        files.write(*SERVERS.issue("second"), client_ca=OTHERS.pem)
        assert tls.maybe_reload(0)
        try:
            answer, _ = await asyncio.to_thread(talk, session)
        except (ssl.SSLError, ConnectionError):
            answer = b""
        assert answer == b""
        assert not await refused(port, client(tmp_path, OTHERS.issue("new")))


async def test_versions_before_1_2_are_refused(files, tmp_path):
    tls = ReloadingTls(files.cert, files.key)
    old = client(tmp_path)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with echo(tls.context()) as port:
        assert await refused(port, old)


async def test_bad_files_are_told_once_and_the_old_ones_stay(files, tmp_path, caplog):
    tls = ReloadingTls(files.cert, files.key, interval=0)
    certificate, _ = SERVERS.issue("second")
    _, other_key = SERVERS.issue("third")
    files.write(certificate, other_key)
    assert not tls.maybe_reload(0)
    assert not tls.maybe_reload(1)
    (record,) = [record for record in caplog.records if "not usable" in record.message]
    assert "the key does not belong to the certificate" in record.fields["error"]
    async with echo(tls.context()) as port:
        connection = await connect(port, client(tmp_path))
        assert name_of(connection) == "first"
        connection[1].close()
    files.write(*SERVERS.issue("fourth"))
    assert tls.maybe_reload(2)


def test_bad_files_at_the_start_are_errors_that_name_the_file_and_hold_no_key(files, tmp_path):
    cases = {
        "cannot be read: No such file": files.key.unlink,
        "the key does not belong": lambda: files.write(SERVERS.issue("a")[0], SERVERS.issue("b")[1]),
        "not encrypted": lambda: files.write(*SERVERS.issue("a", password=b"secret")),
        "expected PEM": lambda: files.write(b"not a certificate", SERVERS.issue("b")[1]),
        "TLS client CA": lambda: files.write(*SERVERS.issue("a"), client_ca=b"nothing"),
    }
    for words, spoil in cases.items():
        files.write(*SERVERS.issue("good"))
        ReloadingTls(files.cert, files.key, files.client_ca)
        spoil()
        with pytest.raises(TlsError) as caught:
            ReloadingTls(files.cert, files.key, files.client_ca)
        assert words in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert "PRIVATE" not in str(caught.value)
