"""Validation in one place: what comes in over HTTP, Kafka or the command line is judged here and nowhere else.

Events by `decode`, `decode_batch` and `from_http`; a directive's payload by `payload`; all answer with `Problem`s that
name the field. `schemas` says the same as JSON Schema, for who wants to know before sending.
"""

from processors.validation.payload import in_words, payload
from processors.vocabulary.envelope import decode, decode_batch, decode_structured_event, from_http, is_batch

__all__ = ["decode", "decode_batch", "decode_structured_event", "from_http", "in_words", "is_batch", "payload"]
