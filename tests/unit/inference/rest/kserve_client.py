"""Asks a server by KServe's own REST client, and prints what it got as JSON; run by a Python that has kserve.

python kserve_client.py URL
"""

from __future__ import annotations

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

ROWS = [[1.5, -2.0], [0.0, 3.0]]


async def main(url):
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    found = {
        "v1 live": await client.is_server_live(url),
        "v1 model": await client.is_model_ready(url, "m"),
        "v1 missing": await missing(client, url),
        "v1": (await client.infer(url, {"instances": ROWS}, "m"))["predictions"],
        "explained": list(await client.explain(url, "m", {"instances": ROWS})),
    }
    await client.close()
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    found |= {
        "v2 live": await client.is_server_live(url),
        "v2 ready": await client.is_server_ready(url),
        "v2 model": await client.is_model_ready(url, "m"),
        "v2 missing": await missing(client, url),
    }
    for is_binary in (False, True):
        tensor = InferInput("x", [2, 2], "FP32")
        tensor.set_data_from_numpy(np.array(ROWS, np.float32), binary_data=is_binary)
        answer = await client.infer(url, InferRequest("m", [tensor], request_id="r-1"), "m")
        output = answer.outputs[0]
        found[f"v2 {is_binary}"] = [answer.id, output.name, output.datatype, output.as_numpy().tolist()]
    await client.close()
    print(json.dumps(found))


async def missing(client, url):
    try:
        return await client.is_model_ready(url, "other")
    except httpx.HTTPStatusError as error:
        return error.response.status_code


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
