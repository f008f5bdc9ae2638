"""Networks that automatic differentiation trains: built in, or a user's own."""
