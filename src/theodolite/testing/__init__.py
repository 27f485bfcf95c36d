"""Public helpers for tests: small objectives, oracles with chosen answers, conformance checks."""
