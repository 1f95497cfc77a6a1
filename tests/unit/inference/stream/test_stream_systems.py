"""The stream consumer as a process, against real Redis, NATS and Kafka servers."""

from __future__ import annotations

import random
import re
import signal
import urllib.error
import urllib.request

import orjson
import pytest
import redis
from mooring_inference.stream.addresses import parse_address
from mooring_inference.stream.command import main, open_sink
from mooring_inference.stream.interfaces import Answer
from mooring_inference.stream.redis_streams import RedisSource

from tests.benchmarks.stream_stops import end_consumers
from tests.unit.inference.score_models import row_of_table, sum_and_negative
from tests.unit.inference.stream.stream_consumers import consuming, rows, until
from tests.unit.inference.stream.stream_servers import BENCHES, SERVERS


@pytest.fixture(scope="module", params=list(SERVERS))
def system(request, tmp_path_factory):
    server = SERVERS[request.param](tmp_path_factory.mktemp(request.param))
    yield request.param, server
    server.kill()


@pytest.fixture
async def bench(system, request):
    kind, server = system
    name = re.sub(r"\W", "-", request.node.originalname)[:60]
    bench = await BENCHES[kind](server, name).prepare()
    yield bench
    await bench.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sum_and_negative(tmp_path_factory.mktemp("model"))


async def wait_for_keys(bench, end, count):
    async def enough():
        return await bench.count(end) >= count and len({key for key, _ in await bench.take(end)}) >= count

    await until(enough)


