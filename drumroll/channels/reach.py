"""Which addresses channels may call: no private network, no loopback, no cloud's metadata, unless the operator says so.

A launch file, or a name server, could otherwise turn this machine against its own neighbours (server-side request
forgery, OWASP). The check is made on the address that is connected to, so a name that changes its mind is no way round.
"""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

PRIVATE_HOSTS = "DRUMROLL_PRIVATE_HOSTS"
# Link-local, and where clouds answer their own machines with credentials: AWS, Google and others (169.254.169.254,
# fd00:ec2::254), Alibaba (100.100.100.200), Oracle (192.0.0.192), Azure (168.63.129.16). Never.
_NEVER = tuple(
    map(
        ip_network,
        (
            *("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "0.0.0.0/32", "::/128"),
            *("100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
        ),
    )
)
# An IPv4 address in the last 32 bits: NAT64 (RFC 6052), SIIT (RFC 2765), IPv4-compatible (RFC 4291).
_EMBEDDED = tuple(map(ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
# Private, whatever Python's own tables say of it: local NAT64 (RFC 8215), site-local (RFC 3879).
_PRIVATE = tuple(map(ip_network, ("64:ff9b:1::/48", "fec0::/10")))


class Reach:
    """The public internet, and of private addresses those of the `private` hosts, as written in an address."""

    def __init__(self, private: frozenset[str] = frozenset()) -> None:
        self._private = frozenset(name.strip().strip("[]").lower().rstrip(".") for name in private)

    @classmethod
    def of(cls, environ: Mapping[str, str], *also: str) -> "Reach":
        """What the operator of this machine allows in DRUMROLL_PRIVATE_HOSTS (names with commas), and `also`."""
        listed = environ.get(PRIVATE_HOSTS, "").split(",")
        return cls(frozenset(name for name in (*listed, *also) if name.strip()))

    def allows(self, host: str, address: str) -> bool:
        """Whether `address`, which `host` leads to, may be called. What is no IP address is a name: not decided yet."""
        try:
            ip = _plain(_read(address.strip("[]").partition("%")[0].rstrip(".")))
        except (ValueError, OSError):
            return True
        if any(ip in network for network in _NEVER):
            return False
        is_public = ip.is_global and not ip.is_multicast and not any(ip in network for network in _PRIVATE)
        return is_public or host.strip("[]").lower().rstrip(".") in self._private


def _read(address: str) -> IPv4Address | IPv6Address:
    """The address, also as only the C library reads it: 2130706433, 0x7f.1, 0177.0.0.1, 127.1."""
    try:
        return ip_address(address)
    except ValueError:
        return IPv4Address(socket.inet_aton(address))


def _plain(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(ip, IPv6Address) and int(ip) > 1:
        if any(ip in network for network in _EMBEDDED):
            return IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def is_loopback(host: str) -> bool:
    """Whether `host`, as written in an address, is this machine itself."""
    if host.strip("[]").lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
