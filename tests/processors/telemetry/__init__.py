"""Tests of what is told about the work."""
