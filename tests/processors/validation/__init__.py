"""Tests of validation and its schemas."""
