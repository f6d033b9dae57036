"""Predict first: a guess by click or by plain call, side by side with the result; no guess blocks nothing."""

import pytest

from dp_helpers.errors import InputError
from dp_helpers.widgets.predict import Prediction


@pytest.fixture
def choice():
    return Prediction("Which guidance is best?", ["1", "3", "10"])


@pytest.fixture
def number():
    return Prediction("How many masks hide the chair?", unit="%")


def test_without_a_guess_the_result_is_told(choice, number):
    assert choice.guess is None and number.guess is None
    assert choice.compare("3") == "You made no guess. The result is 3."
    assert number.compare(9.04) == "You made no guess. The result is 9.04 %."
    assert number.compare(4096) == "You made no guess. The result is 4096 %."


def test_a_click_is_a_guess(choice, number):
    choice.control.value, number.control.value = "10", " 12,5 "
    assert choice.guess == "10" and number.guess == 12.5
    assert choice.compare("3") == "Your guess: 10. The result: 3. Why?"
    assert choice.compare("10").endswith("You were right.")
    assert number.compare(9) == "Your guess: 12.5 %. The result: 9 %. You are off by 3.5 %."


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("1,000", 1000), ("12,345,678", 12345678), ("-1,000.5", -1000.5), ("0,125", 0.125), ("1,5", 1.5), ("1.000", 1)],
)
def test_a_comma_is_of_thousands_where_it_can_be(number, typed, meant):
    number.control.value = typed
    assert number.guess == meant
    number.guess = typed
    assert number.guess == meant


def test_the_plain_call_does_what_the_click_does(choice, number):
    choice.guess, number.guess = 10, 12.5
    assert choice.control.value == "10" and number.control.value == "12.5"
    assert choice.guess == "10" and number.guess == 12.5
    choice.guess = number.guess = None
    assert choice.guess is None and number.guess is None


def test_a_wrong_guess_is_told_and_blocks_nothing(choice, number):
    with pytest.raises(InputError, match="must be one of 1, 3, 10"):
        choice.guess = "5"
    with pytest.raises(InputError, match="must be a number"):
        number.guess = "many"
    number.control.value = "many"
    assert number.compare(9) == "The guess is 'many', but must be a number. The result is 9 %."


def test_what_a_lesson_asks_never_becomes_html():
    asked = Prediction("Is 1 < 2?", ["yes", "no"])
    assert "1 &lt; 2" in asked.children[0].value and repr(asked).startswith("Is 1 < 2?")
