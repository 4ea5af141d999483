"""What makes an answer harmless to a browser, and TLS as settings have it."""

import ssl
from typing import Final

from multidict import CIMultiDict

from streams.settings import Settings, SettingsError

HEADERS: Final = CIMultiDict(
    {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }
)
STRICT_TRANSPORT: Final = ("Strict-Transport-Security", "max-age=31536000")


def headers_for(settings: Settings) -> "CIMultiDict[str]":
    """Return what each answer carries."""
    found = HEADERS.copy()
    if settings.gateway_tls_cert_file:
        found.add(*STRICT_TRANSPORT)
    return found


class Certificate:
    """The gateway's certificate, which may be changed on disk while it runs."""

    def __init__(self, settings: Settings) -> None:
        self._cert_file = settings.gateway_tls_cert_file
        self._key_file = settings.gateway_tls_key_file
        self.context: ssl.SSLContext | None = None
        if self._cert_file:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.minimum_version = ssl.TLSVersion.TLSv1_2
            self.load()

    def load(self) -> None:
        """Read the files, also again: new connections then see the new certificate. Raises `SettingsError`."""
        if self.context is None:
            return
        try:
            # Tried on another context first: a failure half-way would leave a certificate without its key.
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(self._cert_file, self._key_file or None, password=_no_password)
        except (OSError, ValueError) as error:
            raise SettingsError(
                "HOPLINE_GATEWAY_TLS_CERT_FILE and HOPLINE_GATEWAY_TLS_KEY_FILE must name a PEM certificate chain and "
                f"its key, without a password: {type(error).__name__}"
            ) from error


def _no_password() -> str:
    """OpenSSL would ask on the terminal, and wait there."""
    raise ValueError
