"""Own lanes: take one over, step its batches, commit each in one transaction, hand it on."""
