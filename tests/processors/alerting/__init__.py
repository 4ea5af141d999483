"""Tests of alerts as a machine."""