def figure(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def until_metrics_say(port, line):
    async def said():
        return line in figure(port, "/metrics")[1].splitlines()

    await until(said)


async def test_messages_are_answered_bad_ones_buried_and_a_stop_leaves_nothing(bench, model):
    v2 = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    good = [*rows(20), orjson.dumps({"id": "v2", "inputs": [v2], "outputs": [{"name": "total"}]})]
    bad = [b"{nonsense", orjson.dumps({"id": "short", "features": [1]}), orjson.dumps({"id": "none"})]
    await bench.put([good[0], *bad, *good[1:]])
    with consuming(bench.urls, model) as consumer:
        port = await consumer.port()
        await wait_for_keys(bench, "out", 21)
        await wait_for_keys(bench, "dead", 3)
        assert figure(port, "/health/ready") == (200, "ok")
        # It counts what it has acknowledged, which comes after the answer.
        await until_metrics_say(port, 'mooring_stream_messages_total{outcome="answered"} 21.0')
        assert consumer.stop() == 0
    answers = await bench.take("out")
    assert len(answers) == 21
    by_key = dict(answers)
    assert by_key["m7"] == {"id": "m7", "outputs": {"total": [8.0], "negative": [-7.0, -1.0]}}
    assert by_key["v2"]["outputs"] == [
        {"name": "total", "datatype": "FP32", "shape": [2, 1], "data": [3.0, 7.0]}
    ]
    letters = {letter["message"]: letter for _, letter in await bench.take("dead")}
    assert letters.keys() == {body.decode() for body in bad}
    assert letters["{nonsense"]["reason"].startswith("body: not JSON")
    assert letters[bad[1].decode()]["reason"] == "features: expected 2 values, got 1 values"
    assert await bench.unfinished("g") == 0


async def test_a_killed_consumer_loses_no_message_and_no_key_gets_two_different_answers(bench, model):
    count = 1500
    await bench.put(rows(count))
    with consuming(bench.urls, model, "--batch_size=1") as first:
        await wait_for_keys(bench, "out", 20)
        first.kill()
    assert await bench.unfinished("g") > 0
    with consuming(bench.urls, model) as second:
        await wait_for_keys(bench, "out", count)
        assert second.stop() == 0
    answers = {}
    for key, answer in await bench.take("out"):
        answers.setdefault(key, []).append(answer["outputs"]["total"])
    assert answers.keys() == {f"m{index}" for index in range(count)}
    assert all(total == [int(key[1:]) + 1.0] for key, totals in answers.items() for total in totals)
    assert await bench.unfinished("g") == 0
    assert await bench.take("dead") == []


async def test_consumers_of_a_group_share_the_messages(bench, model):
    with (
        consuming(bench.urls, model, "--batch_size=2") as one,
        consuming(bench.urls, model, "--batch_size=2") as two,
    ):
        ports = [await one.port(), await two.port()]

        async def both_answered():
            await bench.put(rows(20))
            figures = [figure(port, "/metrics")[1] for port in ports]
            return all('answered"} 0.0' not in text for text in figures)

        await until(both_answered)
        assert [one.stop(), two.stop()] == [0, 0]


_DEADLY = """
import os, signal, sys
from mooring_inference.stream import answering
from mooring_inference.stream.command import main

predict = answering.Answerer._predict

def deadly(self, requests):
    if any((array == 66).any() for request in requests for array in request.inputs.values()):
        os.kill(os.getpid(), signal.SIGKILL)
    return predict(self, requests)

answering.Answerer._predict = deadly
sys.exit(main(sys.argv[1:]))
"""
"""A model that ends its process on one message, as a fault of a native library or want of memory does."""


async def test_what_brings_its_consumers_down_is_buried_and_takes_no_other_message_with_it(bench, model):
    await bench.put(rows(100))
    ended = 0

    async def all_done():
        return await bench.count("out") >= 99 and await bench.count("dead") >= 1

    while ended < 10 and not await all_done():
        with consuming(bench.urls, model, "--max_attempts=3", script=_DEADLY) as consumer:

            async def ended_or_done(consumer=consumer):
                return consumer.process.poll() is not None or await all_done()

            await until(ended_or_done)
            if consumer.process.poll() is None:
                assert consumer.stop() == 0
            else:
                ended += 1
    letters = dict(await bench.take("dead"))
    assert {letter["message"] for letter in letters.values()} == {rows(1, 66)[0].decode()}
    assert {key for key, _ in await bench.take("out")} == {f"m{index}" for index in range(100) if index != 66}
    # NATS counts a delivery to who has just died as well.
    assert 2 <= ended <= 3

    async def all_acknowledged():
        return await bench.unfinished("g") == 0

    # NATS hears acknowledgements in its own time.
    await until(all_acknowledged, 20)


@pytest.mark.parametrize("system", ["redis"], indirect=True)
async def test_a_message_on_which_the_model_fails_is_tried_again_and_then_buried(bench, tmp_path):
    model = row_of_table(tmp_path / "model")
    values = [1, 99, 2]
    await bench.put([orjson.dumps({"id": f"v{value}", "features": {"x": value}}) for value in values])
    with consuming(bench.urls, model, "--max_attempts=2") as consumer:
        await wait_for_keys(bench, "out", 2)
        await wait_for_keys(bench, "dead", 1)
        assert consumer.stop() == 0
    assert {key: answer["outputs"]["y"] for key, answer in await bench.take("out")} == {
        "v1": 10.0,
        "v2": 20.0,
    }
    [(key, letter)] = await bench.take("dead")
    assert key == "v99"
    assert letter["attempts"] == 2
    assert letter["reason"].startswith("the model failed: ")
    assert letter["reason"].endswith("(2 attempts)")


@pytest.mark.parametrize("system", ["redis", "nats"], indirect=True)
async def test_what_one_group_writes_twice_is_there_once_and_other_groups_write_their_own(bench):
    address = parse_address("--sink", bench.urls["out"])
    for group in ("one", "one", "two"):
        sink = open_sink(address, group, 60)
        await sink.connect()
        assert await sink.write([Answer("k", b'{"id":"k","by":"%s"}' % group.encode(), "c")]) == {}
        await sink.close()
    assert [answer["by"] for _, answer in await bench.take("out")] == ["one", "two"]


@pytest.mark.parametrize("system", ["redis"], indirect=True)
async def test_one_id_with_other_content_is_a_dead_letter_and_with_the_same_it_is_not(bench, model):
    first, other, third = ({"id": "k", "features": [number, 1]} for number in (1, 2, 3))
    bodies = [orjson.dumps(first), orjson.dumps(first, option=orjson.OPT_INDENT_2), orjson.dumps(other)]
    # A conflict is one however often it comes, and two are two.
    await bench.put([*bodies, bodies[2], orjson.dumps(third)])
    with consuming(bench.urls, model, "--batch_size=1") as consumer:
        await wait_for_letters(bench, 2)
        assert consumer.stop() == 0
    assert [answer["outputs"]["total"] for _, answer in await bench.take("out")] == [[2.0]]
    letters = [letter for _, letter in await bench.take("dead")]
    assert [letter["message"] for letter in letters] == [bodies[2].decode(), orjson.dumps(third).decode()]
    assert {letter["reason"] for letter in letters} == {"the id has been answered before, for other content"}
    assert {letter["id"] for letter in letters} == {"k"}
    assert await bench.unfinished("g") == 0


async def wait_for_letters(bench, count):
    async def enough():
        return await bench.count("dead") >= count

    await until(enough)


@pytest.mark.parametrize("system", ["redis"], indirect=True)
@pytest.mark.parametrize("version", [6, 7])
async def test_entries_that_were_trimmed_do_not_stay_pending(system, bench, version):
    """As Redis 6 says it, which leaves a gap for each, and as the real server does."""
    await bench.put(rows(8))
    address = parse_address("--source", bench.urls["in"])
    source = open_source(address, "g")
    await source.connect()
    client = redis.Redis(port=system[1].port)
    if version == 6:
        taken = await source.read(4, 1, 0)
        source._client.xautoclaim = gaps(len(taken))
    else:
        client.xreadgroup("g", "dead", {address.name: ">"}, count=4)
    client.xtrim(address.name, maxlen=2, approximate=False)

    async def cleared():
        await source.ack(await source.read(10, 0.01, 0))
        # What the group was not given yet cannot be counted any more.
        return client.xpending(address.name, "g")["pending"] == 0

    await until(cleared)
    await source.close([])
    client.close()


def open_source(address, group):
    return RedisSource(address, group, take_over=0.01, from_start=True)


def gaps(count):
    async def xautoclaim(*arguments, **options):
        return [b"0-0", [(None, None)] * count]

    return xautoclaim


@pytest.mark.parametrize("system", ["nats", "kafka"], indirect=True)
async def test_an_answer_that_is_too_large_is_refused_and_its_neighbours_are_written(bench):
    sink = open_sink(parse_address("--sink", bench.urls["out"]), "g", 60)
    await sink.connect()
    large = orjson.dumps({"id": "large", "text": "x" * 2_000_000})
    refused = await sink.write(
        [Answer("a", b'{"id":"a"}'), Answer("large", large), Answer("b", b'{"id":"b"}')]
    )
    await sink.close()
    assert refused.keys() == {1}
    assert f"{len(large)} bytes" in refused[1]
    assert sorted(key for key, _ in await bench.take("out")) == ["a", "b"]


@pytest.mark.parametrize("system", ["redis", "nats"], indirect=True)
async def test_a_server_that_is_killed_and_started_again_is_used_again(system, bench, model):
    _, server = system
    with consuming(bench.urls, model) as consumer:
        port = await consumer.port()
        await bench.put(rows(10))
        await wait_for_keys(bench, "out", 10)
        server.kill()

        async def noticed():
            return figure(port, "/health/ready")[0] == 503

        await until(noticed)
        server.start()
        await bench.put(rows(10, 10))
        await wait_for_keys(bench, "out", 20)
        assert consumer.stop() == 0
    assert await bench.unfinished("g") == 0


@pytest.mark.parametrize("system", ["redis"], indirect=True)
async def test_a_sink_that_goes_away_and_comes_back_gets_every_answer(system, bench, model, tmp_path):
    kind, _ = system
    sink_server = SERVERS[kind](tmp_path)
    sink = await BENCHES[kind](sink_server, "away").prepare()
    try:
        with consuming(bench.urls, model, "--batch_size=8", sink=sink.urls["out"]) as consumer:
            port = await consumer.port()
            await bench.put(rows(40))
            await wait_for_keys(sink, "out", 40)
            sink_server.kill()
            await bench.put(rows(40, 40))

            async def noticed():
                return figure(port, "/health/ready") == (503, "sink unavailable")

            await until(noticed)
            # Two batches are taken, and no more while nobody takes the answers.
            await until_metrics_say(port, "mooring_stream_messages_held 16.0")
            sink_server.start()
            await wait_for_keys(sink, "out", 80)
            assert consumer.stop() == 0
        assert await bench.unfinished("g") == 0
        assert sorted(key for key, _ in await sink.take("out")) == sorted(f"m{index}" for index in range(80))
    finally:
        await sink.close()
        sink_server.kill()


@pytest.mark.parametrize("system", ["kafka"], indirect=True)
async def test_consumers_that_are_killed_at_any_moment_leave_one_answer_for_each_message(bench, model):
    result = await end_consumers(bench, model, 2, random.randrange(1000), signal.SIGKILL)
    counts = ("lost", "several_answers", "wrong", "dead_letters", "unfinished")
    assert {name: result[name] for name in counts} == dict.fromkeys(counts, 0)


@pytest.mark.parametrize("system", ["kafka"], indirect=True)
async def test_in_a_transaction_what_the_topic_refuses_is_a_dead_letter_and_its_neighbours_are_answered(
    bench, model
):
    await bench.limit("out", 600)
    bodies = rows(20)
    # The answer repeats the id.
    bodies[7] = orjson.dumps({"id": "x" * 1000, "features": [7, 1]})
    await bench.put([*bodies, b"{nonsense"])
    with consuming(bench.urls, model) as consumer:
        await wait_for_letters(bench, 2)
        await wait_for_keys(bench, "out", 19)
        assert consumer.stop() == 0
    answers = await bench.take("out")
    assert sorted(key for key, _ in answers) == sorted(f"m{index}" for index in range(20) if index != 7)
    reasons = {letter["reason"].split(":")[0] for _, letter in await bench.take("dead")}
    assert reasons == {"Kafka", "body"}
    assert await bench.unfinished("g") == 0


@pytest.mark.parametrize("system", ["kafka"], indirect=True)
async def test_what_the_broker_refuses_takes_no_neighbours_with_it(bench):
    await bench.limit("out", 400)
    sink = open_sink(parse_address("--sink", bench.urls["out"]), "g", 60)
    await sink.connect()
    small = [Answer(f"a{number}", orjson.dumps({"id": f"a{number}"})) for number in range(12)]
    large = Answer("large", orjson.dumps({"id": "large", "text": "x" * 2000}))
    refused = await sink.write([*small[:6], large, *small[6:]])
    assert await sink.write([Answer("later", b'{"id":"later"}')]) == {}
    await sink.close()
    assert refused.keys() == {6}
    assert {key for key, _ in await bench.take("out")} == {"later", *(one.key for one in small)}


@pytest.mark.parametrize("other", ["redis://h/x", "kafka://elsewhere/x", "kafkas://h/x", "kafka://u:p@h/x"])
@pytest.mark.parametrize("end", ["sink", "dead_letters"])
def test_exactly_once_is_refused_where_no_transaction_spans_all(capsys, model, end, other):
    urls = {"source": "kafka://h/a", "sink": "kafka://h/b", "dead_letters": "kafka://h/c", end: other}
    flags = [f"--{name}={url}" for name, url in urls.items()]
    assert main([*flags, "--group=g", f"--model_dir={model}", "--delivery=exactly_once"]) == 2
    said = capsys.readouterr().err
    assert "--delivery exactly_once: expected" in said
    assert "topics of the same Kafka brokers" in said
