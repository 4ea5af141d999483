"""Run a worker with a bug planted in it: `python -m tests.chaos.planted NAME`. A test that cannot fail shows nothing."""
import sys
PLANTS = {"x":1}
