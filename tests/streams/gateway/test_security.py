"""Each answer carries the security headers, whoever makes it; TLS is as settings have it."""

import datetime as dt
import ssl
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams.gateway.security import Certificate
from streams.gateway.service import _reload
from streams.settings import Settings, SettingsError
from tests.streams.gateway.serving import answer, connected, serving

WANTED: Final = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
HOUR: Final = dt.timedelta(hours=1)
EPOCH: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "request_, status",
    [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("DELETE /v1/signals HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET /healthz HTTP/1.1\r\nHost: example.com\r\n\r\n", 403),
        ("POST /v1/signals HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 415),
        ("no http at all\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + "X: " + "y" * 20_000 + "\r\n\r\n", 400),
    ],
)
async def test_each_answer_carries_them(request_: str, status: int) -> None:
    async with serving() as (gateway, _), connected(gateway) as (reader, writer):
        writer.write(request_.encode())
        found, headers, body = await answer(reader)
    assert found == status
    assert {name: headers.get(name) for name in WANTED} == WANTED
    assert "strict-transport-security" not in headers
    if status >= 400:
        assert headers["content-type"] == "application/problem+json"
        assert b"urn:hopline:problem" in body


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate for localhost that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(EPOCH)
        .not_valid_after(EPOCH + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


async def test_with_a_certificate_it_speaks_tls_and_a_renewed_one_is_taken(tmp_path: Path) -> None:
    cert_file, key_file = make_certificate(tmp_path, "first")
    async with serving(gateway_tls_cert_file=str(cert_file), gateway_tls_key_file=str(key_file)) as (gateway, _):
        assert gateway.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(cert_file))
        for name in ("first", "second"):
            trusting.load_verify_locations(str(cert_file))
            async with connected(gateway, trusting) as (reader, writer):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                status, headers, _body = await answer(reader)
                shown = dict(field[0] for field in writer.get_extra_info("peercert")["subject"])
            assert (status, headers["strict-transport-security"]) == (200, "max-age=31536000")
            assert shown["commonName"] == name
            if name == "first":
                make_certificate(tmp_path, "second")
                _reload(gateway.certificate)
        key_file.write_text("no key")
        _reload(gateway.certificate)
        async with connected(gateway, trusting) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await answer(reader))[0] == 200, "the old certificate stays in force"


async def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    cert_file, key_file = make_certificate(tmp_path, "localhost")
    async with serving(gateway_tls_cert_file=str(cert_file), gateway_tls_key_file=str(key_file)) as (gateway, _):
        assert gateway.certificate.context is not None
        assert gateway.certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2
        old = ssl.create_default_context(cafile=str(cert_file))
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):  # noqa: PT011  # how it is refused is OpenSSL's matter
            async with connected(gateway, old):
                pass


def test_a_certificate_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HOPLINE_GATEWAY_TLS_CERT_FILE"):
        Certificate(Settings(gateway_tls_cert_file=str(tmp_path / "none.pem")))
