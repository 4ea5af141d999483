"""Directives: typed, audited intents that change a tenant's state while the pipeline runs."""

from processors.directives.hop import DirectivesHop, DirectivesSettings

__all__ = ["DirectivesHop", "DirectivesSettings"]
