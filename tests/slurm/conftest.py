"""One cluster for all tests of this folder. If none starts, that is an error, not a skip."""

import signal

import pytest

from cluster import Cluster, install


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    install()
    # Pytest cleans up on SIGINT only.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        running.start()
        yield running
    finally:
        running.stop()
