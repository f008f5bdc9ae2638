"""One cluster for all tests of this folder. It is an error, not a skip, where none starts."""

import signal

import pytest

from cluster import Cluster, install


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    install()
    # Pytest clears up on SIGINT alone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        running.start()
        yield running
    finally:
        running.stop()
