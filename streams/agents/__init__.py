"""Faust agents, one module a hop. Each carries out its hop's share of a lane's batch."""
