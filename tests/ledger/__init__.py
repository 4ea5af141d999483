"""The ledger check under planted faults: each must be found, and a run with kills only must raise none."""
