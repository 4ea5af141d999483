"""The page: HTML, CSS and JavaScript. `streams/gateway/console.py` serves them, nothing builds them."""
