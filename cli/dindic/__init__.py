"""The command line: each module one command, parse, call, print."""

import logging
import sys
from io import TextIOWrapper

import click

import disentangle_indicators
from dindic.audit import audit
from dindic.axes import axes
from dindic.bundle import bundle
from dindic.check import check
from dindic.cite import cite
from dindic.convert import convert
from dindic.encode import encode
from dindic.higgins_law import higgins_law
from dindic.match import match
from dindic.merge import merge
from dindic.metrics import metrics
from dindic.models import models
from dindic.output import Announcements, Commands
from dindic.score import compare, score
from dindic.study import study
from dindic.theorems import theorems
from dindic.train import train
from dindic.traverse import traverse

__all__ = ["main"]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(disentangle_indicators.__version__, prog_name="dindic")
def main() -> None:
    """Measure what the latents of a VAE encode, and how far each number can be trusted.

    Start with: dindic score encodings.npz
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals that lack a sign


logging.getLogger("disentangle_indicators").addHandler(Announcements())

for command in (
    *(audit, axes, bundle, check, cite, compare, convert, encode, higgins_law),
    *(match, merge, metrics, models, score, study, theorems, train, traverse),
):
    main.add_command(command)
