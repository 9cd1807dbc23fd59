"""manage.py in a process whose clock is wrong: `python -m tests.wrong_clock 600 sweep` is ten minutes ahead."""

import datetime as dt
import sys
import time

SECONDS = float(sys.argv[1])
right_time, right_datetime = time.time, dt.datetime


class AlsoRightOnes(type(dt.datetime)):  # type: ignore[misc]
    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, right_datetime)  # those that C code makes


class WrongDatetime(dt.datetime, metaclass=AlsoRightOnes):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "WrongDatetime":
        return cls.fromtimestamp(time.time(), tz)


def set_clock() -> None:
    """Before anything is imported that would remember the right one."""
    time.time = lambda: right_time() + SECONDS
    dt.datetime = WrongDatetime  # type: ignore[misc]


if __name__ == "__main__":
    set_clock()
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *sys.argv[2:]])
