"""The peers: the lane's work by other means. Each module is a program of its own, in the peers' environment."""
