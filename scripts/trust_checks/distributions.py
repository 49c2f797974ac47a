"""What is installed: the distributions that the package needs, their versions and licences, as a list or as an SBOM.

PYTHONPATH=scripts python -m trust_checks.distributions > sbom.json
"""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

UNKNOWN = "not stated"
_LONGEST = 60


def installed(root: str) -> dict[str, Distribution | None]:
    """Return the distributions that one needs on this machine, and those that these need; None if one is missing."""
    found: dict[str, Distribution | None] = {}
    waiting = [Requirement(root)]
    while waiting:
        line = waiting.pop()
        name = canonicalize_name(line.name)
        if name not in found:
            found[name] = _distribution(name)
            waiting += needs(found[name])
    return dict(sorted(found.items()))


def needs(each: Distribution | None) -> list[Requirement]:
    """Return what a distribution requires on this machine, without extras."""
    lines = map(Requirement, (each.requires or ()) if each else ())
    return [line for line in lines if line.marker is None or line.marker.evaluate({"extra": ""})]


def unmet(found: dict[str, Distribution | None]) -> list[str]:
    """Return a line for each requirement that is missing, or installed in another version."""
    pairs = [(line, found[canonicalize_name(line.name)]) for each in found.values() for line in needs(each)]
    return [
        f"{line} is required, and {each.version if each else 'none'} is installed"
        for line, each in pairs
        if each is None or not line.specifier.contains(each.version, prereleases=True)
    ]


def licence(each: Distribution) -> str:
    """Return what a distribution says of its licence: an expression, a short text, or its classifiers."""
    said = each.metadata
    text = (said.get("License-Expression") or said.get("License") or "").strip().split("\n")[0]
    rows = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier", ()) if line.startswith("License")]
    if text.upper() in {"", "UNKNOWN"}:
        text = ", ".join(rows) or UNKNOWN
    return text if len(text) < _LONGEST else f"{text[:_LONGEST]}…"


def bill_of_materials(found: dict[str, Distribution | None]) -> dict[str, object]:
    """Return the list as a CycloneDX document.

    Source: https://cyclonedx.org/docs/1.5/json/
    """
    components = [
        {
            "type": "library",
            "name": name,
            "version": each.version,
            "purl": f"pkg:pypi/{name}@{each.version}",
            "licenses": [{"license": {"name": licence(each)}}],
        }
        for name, each in found.items()
        if each is not None
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(json.dumps(bill_of_materials(installed("profiler")), indent=1))
