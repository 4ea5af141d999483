"""Tests of the live tail behind its HTTP side."""
