"""The page in a real browser, against canned answers and against the real gateway."""
