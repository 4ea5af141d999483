"""The door: every signal is decoded, put into its tenant's lane, admitted once, and enriched here."""

from processors.ingest.hop import IngestHop, IngestSettings
from processors.ingest.tenant import Over, Policy, Status

__all__ = ["IngestHop", "IngestSettings", "Over", "Policy", "Status"]
