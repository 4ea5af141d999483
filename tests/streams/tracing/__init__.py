"""Tests of spans on their way out."""
