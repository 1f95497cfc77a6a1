"""Makes a release of a commit: distributions, manifests by digest, bills of materials, provenance; and looks for known
vulnerabilities in what is pinned."""
