"""The ledger check: what the topics hold against what the lanes say, from offsets and records alone."""

from processors.ledger.books import Books
from processors.ledger.finding import EXPLAINED, Fault, Finding

__all__ = ["EXPLAINED", "Books", "Fault", "Finding"]
