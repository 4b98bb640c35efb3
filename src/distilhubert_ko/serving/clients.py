"""Who a client is, and how much of what all share one of them may hold."""

import ipaddress
from collections.abc import Iterable, MutableMapping
from typing import Any

_SITE = 64  # bits: one IPv6 client may use any address of its network


def client_name(host: str) -> str:
    """Return the name under which a client's holdings are counted: its IPv4 address, or its network in IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a Unix socket, or what a proxy says
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _SITE), strict=False))


def client_of(scope: MutableMapping[str, Any]) -> str:
    """Return the name of the client of a request, which is empty if nobody knows it."""
    return client_name((scope.get("client") or ("",))[0])


def share_of(limit: int) -> int:
    """Return how much of a limit one client may hold: three quarters, so that others find room."""
    return limit - limit // 4


def is_among(host: str, networks: Iterable[str]) -> bool:
    """Return whether an address is one of some addresses or in one of some networks."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(each) for each in networks)
