"""The demo's sounds are real: WAV files that can be sold, come out the same each time, and loop without a click."""

import math
import wave
from array import array
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from catalog.demo.sounds import LENGTH, RATE, SOUNDS
from catalog.demo_books import books
from catalog.inspection import inspect_file

each_sound = pytest.mark.parametrize("name", SOUNDS)


@cache
def written(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        SOUNDS[name].write(path)
        return path.read_bytes()


def samples(name: str) -> "array[int]":
    return array("h", written(name)[44:])


@each_sound
def test_sound_passes_inspection(name: str, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(written(name))
    seen = inspect_file(path, f"{SOUNDS[name].title}.wav")
    assert (seen.media_type, seen.name, seen.size) == ("audio/wav", f"{SOUNDS[name].title}.wav", 44 + 2 * LENGTH)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert file.getnframes() == LENGTH == 30 * RATE


@each_sound
def test_sound_is_the_same_each_time(name: str, tmp_path: Path) -> None:
    SOUNDS[name].write(tmp_path / "again.wav")
    assert (tmp_path / "again.wav").read_bytes() == written(name)


@each_sound
def test_end_runs_into_the_beginning(name: str) -> None:
    """From the last sample to the first it is no farther than between any two others, as far as is usual."""
    heard = samples(name)
    steps = [abs(after - before) for before, after in pairwise(heard)]
    usual = math.sqrt(sum(step * step for step in steps) / len(steps))
    assert abs(heard[0] - heard[-1]) <= 4 * usual


@each_sound
def test_sound_is_never_too_loud_and_never_gone(name: str) -> None:
    heard = samples(name)
    assert max(map(abs, heard)) == round(0.6 * 32767)
    for start in range(0, LENGTH, RATE):
        assert math.sqrt(sum(each * each for each in heard[start : start + RATE]) / RATE) > 60


def test_waves_come_three_times() -> None:
    heard = samples("waves")
    loudness = [sum(map(abs, heard[start : start + RATE])) for start in range(0, LENGTH, RATE)]
    peaks = [second for second in range(30) if loudness[second] == max(loudness[max(0, second - 4) : second + 5])]
    assert [round(peak / 10, 1) for peak in peaks] == pytest.approx([0.6, 1.6, 2.6], abs=0.15)


def test_audio_book_delivers_its_booklet_first_and_then_the_sounds() -> None:
    book = next(book for book in books() if book.sounds)
    assert [file.name for file in book.files(book.editions[-1])] == [
        "Five Slow Soundscapes.pdf",
        "1 Rain on a Tin Roof.wav",
        "2 Slow Waves.wav",
        "3 A Hearth Burning Down.wav",
        "4 Three Bowls.wav",
        "5 A Low Chord.wav",
    ]
