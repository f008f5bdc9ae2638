"""Train: data sets, networks, engines and the training loop, and the store of finished traces."""
