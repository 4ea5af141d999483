"""The page: HTML, CSS and JavaScript as they are sent. `streams/gateway/console.py` serves them, nothing builds them."""
