"""The secret that all of Hopline's own keys derive from: given by the operator, or made once beside the embedded Kafka.

Whoever must sign, seal or hash asks `derived` for a key of its purpose; the secret itself never leaves this module.
"""

import base64
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streams.hiding import hide_setting
from streams.settings import PREFIX, Settings, SettingsError

DERIVED_BYTES: Final = 32
CHARACTERS_MIN: Final = 32
"""Of what an operator gives: fewer could be guessed."""
FILE: Final = "secret.key"
FILE_BYTES_MAX: Final = 4_096
_GENERATED_BYTES: Final = 32
_VARIABLE: Final = f"{PREFIX}SECRET_KEY"
_FILE_VARIABLE: Final = f"{PREFIX}SECRET_KEY_FILE"
_HOW: Final = (
    "Make one with `openssl rand -base64 32`, keep it where your other secrets are, and give the same one to every "
    f"worker, gateway and command: {_VARIABLE}, or {_FILE_VARIABLE} with the path of a file that holds it."
)


def derived(settings: Settings, purpose: str) -> bytes:
    """Return the 32 bytes that are for one purpose. Raises `SettingsError` if there is no secret to derive them from.

    Other purposes get other bytes that tell nothing about these. The embedded Kafka's secret is made at the first call.
    """
    kdf = HKDF(algorithm=SHA256(), length=DERIVED_BYTES, salt=None, info=f"hopline:{purpose}".encode())
    return kdf.derive(_secret(settings))


def is_given(settings: Settings) -> bool:
    """Tell whether `derived` has a secret: on a configured cluster an operator must have given one."""
    return bool(settings.secret_key.get_secret_value() or settings.secret_key_file or not settings.kafka)


def environment(settings: Settings) -> dict[str, str]:
    """Return what tells another process of the embedded Kafka's secret: to it, this Kafka is a configured one."""
    if not is_own(settings):
        return {}
    path = settings.data_dir.expanduser().absolute() / FILE
    _own(path)
    return {_FILE_VARIABLE: str(path)}


def is_own(settings: Settings) -> bool:
    """Tell whether the secret is the one that is made by itself."""
    return not (settings.secret_key.get_secret_value() or settings.secret_key_file or settings.kafka)


def _secret(settings: Settings) -> bytes:
    given = settings.secret_key.get_secret_value().strip()
    if given and settings.secret_key_file:
        raise SettingsError("secret_key and secret_key_file are both set; keep one of them")
    if given:
        return _strong(given, "secret_key")
    if settings.secret_key_file:
        return _strong(_read(Path(settings.secret_key_file)), f"the secret in {settings.secret_key_file}")
    if settings.kafka:
        raise SettingsError(f"secret_key is not set, and a cluster of your own needs one. {_HOW}")
    return _own(settings.data_dir.expanduser() / FILE)


def _strong(text: str, what: str) -> bytes:
    if len(text) < CHARACTERS_MIN:
        raise SettingsError(f"{what} has {len(text)} characters, at least {CHARACTERS_MIN} are needed. {_HOW}")
    hide_setting(text)
    return text.encode()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode().strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the secret in {path}: {error}") from error


def _own(path: Path) -> bytes:
    """Return the secret of the embedded Kafka's folder, made now if it has none."""
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"others on this machine can read {path}; keep them out with `chmod 600 {path}`")
    return _strong(_read(path), f"the secret in {path}")


def _make(path: Path) -> None:
    """Write a new secret, whole or not at all; if another process was first, its one stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(secrets.token_bytes(_GENERATED_BYTES)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            # A link fails where a rename would replace the secret that another process has begun to use.
            path.hardlink_to(draft)
        except FileExistsError:
            return
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot keep a secret in {path}: {error}") from error
