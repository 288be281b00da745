"""Encryption of the gRPC port, and certificates of callers."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from gateway.access.fresh import Fresh
from gateway.settings import GatewaySettings, SettingError, variable


@dataclass(frozen=True)
class Certificates:
    """What a server shows and asks for, in PEM.

    Attributes:
        key: private key of the server.
        chain: its certificate and those between it and the root.
        client_roots: roots of callers' certificates; None: callers need none.
    """

    key: bytes
    chain: bytes
    client_roots: bytes | None

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """As gRPC takes it."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.client_roots)


def server_credentials(settings: GatewaySettings) -> grpc.ServerCredentials | None:
    """Credentials that follow their files: connections made after a change meet the new certificate.

    Returns:
        None where the settings name no certificate.

    Raises:
        SettingError: a file is missing, cannot be read or does not fit the others.
    """
    if not settings.tls_certificate:
        for name in ("tls_key", "tls_client_ca"):
            if getattr(settings, name):
                raise SettingError(f"{variable(name)} goes with {variable('tls_certificate')}; give that too")
        return None
    if not settings.tls_key:
        raise SettingError(f"{variable('tls_certificate')} goes with {variable('tls_key')}; give that too")
    names = ("tls_certificate", "tls_key", "tls_client_ca")
    files = [Path(getattr(settings, name)) for name in names if getattr(settings, name)]
    fresh = Fresh(files, lambda: _read(settings))
    shown = fresh.get()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        current = fresh.get()
        if current is shown:
            return None
        shown = current
        return current.configuration()

    return grpc.dynamic_ssl_server_credentials(
        shown.configuration(),
        changed,  # type: ignore[arg-type] # None is for no change, which the types do not know
        require_client_authentication=shown.client_roots is not None,
    )


def _read(settings: GatewaySettings) -> Certificates:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:  # gRPC itself would not say what is wrong
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=lambda: "")
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
    except (OSError, ValueError) as error:
        names = ", ".join(variable(name) for name in ("tls_certificate", "tls_key", "tls_client_ca"))
        raise SettingError(f"{names}: a file cannot be read, is no PEM, or does not fit the others ({error})") from None
    return Certificates(
        Path(settings.tls_key).read_bytes(),
        Path(settings.tls_certificate).read_bytes(),
        Path(settings.tls_client_ca).read_bytes() if settings.tls_client_ca else None,
    )
