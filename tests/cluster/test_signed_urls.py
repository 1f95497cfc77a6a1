"""Addresses that were signed for one document, before a real S3 server and before obstore's own signatures."""

import asyncio
import datetime
import os
import re
import uuid
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx2
import obstore
import pytest
from mooring_artifacts.storage import fetch
from mooring_operator.adapters.documents import DocumentsUnavailable
from mooring_operator.adapters.signed_urls import SignedUrls, sign_put

ONCE = {"If-None-Match": "*"}
HOUR = timedelta(hours=1)


@pytest.fixture
def store(s3_store):
    return s3_store


@pytest.fixture
def uri():
    return f"s3://mooring/artifacts/{uuid.uuid4()}/verdict.json"


async def put(url, content=b"{}", headers=ONCE, method="PUT"):
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.request(method, url, content=content, headers=headers)).status_code


async def signed(uri, lasts=HOUR):
    return await SignedUrls().put_url(uri, lasts)


async def test_the_document_is_written_once(store, uri):
    url = await signed(uri)
    assert await put(url, b"first") == 200
    assert await put(url, b"second") == 412
    assert await fetch(uri, 100) == b"first"


async def test_of_many_writers_one_wins(store, uri):
    url = await signed(uri)
    bodies = [str(number).encode() for number in range(8)]
    statuses = await asyncio.gather(*(put(url, body) for body in bodies))
    assert statuses.count(200) == 1
    assert await fetch(uri, 100) == bodies[statuses.index(200)]


async def test_whoever_leaves_the_header_out_writes_nothing(store, uri):
    url = await signed(uri)
    assert await put(url, headers={}) == 403
    assert await put(url, headers={"If-None-Match": "other"}) in (400, 403, 501)
    assert await fetch(uri, 100) is None


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "HEAD"])
async def test_the_address_is_good_for_nothing_else(store, uri, method):
    url = await signed(uri)
    assert await put(url) == 200
    assert await put(url, method=method) in (403, 405)
    assert await fetch(uri, 100) == b"{}"


async def test_no_other_document_can_be_written(store, uri):
    url = await signed(uri)
    other = url.replace("verdict.json", "other.json")
    assert other != url
    assert await put(other) == 403
    assert await put(url.replace("/mooring/artifacts/", "/mooring/../mooring/other/")) in (400, 403)


async def test_an_address_expires(store, uri):
    url = await signed(uri, timedelta(seconds=1))
    async with asyncio.timeout(20):
        while await put(url) != 403:
            obstore.delete(obstore.store.from_url("s3://mooring/"), uri.removeprefix("s3://mooring/"))
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("X-Amz-Expires=3600", "X-Amz-Expires=604800"),
        lambda url: url.replace("host%3Bif-none-match", "host"),
        lambda url: re.sub(r"X-Amz-Date=\d{8}", "X-Amz-Date=20991231", url),
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
    ],
)
async def test_nothing_of_an_address_can_be_changed(store, uri, change):
    url = await signed(uri)
    assert change(url) != url
    assert await put(change(url)) in (400, 403)
    assert await fetch(uri, 100) is None


async def test_keys_of_any_kind_are_signed(store):
    for name in ("a b", "a+b", "é", "a'(1)*!", "a%20b"):
        assert await put(await signed(f"s3://mooring/kinds/{name}/v.json")) == 200, name


async def test_no_address_lasts_longer_than_s3_allows(store, uri):
    query = parse_qs(urlsplit(await signed(uri, timedelta(days=30))).query)
    assert query["X-Amz-Expires"] == ["604800"]
    assert await put(await signed(uri, timedelta(days=30))) == 200


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_REGION": "eu-west-1"},
        {"AWS_REGION": "eu-west-1", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"},
        {"AWS_REGION": "us-gov-east-1", "AWS_SESSION_TOKEN": "to/ken+=="},
        {"AWS_DEFAULT_REGION": "us-east-2", "AWS_ENDPOINT": "https://store.example:9000"},
    ],
)
def test_our_signature_is_obstores_where_both_cover_the_same(store, monkeypatch, environment):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "s3cr/t",
        **environment,
    }.items():
        monkeypatch.setenv(name, value)
    theirs = obstore.sign(
        obstore.store.from_url("s3://b/"), "PUT", "a b/é+~'.json", datetime.timedelta(seconds=60)
    )
    ours = sign_put(theirs, "s3cr/t", {})
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(theirs).query)
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert sign_put(theirs, "another", {}) != ours


async def test_where_the_secret_is_not_known_obstores_signature_has_to_do(store, uri):
    url = await SignedUrls(environment={}).put_url(uri, HOUR)
    assert "X-Amz-SignedHeaders=host&" in url
    assert [await put(url, headers={}), await put(url, headers={})] == [200, 200]
    other = await SignedUrls(environment={"AWS_SECRET_ACCESS_KEY": "another"}).put_url(uri, HOUR)
    assert "X-Amz-SignedHeaders=host&" in other


async def test_a_store_without_conditional_writes_is_signed_without(store, uri, monkeypatch):
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    assert "X-Amz-SignedHeaders=host&" in await signed(uri)


async def test_files_of_a_development_machine_are_named_as_they_are(tmp_path):
    assert await signed(f"file://{tmp_path}/v.json") == f"file://{tmp_path}/v.json"


async def test_azure_signs_for_one_blob(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acc")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    query = parse_qs(urlsplit(await signed("az://mooring/ci/v.json")).query)
    assert (query["sp"], query["sr"]) == (["w"], ["b"])


@pytest.mark.parametrize("uri", ["ftp://x/y", "s3://", "s3://b/../v.json"])
async def test_what_cannot_be_signed_is_said(uri):
    with pytest.raises(DocumentsUnavailable, match="cannot be signed"):
        await signed(uri)
