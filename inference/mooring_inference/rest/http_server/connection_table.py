"""The open connections of a server: so many in all, and one address's never at the cost of another's."""

from __future__ import annotations

from collections.abc import Iterator

from mooring_inference.rest.http_server.connection import Connection


class ConnectionTable:
    """Knows how many connections there are, and whose."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._connections: set[Connection] = set()
        self._by_peer: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._connections))

    def add(self, connection: Connection) -> bool:
        """Take a new connection; whether there was room for it.

        Where all are taken, the one that has waited longest of the address that has most gives way, unless that is
        the new one's own address: whoever takes all of them keeps nobody else out.
        """
        if len(self._connections) >= self._limit and not self._make_room(connection.peer):
            return False
        self._connections.add(connection)
        self._by_peer[connection.peer] = self._by_peer.get(connection.peer, 0) + 1
        return True

    def remove(self, connection: Connection) -> None:
        """Remove a connection that has gone; one that was never taken does not matter."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        left = self._by_peer.pop(connection.peer) - 1
        if left:
            self._by_peer[connection.peer] = left

    def _make_room(self, peer: str) -> bool:
        most = max(self._by_peer, key=self._by_peer.__getitem__)
        if self._by_peer[most] <= self._by_peer.get(peer, 0) + 1:
            return False
        waiting = [each for each in self._connections if each.peer == most and not each.owes_answers]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda each: each.changed)
        self.remove(oldest)
        oldest.abort()
        return True
