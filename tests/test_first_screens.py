"""What people see first, of ten kinds of encoders; RENEW_SCREENS=1 writes the screens again."""

import os
from pathlib import Path

import numpy as np
import pytest
from kinds import KINDS

from disentangle_indicators import score
from disentangle_indicators._render import to_text

SCREENS = Path(__file__).parent / "data" / "screens"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_first_screen_is_the_stored_one(kind):
    mean, var = kind(np.random.default_rng(0))
    card = score(mean, var=var)
    text = to_text([card.verdict], 80) + "\n"
    path = SCREENS / f"{kind.__name__}.txt"
    if os.environ.get("RENEW_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 80


def test_every_stored_screen_has_its_kind():
    assert {path.stem for path in SCREENS.iterdir()} == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "label", "words"),
    [
        ("collapsed", "USED", "posterior collapse"),
        ("collapsed", "PRIOR", "q(z) is the prior, to within"),
        ("partly_collapsed", "USED", "4 of 16 latents are used"),
        ("near_deterministic", "DO", "KL weight far below 1"),
        ("wrong_scale", "CHECK", "wider than the prior"),
        ("offset_mean", "DO", "off zero"),
        ("one_epoch", "PRIOR", "because latents depend on each other"),
        (
            "offset_mean",
            "PRIOR",
            "if latents depend on each other, which these rows cannot settle",
        ),
        ("one_of_ten", "USED", "1 of 10 latents is used"),
    ],
)
def test_what_the_screens_name(kind, label, words):
    text = (SCREENS / f"{kind}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line[:1].strip()]
    assert any(line.startswith(label) for line in lines)
    assert words in " ".join(text.split())
