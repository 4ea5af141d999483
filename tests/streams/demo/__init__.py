"""Tests of the demo source."""
