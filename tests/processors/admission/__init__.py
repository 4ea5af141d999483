"""Tests of limits and pauses."""
