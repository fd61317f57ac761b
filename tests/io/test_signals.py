"""Signals as requests."""

import os
import signal
import threading

import pytest

from bert_tf2.io.signals import stop_request


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_request_once(number):
    before = signal.getsignal(number)
    with stop_request() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.signal_name == number.name
        assert signal.getsignal(number) is before  # so that a second one ends the process
    assert signal.getsignal(number) is before


def test_handlers_are_restored_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), stop_request():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_never_see_a_request():
    requests = []

    def work():
        with stop_request() as stop:
            requests.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requests == [False]
