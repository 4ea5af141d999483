"""Tests of channels: real receivers on loopback, and a real Alertmanager where it is installed."""
