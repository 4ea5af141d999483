"""Alerts as a machine: what is compared with what, when one is raised, told and cleared."""
