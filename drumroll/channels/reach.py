"""Which addresses channels may call: no private network, no loopback, no cloud's metadata, unless the operator says so.

A launch file, or a name server, could otherwise turn this machine against its own neighbours (server-side request
forgery, OWASP). The check is made on the address that is connected to, so a name that changes its mind is no way round.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

PRIVATE_HOSTS = "DRUMROLL_PRIVATE_HOSTS"
# Link-local, where clouds answer with credentials (169.254.169.254, fd00:ec2::254, 100.100.100.200): never.
_NEVER = tuple(map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "0.0.0.0/32")))
_NAT64 = ip_network("64:ff9b::/96")


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
            ip = _plain(ip_address(address.partition("%")[0]))
        except ValueError:
            return True
        if any(ip in network for network in _NEVER):
            return False
        return (ip.is_global and not ip.is_multicast) or host.strip("[]").lower().rstrip(".") in self._private


def _plain(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
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
