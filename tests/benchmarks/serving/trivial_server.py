"""A server that reads requests of a known length and answers each with the same bytes: the generator's limit.

trivial_server.py PORT REQUEST_LENGTH
"""

import select
import socket
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def serve(port: int, length: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    missing: dict[int, int] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                missing[connection.fileno()] = length
                poll.register(connection, select.EPOLLIN)
                continue
            connection = connections[descriptor]
            received = len(connection.recv(1 << 18))
            missing[descriptor] -= received
            if received == 0:
                poll.unregister(connection)
                connections.pop(descriptor).close()
            elif missing[descriptor] == 0:
                missing[descriptor] = length
                connection.send(_ANSWER)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
