"""What the set-up cell and the commands do for the machine they run on."""

import os

import pytest

from dp_helpers import course

PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}


@pytest.fixture
def unset(monkeypatch):
    """An environment without the variables; afterwards it is as it was."""
    for name in PATIENT:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_threads_sleep_while_they_wait(unset):
    course.yield_cores()
    assert {name: os.environ.get(name) for name in PATIENT} == PATIENT


@pytest.mark.parametrize("name", PATIENT)
def test_what_the_user_has_set_stays(unset, monkeypatch, name):
    monkeypatch.setenv(name, "mine")
    course.yield_cores()
    assert {each: os.environ.get(each) for each in PATIENT} == PATIENT | {name: "mine"}
