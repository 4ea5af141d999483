"""Words that every hop shares: signals, patterns, ids, reasons, limits, records."""
