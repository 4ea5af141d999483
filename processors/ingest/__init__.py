"""The door: every signal is decoded, put into its tenant's lane, admitted once, and enriched here."""

from processors.ingest.door import IngestSettings
from processors.ingest.hop import IngestHop
from processors.ingest.tenant import Over, Policy, Status

__all__ = ["IngestHop", "IngestSettings", "Over", "Policy", "Status"]
