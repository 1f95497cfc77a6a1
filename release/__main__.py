"""``python -m release``: see the Makefile, and docs/release.md."""

import argparse
import sys
from pathlib import Path

from release.errors import ReleaseError
from release.images import IMAGES

_CHECKOUT = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; exit code 1 where it is refused, in one line."""
    names = [image.name for image in IMAGES]
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="make a release of the commit that is checked out")
    make.add_argument("version", help="what pyproject.toml says")
    make.add_argument("--images", type=Path, default=Path("build/images.yaml"), help="images by digest")
    make.add_argument("--out", type=Path, default=Path("dist/release"), help="the folder to make")
    make.add_argument("--builder", help="a URI for who makes it")
    push = commands.add_parser("images", help="build images without a container engine, and push them")
    push.add_argument("version", help="what pyproject.toml says")
    push.add_argument("place", help="where to, such as registry.example/team")
    push.add_argument("--only", action="append", choices=names, help="an image; all where none is named")
    push.add_argument(
        "--images", type=Path, default=Path("build/images.yaml"), help="the file that is told where they are"
    )
    look = commands.add_parser("audit", help="look up known vulnerabilities of what is pinned")
    look.add_argument("--out", type=Path, default=Path("build/audit"), help="the folder for the reports")
    look.add_argument("--osv-url", default="https://api.osv.dev/v1/query", help="OSV, for Python packages")
    look.add_argument("--go-database", default="https://vuln.go.dev", help="Go's database")
    look.add_argument("--time-limit", type=float, default=240, help="seconds for each kind of packages")
    given = parser.parse_args(arguments)
    try:
        return {"build": _build, "images": _push, "audit": _audit}[given.command](given)
    except (ReleaseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _build(given: argparse.Namespace) -> int:
    from release.build import BUILDER, build

    for name in build(_CHECKOUT, given.version, given.images, given.out, given.builder or BUILDER):
        print(given.out / name)
    return 0


def _push(given: argparse.Namespace) -> int:
    from release.image_build import push

    chosen = [image for image in IMAGES if image.name in (given.only or [image.name])]
    for name, reference in push(_CHECKOUT, given.version, chosen, given.place, given.images).items():
        print(f"{name}: {reference}")
    return 0


def _audit(given: argparse.Namespace) -> int:
    from release.audit import audit

    reports = audit(
        _CHECKOUT, given.out, osv=given.osv_url, go_database=given.go_database, time_limit=given.time_limit
    )
    for report in reports:
        print(report.summary)
        for found in report.findings:
            fixed = f", fixed in {found.fixed}" if found.fixed else ""
            print(
                f"  {found.package} {found.version}: {found.vulnerability}{fixed} ({', '.join(found.where)})"
            )
    print(f"written to {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
