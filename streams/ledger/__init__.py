"""The ledger check as a background part: reads what lanes commit, and says what does not add up."""
