"""The memory limit of tools/environments.py: it holds for all processes together, and what was killed is told."""

import subprocess
import sys

import pytest
from tools import environments

USE = "import sys; held = bytearray(int(sys.argv[1])); held[::4096] = bytes(len(held[::4096]))"


def test_the_tests_for_colab_are_there():
    tests = environments.ROOT / "tests"
    assert [name for name in environments.COLABS_TESTS if not (tests / name).is_file()] == []


@pytest.fixture
def can_limit():
    try:
        environments.limiter()
    except environments.Failure as reason:
        pytest.skip(str(reason))


def test_what_stays_below_the_limit_is_measured(can_limit):
    code, peak, killed = environments.limited([sys.executable, "-c", USE, "60000000"], 200_000_000)
    assert (code, killed) == (0, False) and 60e6 < peak < 200e6


def test_two_processes_together_are_too_much(can_limit):
    both = '"$@" & "$@"; code=$?; wait $! || code=$?; exit $code'
    slow = f"{USE}; import time; time.sleep(5)"
    command = ["sh", "-c", both, "sh", sys.executable, "-c", slow, "60000000"]
    code, peak, killed = environments.limited(command, 100_000_000, stderr=subprocess.DEVNULL)
    assert code == 137 and killed and 95e6 < peak <= 100e6


def test_what_is_left_running_goes_with_the_group(can_limit):
    code, _, killed = environments.limited(["sh", "-c", "sleep 600 & exit 3"], 100_000_000)
    assert (code, killed) == (3, False)
