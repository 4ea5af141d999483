"""Tests of replays from outside the lanes."""
