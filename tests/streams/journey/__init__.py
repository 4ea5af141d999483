"""Tests of a signal's way and time."""
