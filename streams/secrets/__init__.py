"""Secrets of integrations: sealed before they reach a topic, opened only where they are used."""

from streams.secrets.datakeys import DataKeys, open_data_keys
from streams.secrets.sealing import SealError, open_sealed, seal

__all__ = ["DataKeys", "SealError", "open_data_keys", "open_sealed", "seal"]
