"""Read a report of pip-audit: a weakness fails, and so does a report in which nothing was audited.

python tests/audited.py build/audit.json
"""

import json
import sys
from pathlib import Path


def failures(report: dict) -> list[str]:
    """Return why a report is not good enough; an empty list for one that is."""
    found = report.get("dependencies", [])
    audited = [each for each in found if "vulns" in each]
    weak = [
        f"{each['name']} {each['version']}: {', '.join(one['id'] for one in each['vulns'])}"
        for each in audited
        if each["vulns"]
    ]
    skipped = [each["name"] for each in found if "vulns" not in each]
    if not audited:
        return [
            "nothing was audited: the package index has no advisories, or the file has no pins"
        ]
    if skipped:
        weak.append(f"not audited: {', '.join(skipped)}")
    return weak


if __name__ == "__main__":
    path = Path(sys.argv[1])
    wrong = failures(json.loads(path.read_text())) if path.exists() else ["there is no report"]
    sys.exit("\n".join(wrong) or 0)
