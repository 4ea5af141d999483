"""What happens now, for those who listen: one reader of the topics for all of them, and a bounded queue for each."""
