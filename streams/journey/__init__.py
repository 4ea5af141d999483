"""A signal's way and time, hop by hop: put together from history and the topics after the fact."""
