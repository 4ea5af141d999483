"""Tests of the vocabulary: envelope, patterns, ids, lanes."""
