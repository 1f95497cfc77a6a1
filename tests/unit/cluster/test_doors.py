"""Ports whose connections are handed on to others."""

import gc
import socket
import threading

from cluster.doors import Doors


def server(answer):
    """A server of one connection: it reads to the end, then answers; its port and what it has read."""
    listener, read = socket.create_server(("127.0.0.1", 0)), []

    def run():
        with listener, listener.accept()[0] as connection:
            while chunk := connection.recv(65536):
                read.append(chunk)
            connection.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return listener.getsockname()[1], read, thread


def test_both_directions_are_passed_on_to_their_ends():
    asked, answer = b"a" * 3_000_000, b"b" * 2_000_000
    port, read, thread = server(answer)
    opened = Doors.inherited(Doors.prepare(1)).open(port)
    with socket.create_connection(("127.0.0.1", opened)) as client:
        client.sendall(asked)
        client.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: client.recv(65536), b""))
    thread.join(10)
    assert (b"".join(read) == asked, got == answer) == (True, True)


def test_a_port_that_nobody_listens_on_closes_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    opened = Doors.inherited(Doors.prepare(1)).open(port)
    with socket.create_connection(("127.0.0.1", opened), timeout=10) as client:
        assert client.recv(1) == b""


def test_texts_name_the_ports_outside_and_no_other():
    doors = Doors.inherited(Doors.prepare(2))
    first, second = doors.open(8000), doors.open(800)
    text = "http://127.0.0.1:8000/x http://127.0.0.1:800 http://127.0.0.1:80001 10.0.0.1:800"
    assert doors.outside(text) == (
        f"http://127.0.0.1:{first}/x http://127.0.0.1:{second} http://127.0.0.1:80001 10.0.0.1:800"
    )


def test_a_door_is_opened_once():
    doors = Doors.inherited(Doors.prepare(1))
    assert doors.open(8000) == doors.open(8000)


def test_connections_end_with_the_doors_and_nothing_is_left_to_complain_of(caplog):
    with socket.create_server(("127.0.0.1", 0)) as quiet:
        doors = Doors.inherited(Doors.prepare(1))
        opened = doors.open(quiet.getsockname()[1])
        with socket.create_connection(("127.0.0.1", opened), timeout=10) as client, quiet.accept()[0]:
            doors.close()
            assert client.recv(1) == b""
    del doors
    gc.collect()
    assert caplog.text == ""
