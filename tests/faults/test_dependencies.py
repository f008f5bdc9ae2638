"""Dependencies: pinned by version, and by hash where possible."""

import re

from project import ROOT


def canonical(requirement):
    """Name and version as the registry compares them."""
    name, version = requirement.split("==")
    return re.sub(r"[-_.]+", "-", name).lower(), version


def test_the_lock_is_of_the_requirements():
    wanted = {
        line.strip()
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith(("#", "torch=="))
    }
    text = (ROOT / "requirements.lock").read_text()
    locked = re.findall(
        r"^([^\s#]+==\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.M
    )
    assert {canonical(name) for name, _ in locked} == {canonical(name) for name in wanted}
    assert text.count("--hash=") == sum(hashes.count("--hash=") for _, hashes in locked)


def test_the_environment_is_installed_by_hash():
    makefile = (ROOT / "Makefile").read_text()
    assert "--require-hashes --no-deps --requirement requirements.lock" in makefile
