"""By which addresses other machines of the same network reach this one. Nothing is asked of the network."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import psutil

VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "utun", "tun", "tap", "zt", "tailscale", "wg")
"""How the names of interfaces begin that no telephone in the room reaches."""


def local_addresses() -> list[str]:
    """The IPv4 addresses of this machine on its networks, the likeliest first; empty without a network."""
    states = psutil.net_if_stats()
    found = []
    for interface, addresses in psutil.net_if_addrs().items():
        if interface not in states or not states[interface].isup or interface.startswith(VIRTUAL):
            continue
        for address in addresses:
            if address.family == socket.AF_INET and not ip_address(address.address).is_loopback:
                found.append(address.address)
    # An address that a machine gives itself (169.254…) is a last resort; 192.168… is a household's or a hotspot's.
    return sorted(found, key=lambda one: (ip_address(one).is_link_local, not one.startswith("192.168."), one))


def is_loopback(host: str) -> bool:
    """Whether what listens on `host` is reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
