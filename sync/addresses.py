"""Which addresses may be connected to: a name is resolved once, its addresses judged, and those very addresses connected to."""

from __future__ import annotations

import ipaddress
import socket


class ForbiddenAddress(Exception):
    """The host's address is private (or public where only plain http to a private one is allowed)."""


class Unresolved(Exception):
    """The name has no address, or no resolver answers."""


def resolve(host: str, port: int) -> list[str]:
    """Every address of `host`, in the resolver's order. Raises Unresolved when it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unresolved(f"the name {host} can't be resolved") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def judge(address: str, *, private_allowed: bool, private_only: bool = False) -> None:
    """Raises ForbiddenAddress for a private, loopback, link-local, multicast or otherwise not public address.

    With `private_allowed` those pass; with `private_only` (plain http) only those do.
    """
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _through_nat64(ip)
    public = ip.is_global and not ip.is_multicast
    if not public and not private_allowed:
        raise ForbiddenAddress(address)
    if public and private_only:
        raise ForbiddenAddress(address)


def _through_nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address behind a NAT64 one; a network's own NAT64 prefix counts as the private address it may lead to."""
    if ip in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ipaddress.IPv4Address("10.0.0.0") if ip in ipaddress.IPv6Network("64:ff9b:1::/48") else ip
