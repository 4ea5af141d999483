"""The command line. One module a command or group of commands; `main.py` puts them together."""
