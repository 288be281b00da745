from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import yaml

from gateway.access.callers import new_token


@dataclass
class Pki:
    """Certificates in files, as a server and its callers have them."""

    folder: Path

    def __post_init__(self) -> None:
        self.ca = trustme.CA()
        self.client_ca = trustme.CA()
        self.ca_file, self.client_ca_file = self.folder / "ca.pem", self.folder / "client-ca.pem"
        self.certificate, self.key = self.folder / "server.pem", self.folder / "server.key"
        self.client_certificate, self.client_key = self.folder / "client.pem", self.folder / "client.key"
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.client_ca.cert_pem.write_to_path(self.client_ca_file)
        self.issue()
        own = self.client_ca.issue_cert("shop.example")
        own.private_key_pem.write_to_path(self.client_key)
        own.cert_chain_pems[0].write_to_path(self.client_certificate)

    def issue(self) -> None:
        """Gives the server a new certificate, of its present root."""
        cert = self.ca.issue_cert("localhost", "127.0.0.1")
        cert.private_key_pem.write_to_path(self.key)
        cert.cert_chain_pems[0].write_to_path(self.certificate)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


CallersFactory = Callable[..., dict[str, str]]


@pytest.fixture
def callers_file(tmp_path: Path) -> Path:
    return tmp_path / "callers.yaml"


@pytest.fixture
def write_callers(callers_file: Path) -> CallersFactory:
    """Writes the file of callers of such names and limits; returns their tokens."""

    def write(**callers: dict[str, float]) -> dict[str, str]:
        tokens, entries = {}, []
        for name, limits in callers.items():
            tokens[name], digest = new_token()
            entries.append({"name": name, "tokens": [digest], **limits})
        callers_file.write_text(yaml.safe_dump({"callers": entries}))
        return tokens

    return write


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at whenever somebody asks."""
    monkeypatch.setattr("gateway.access.fresh._INTERVAL", 0.0)
