"""``Server``: the links of a device to others: within the domain of a fast link, and over the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from profiler.devices.device import Amount, Source
from profiler.errors import DeviceError
from profiler.util.plain_data import first_problem
from profiler.util.toml_files import read_toml

_FILE = Path(__file__).parent / "servers" / "servers.toml"


@dataclass(frozen=True, slots=True)
class Server:
    """Devices that a fast link joins. Rates are those of one direction, for each device."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    #: The ids of the devices that are built into such a server.
    devices: tuple[str, ...]
    #: The devices that the fast link joins.
    domain: Annotated[int, Field(ge=1, le=10_000)]
    link_bytes_per_s: Amount
    network_bytes_per_s: Amount
    #: The keys of the sources in the file: of the domain and its link, and of the network.
    source: str
    network_source: str


@cache
def all_servers() -> dict[str, Server]:
    """Return all servers of the catalogue by name."""
    return read_servers(_FILE)[0]


def read_servers(path: Path) -> tuple[dict[str, Server], dict[str, Source]]:
    """Return the servers of a TOML file, and their sources.

    Raises:
        DeviceError: The file is not TOML, an entry is invalid, or its source is missing.
    """
    document: dict[str, Any] = read_toml(path, DeviceError, "a TOML file with a table [servers.NAME]")
    try:
        servers = TypeAdapter(dict[str, Server]).validate_python(document.get("servers", {}))
        sources = TypeAdapter(dict[str, Source]).validate_python(document.get("sources", {}))
    except ValidationError as error:
        msg = f"{path.name}: {first_problem(error)}"
        raise DeviceError(msg) from error
    for name, server in servers.items():
        lacking = [key for key in (server.source, server.network_source) if key not in sources]
        if lacking:
            msg = f"{path.name}: servers.{name} has no source; add [sources.{lacking[0]}]"
            raise DeviceError(msg)
    return servers, sources


def server_of(device: str) -> Server:
    """Return the server that a device is built into.

    Raises:
        DeviceError: The catalogue has no links of this device.

    Example:
        >>> server_of("h100-sxm5-80gb").domain
        8
    """
    for server in all_servers().values():
        if device in server.devices:
            return server
    known = ", ".join(sorted({name for server in all_servers().values() for name in server.devices}))
    msg = f"the catalogue has no links of {device}, so that an exchange takes an unknown time; it has those of {known}"
    raise DeviceError(msg)
