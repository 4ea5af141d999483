"""Tests of the directives hop."""
