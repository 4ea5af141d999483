"""The watch: a process beside the pipeline that keeps its figures, judges the alerts, and answers who asks."""
