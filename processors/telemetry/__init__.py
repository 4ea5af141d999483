"""What is told about the work, as data: metrics today, events and spans with the issues to come."""
