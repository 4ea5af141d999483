"""The house rules, as tests: no rule without a check."""
