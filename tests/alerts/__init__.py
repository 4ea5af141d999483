"""The rules as data: whole, named as people expect, with series that raise them and a page that says what to do."""
