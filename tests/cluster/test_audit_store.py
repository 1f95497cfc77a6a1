"""The audit trail in a real object store: two operators meet, and the command line reads what they wrote."""

import asyncio
import json

from mooring_artifacts.audit.records import check_chain
from mooring_artifacts.audit.trail import Trail, read_chain

from tests.unit.artifacts.audit.test_audit_records import entry
from tests.unit.cli_world import invoke


def test_what_two_operators_append_at_once_is_one_chain(s3_store, capsys):
    root = f"s3://{s3_store.bucket}/audit"

    async def append():
        writers = [Trail(root), Trail(root)]
        for number in range(0, 60, 2):
            await asyncio.gather(*(one.append("ns", [entry(number + at)]) for at, one in enumerate(writers)))
        # As after a restart: it finds the end, and what it has recorded already.
        await Trail(root).append("ns", [entry(59), entry(60)])

    asyncio.run(append())
    stored = list(read_chain(root, "ns"))
    assert ([sequence for sequence, _ in stored], check_chain(stored)) == (list(range(1, 62)), [])
    code, out, err = invoke(capsys, "audit", root, "-o", "json")
    assert (code, err, len(json.loads(out))) == (0, "", 61)
    assert invoke(capsys, "audit", root, "--verify")[0] == 0
