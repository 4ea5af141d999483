"""Tests of the ingest hop."""
