import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gateway.launcher.config import command_line, write_config
from gateway.launcher.ports import PortReservation, TorchServePorts

PORTS = TorchServePorts(inference=1001, management=1002, rest=1003)


def properties(folder: Path) -> dict[str, str]:
    lines = (folder / "config.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_listens_on_loopback_alone(tmp_path: Path) -> None:
    write_config(tmp_path, [tmp_path / "a-1.mar", tmp_path / "b-1.mar"], PORTS)
    config = properties(tmp_path)
    assert config["inference_address"] == config["management_address"] == "http://127.0.0.1:1003"
    assert config["grpc_inference_address"] == config["grpc_management_address"] == "127.0.0.1"
    assert (config["grpc_inference_port"], config["grpc_management_port"]) == ("1001", "1002")
    assert config["load_models"] == "a-1.mar,b-1.mar"
    assert config["enable_model_api"] == config["enable_metrics_api"] == "false"
    assert "metrics_address" not in config
    assert int(config["max_request_size"]) == int(config["max_response_size"]) == 32 * 2**20


def test_listens_on_a_network_if_it_is_told_to(tmp_path: Path) -> None:
    ports = replace(PORTS, metrics=1004, host="0.0.0.0", metrics_host="10.0.0.1")  # noqa: S104
    write_config(tmp_path, [tmp_path / "a-1.mar"], ports)
    config = properties(tmp_path)
    assert config["inference_address"] == config["management_address"] == "http://127.0.0.1:1003"
    assert config["grpc_inference_address"] == config["grpc_management_address"] == "0.0.0.0"  # noqa: S104
    assert (config["enable_metrics_api"], config["metrics_address"]) == ("true", "http://10.0.0.1:1004")
    assert config["metrics_mode"] == "prometheus"
    assert config["enable_model_api"] == "false"


def test_paths_survive_java_properties(tmp_path: Path) -> None:
    store = tmp_path / "modèles \\ 模型"
    store.mkdir()
    write_config(tmp_path, [store / "a-1.mar"], PORTS)
    assert properties(tmp_path)["model_store"].endswith(r"mod\u00e8les \\ \u6a21\u578b")


def test_log4j2_is_whole(tmp_path: Path) -> None:
    write_config(tmp_path, [tmp_path / "a-1.mar"], PORTS)
    root = ET.parse(tmp_path / "log4j2.xml").getroot()  # noqa: S314 - our own
    levels = {logger.get("name"): logger.get("level") for logger in root.iter("Logger")}
    assert levels["ACCESS_LOG"] == "off"
    layout = root.find(".//PatternLayout")
    assert layout is not None
    assert layout.get("pattern", "").startswith("%p\t%t\t%m")


def test_archives_lie_in_one_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too many values"):
        write_config(tmp_path, [tmp_path / "a" / "a-1.mar", tmp_path / "b" / "b-1.mar"], PORTS)


def test_heap_is_bounded_and_grows_with_workers(tmp_path: Path) -> None:
    one, two = (command_line(Path("java"), tmp_path, workers) for workers in (1, 2))
    heaps = [int(next(word for word in line if word.startswith("-Xmx"))[4:-1]) for line in (one, two)]
    assert heaps[0] < heaps[1] < 1024


def test_reserved_ports_differ_and_can_be_listened_on() -> None:
    with closing(PortReservation()) as first, closing(PortReservation()) as second:
        numbers = [
            number
            for ports in (first.ports, second.ports)
            for number in (ports.inference, ports.management, ports.rest)
        ]
        assert len(set(numbers)) == 6
        for number in numbers:
            with socket.create_server(("127.0.0.1", number)):  # sets SO_REUSEADDR, as Java does
                pass


def test_ports_that_are_wanted_are_kept() -> None:
    with closing(PortReservation(TorchServePorts(inference=7070, metrics=0))) as reservation:
        ports = reservation.ports
    assert ports.inference == 7070
    assert len({ports.management, ports.rest, ports.metrics} - {0, None}) == 3
