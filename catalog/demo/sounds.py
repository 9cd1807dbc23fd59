"""The sounds of the demo's audio book, computed: noise, sines and patience. Each runs back into its beginning.

A sound is a list of samples from about -1 to 1 of exactly LENGTH; `write` scales it and makes it a WAV file.
"""

import math
import wave
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

RATE = 11_025  # samples per second
SECONDS = 30
LENGTH = RATE * SECONDS
SEAM = 2 * RATE  # samples over which the end of a noise becomes its beginning
LOUDEST = 0.6  # of what 16 bits hold

Samples = list[float]


@dataclass(frozen=True)
class Sound:
    title: str
    make: Callable[[], Samples]

    def write(self, path: Path) -> None:
        """As WAV, mono, 16 bits. The same bytes each time."""
        samples = self.make()
        loudest = max((min(samples), max(samples)), key=abs)
        scale = LOUDEST * 32767 / abs(loudest)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(array("h", [round(sample * scale) for sample in samples]).tobytes())


def white(seed: int) -> Samples:
    """Noise of every pitch, longer than a sound by its seam."""
    noise = array("h")
    noise.frombytes(Random(seed).randbytes(2 * (LENGTH + SEAM)))  # noqa: S311 - the same rain every time
    return [sample / 32768 for sample in noise]


def low(samples: Samples, share: float) -> Samples:
    """What moves slowly in these samples: each is drawn this share of the way toward the next."""
    return list(accumulate(samples, lambda kept, sample: kept + share * (sample - kept)))


def looped(samples: Samples) -> Samples:
    """The end faded into the beginning, as loud all the way through."""
    faded = [
        before * math.sqrt(1 - at / SEAM) + here * math.sqrt(at / SEAM)
        for at, (before, here) in enumerate(zip(samples[LENGTH:], samples[:SEAM], strict=True))
    ]
    return faded + samples[SEAM:LENGTH]


def strike(samples: Samples, start: int, tones: Iterator[tuple[float, float, float]], seconds: float) -> None:
    """Add tones of (hertz, loudness, seconds until a third is left) from here on, round the end if need be.

    A damped sine needs no sine: each sample follows from the two before it.
    """
    for hertz, loudness, fading in tones:
        damping, angle = math.exp(-1 / (fading * RATE)), math.tau * hertz / RATE
        before, here = 0.0, loudness * math.sin(angle)
        turn, shrink = 2 * damping * math.cos(angle), damping * damping
        for at in range(start, start + int(seconds * RATE)):
            samples[at % LENGTH] += before
            before, here = here, turn * here - shrink * before


def rain() -> Samples:
    noise = white(1)
    soft = low(noise, 0.55)
    samples = looped([0.5 * (one - slow) for one, slow in zip(soft, low(soft, 0.12), strict=True)])
    random = Random(2)  # noqa: S311 - the same drops every time
    for _ in range(420):
        hertz, loudness = 500 + 1900 * random.random(), 0.05 + 0.3 * random.random() ** 3
        strike(samples, int(random.random() * LENGTH), iter([(hertz, loudness, 0.012)]), 0.06)
    return samples


def waves() -> Samples:
    """Three waves: each swells for six seconds, breaks brightly and runs back for four."""
    noise = white(3)
    deep, bright = looped(low(low(noise, 0.05), 0.2)), looped(low(noise, 0.5))
    wave_length = LENGTH // 3
    samples = []
    for at, (rumble, hiss) in enumerate(zip(deep, bright, strict=True)):
        part = at % wave_length / wave_length
        swell = math.sin(math.pi * part / 1.2) ** 3 if part < 0.6 else ((1 - part) / 0.4) ** 2
        samples.append(rumble * (0.8 + 3 * swell) + hiss * (0.015 + 0.4 * swell**2))
    return samples


def hearth() -> Samples:
    samples = [4 * sample for sample in looped(low(low(white(4), 0.03), 0.03))]
    random = Random(5)  # noqa: S311 - the same fire every time
    for _ in range(150):
        loudness, hertz = 0.04 + 0.7 * random.random() ** 4, 700 + 2600 * random.random()
        tones = [(hertz, loudness, 0.003), (hertz * 0.37, loudness * 0.7, 0.009)]
        strike(samples, int(random.random() * LENGTH), iter(tones), 0.05)
    return samples


# What struck metal rings with, above its lowest tone: times its pitch, loudness, seconds of fading.
METAL = ((1.0, 1.0, 4.2), (2.76, 0.42, 2.4), (5.4, 0.18, 1.1), (8.93, 0.07, 0.5), (1.003, 0.6, 4.0))


def bowls() -> Samples:
    samples = [0.0] * LENGTH
    for number, hertz in enumerate((196.0, 146.8, 174.6)):
        tones = ((hertz * times, loudness, fading) for times, loudness, fading in METAL)
        strike(samples, number * LENGTH // 3, tones, 19)
    return samples


def drone() -> Samples:
    """Every tone has a whole number of waves in the loop."""
    samples = [0.0] * LENGTH
    for hertz, loudness in ((98.0, 1.0), (146.8, 0.7), (196.0, 0.5), (246.9, 0.35)):
        for apart in (0, 3 if hertz < 150 else 4):  # waves more in half a minute: it swells every ten seconds or so
            turn, waves_in_loop = math.tau / LENGTH, round(hertz * SECONDS) + apart
            step = turn * waves_in_loop
            before, here, double = 0.0, loudness * math.sin(step), 2 * math.cos(step)
            for at in range(LENGTH):
                samples[at] += before
                before, here = here, double * here - before
    return samples


SOUNDS = {
    "rain": Sound("Rain on a Tin Roof", rain),
    "waves": Sound("Slow Waves", waves),
    "hearth": Sound("A Hearth Burning Down", hearth),
    "bowls": Sound("Three Bowls", bowls),
    "drone": Sound("A Low Chord", drone),
}
