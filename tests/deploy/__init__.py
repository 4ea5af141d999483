"""The container setup, as far as it can be looked at without Docker: files, how they fit, what is promised."""
