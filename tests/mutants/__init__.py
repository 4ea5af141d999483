"""Mutation tests of both cores: each place changed, one at a time, must make a test fail."""
