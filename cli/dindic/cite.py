"""dindic cite: BibTeX, and a methods sentence of saved reports."""

import json
from pathlib import Path
from typing import Any

import click

from dindic.exits import BadInput, bad_input
from dindic.options import output_options
from dindic.output import check_outputs, finish


@click.command()
@click.argument("reports", nargs=-1, metavar="[REPORT.json]...", type=click.Path())
@output_options(fail_if=False)
def cite(reports: tuple[str, ...], **options: Any) -> None:
    """Print BibTeX and a methods sentence.

    REPORT.json was written with --json by any command. Its methods sentence has the number of rows, the
    split, the estimators, the protocols and the version.

    \b
    Examples:
      dindic cite
      dindic cite report.json
      dindic cite report.json --markdown methods.md
      dindic cite --json cite.json
    """
    check_outputs(options, reports)
    from disentangle_indicators.citation import cite as citation

    with bad_input():
        result = citation([_report(path) for path in reports])
    finish(result, options)


def _report(path: str) -> dict[str, Any]:
    """Read a saved report."""
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except ValueError:  # no JSON, or no text at all
        content = None
    if not isinstance(content, dict) or "schema" not in content:
        raise BadInput(
            f"{path}: this is no report; dindic score FILE --json report.json writes one"
        )
    return content
