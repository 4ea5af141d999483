"""Ports are chosen and remembered, and the configuration is what the guarantees need."""

import re
import socket
from pathlib import Path

import pytest

from streams.broker.config import (
    PORT_HIGH,
    PORT_LOW,
    BrokerSettings,
    Ports,
    choose_ports,
    fencing_properties,
    server_properties,
)
from streams.broker.embedded import new_cluster_id
from streams.broker.errors import BrokerError
from tests.shared_kafka import container_environment


def read(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_ports_are_chosen_below_those_of_outgoing_connections_and_remembered(tmp_path: Path) -> None:
    settings = BrokerSettings(tmp_path)
    ports = choose_ports(settings)
    assert ports.broker != ports.controller
    assert all(PORT_LOW <= port <= PORT_HIGH for port in (ports.broker, ports.controller))
    assert choose_ports(settings) == ports


def test_only_a_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    settings = BrokerSettings(tmp_path)
    ports = choose_ports(settings)
    with socket.create_server(("127.0.0.1", ports.controller)):
        changed = choose_ports(settings)
    assert changed.broker == ports.broker
    assert changed.controller != ports.controller


def test_a_memory_of_ports_that_cannot_be_read_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"broker": "torn')
    assert choose_ports(BrokerSettings(tmp_path)).broker >= PORT_LOW


def test_a_chosen_port_is_used_or_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BrokerError, match="HOPLINE_KAFKA_PORT"):
            choose_ports(BrokerSettings(tmp_path, port=port))
    assert choose_ports(BrokerSettings(tmp_path, port=port)).broker == port


def test_the_broker_listens_on_loopback_and_makes_no_topic_by_itself(tmp_path: Path) -> None:
    properties = read(server_properties(BrokerSettings(tmp_path), Ports(1, 2)))
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1"
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"
    assert properties["auto.create.topics.enable"] == "false"
    assert "log.flush.interval.messages" not in properties


def test_fsync_flushes_each_message(tmp_path: Path) -> None:
    properties = read(server_properties(BrokerSettings(tmp_path, fsync=True), Ports(1, 2)))
    assert properties["log.flush.interval.messages"] == "1"


def test_the_fencing_controller_is_the_same_node_without_a_broker() -> None:
    properties = read(fencing_properties(Ports(1, 2)))
    assert properties["process.roles"] == "controller"
    assert properties["node.id"] == "1"
    assert properties["listeners"] == "CONTROLLER://127.0.0.1:2"
    assert int(properties["broker.heartbeat.interval.ms"]) < int(properties["broker.session.timeout.ms"]) <= 1_000


def test_a_container_gets_the_same_configuration(tmp_path: Path) -> None:
    settings = BrokerSettings(tmp_path)
    given = container_environment(settings, 1)
    assert len(given) == len(read(server_properties(settings, Ports(1, 2))))
    assert given["KAFKA_LISTENERS"] == "PLAINTEXT://0.0.0.0:1,CONTROLLER://127.0.0.1:2"
    assert given["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:1"
    assert all(name.isupper() and "." not in name for name in given)


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    for first in range(256):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", new_cluster_id(bytes([first] * 16)))
