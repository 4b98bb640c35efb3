"""The licences of what the package and its extras install, from the records of the packages that are installed here.

    python -m checks.licences --json docs/results/licences.json

Run it where all extras are installed. It fails for a package whose licence is neither recorded nor written here.
"""

import argparse
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from checks.environments import ROOT, needed_packages
from distilhubert_ko.files import writing

NOT_IN_RECORDS = {"espeakng-loader": "GPL-3.0-or-later (espeak-ng)", "ufal-kenlm": "LGPL-2.1-or-later (KenLM)"}
LONGEST = 40  # characters of a licence's name; longer is its text


def licence(name: str) -> str:
    """Return the licence that a package's record names, or nothing."""
    found: dict[str, Any] = importlib.metadata.metadata(name).json
    classified = [each.split(" :: ")[-1] for each in found.get("classifier", []) if each.startswith("License ::")]
    free = found.get("license", "").strip().partition("\n")[0]
    spoken = free if len(free) <= LONGEST else ""
    return found.get("license_expression") or ", ".join(classified) or spoken or NOT_IN_RECORDS.get(name, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name != "dev"}
    packages: dict[str, dict[str, str]] = {}
    for extra, wanted in {"base": project["dependencies"], **extras}.items():
        names = set().union(*(needed_packages(str(Requirement(each))) for each in wanted))
        for name in sorted(names - {*packages}):
            packages[name] = {"licence": re.sub(r"\s+", " ", licence(name)), "extra": extra}
    writing.write_json(options.json, {"packages": packages})
    if unknown := [name for name, found in packages.items() if not found["licence"]]:
        sys.exit(f"no licence is known of {', '.join(unknown)}: look it up and add it to NOT_IN_RECORDS")


if __name__ == "__main__":
    main()
