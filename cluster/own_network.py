"""Run a command in a network of its own, where every address of 10.99.0.0/16 is this machine's.

Started by path with ``python -I -S own_network.py COMMAND...``: it must have one thread, and imports nothing of ours.
Root enters a network namespace; others make a user namespace first, where the kernel lets them. Linux only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

ADDRESSES = "10.99.0.0/16"
"""What programs in there may listen on, beside 127.0.0.1; Kubernetes takes no address of 127.0.0.0/8 for a pod."""

_CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40


def main(command: list[str]) -> None:
    """Become the command, in a network that nobody else is in; the exit status is 1, with the reason, without one."""
    try:
        if os.geteuid() == 0:
            unshare(CLONE_NEWNET)
        else:
            _unshare_as_user()
        set_up_loopback()
    except OSError as error:
        sys.exit(f"no network of its own can be made here: {error.strerror}")
    os.execv(command[0], command)  # noqa: S606  no shell is wanted


def unshare(flags: int = CLONE_NEWNET) -> None:
    """Leave namespaces for fresh ones; raises OSError where that is not allowed."""
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def set_up_loopback() -> None:
    """Bring up the loopback interface of a fresh network, with all its addresses."""
    network, _, bits = ADDRESSES.partition("/")
    mask = (0xFFFFFFFF << (32 - int(bits))) & 0xFFFFFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        flags = struct.pack("=h", _IFF_UP | _IFF_LOOPBACK | _IFF_RUNNING)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, _request(b"lo", flags))
        # On this interface the kernel takes a whole network for local, not only the address.
        first = socket.inet_aton(network[:-1] + "1")
        fcntl.ioctl(handle, _SIOCSIFADDR, _request(b"lo:1", _address(first)))
        fcntl.ioctl(handle, _SIOCSIFNETMASK, _request(b"lo:1", _address(struct.pack("!I", mask))))


def _unshare_as_user() -> None:
    """Make a user namespace with this user alone, who may then make a network namespace."""
    user, group = os.geteuid(), os.getegid()
    unshare(_CLONE_NEWUSER | CLONE_NEWNET)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _request(interface: bytes, payload: bytes) -> bytes:
    return struct.pack("16s24s", interface, payload)


def _address(packed: bytes) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, packed)


if __name__ == "__main__":
    main(sys.argv[1:])
