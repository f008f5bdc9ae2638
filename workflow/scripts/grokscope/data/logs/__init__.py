"""Logs of anyone's trainings: found, read, understood, and imported as traces."""
