"""`@retry(...)`: calls again with growing delays, until attempts or time run out."""
import functools
import random
import time


class RetryTimeoutException(Exception):
    pass


def retry(time_unit, multiplier, backoff_coefficient, max_delay, max_attempts, expiration_duration, enable_jitter):
    """Delay of attempt n (from 0): min(max_delay, multiplier * backoff_coefficient ** n) * time_unit seconds."""

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            attempt = 0
            waited = 0.0
            while True:
                try:
                    return function(*args, **kwargs)
                except Exception as error:
                    delay = min(max_delay, multiplier * backoff_coefficient ** attempt) * time_unit
                    if enable_jitter:
                        delay *= random.random()
                    attempt += 1
                    if getattr(error, 'is_final', False):
                        raise RetryTimeoutException(str(error))
                    if attempt >= max_attempts or waited + delay > expiration_duration * time_unit:
                        raise RetryTimeoutException('gave up after {} attempts: {}'.format(attempt, error))
                    waited += delay
                    time.sleep(delay)

        return wrapper

    return decorate
