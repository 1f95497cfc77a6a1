"""A language model that answers at an address, by OpenAI's API: asked for a small set of prompts with known answers.

Sources: OpenAI API, ``chat/completions`` and ``completions`` with ``stream``; server-sent events, WHATWG HTML.
No other model judges: answers are compared as texts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import httpx2 as httpx
import numpy as np
import orjson
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.gates import Interval
from mooring_inference.score.read_parquet import kind_of

from mooring_components.classification import Measured
from mooring_components.consistency import REPEATED, TOGETHER
from mooring_components.datasets import TestData, name_some
from mooring_components.endpoints import check_address, client_headers, words_of
from mooring_components.intervals import mean, share
from mooring_components.odd_inputs import METRIC as FAILED
from mooring_components.options import TestOptions
from mooring_components.quality import Quality

MOST_ROWS = 1000
LONGEST_ANSWER = 512
"""Tokens that an answer may have."""
MAX_SECONDS = 20.0
_SECONDS = 60.0
_LARGEST_ANSWER = 4 << 20
_COMPARED = 2000
_FORM = re.compile(r"(?P<base>/(?:[\w.~-]+/)*?)openai/v1/models/(?P<name>[\w.~-]+)", re.ASCII)
_REFUSALS = re.compile(
    r"(i['\u2019]?m|i am) (very |so |really )?sorry,? (but )?(i|we) (can|am|['\u2019]m)|"
    r"i (can['\u2019]?t|cannot|can not|won['\u2019]?t|will not|am unable to|am not able to|['\u2019]m unable to) "
    r"(help|assist|answer|provide|comply|fulfil|do that|discuss|engage|support|create|write|give)|"
    r"as an ai( language model)?,? i (can|am|do)|sorry,? (but )?i can",
    re.IGNORECASE,
)
Api = Literal["chat/completions", "completions"]


@dataclass(frozen=True)
class Answer:
    """What a model said to a prompt.

    refused: it said that it will not, by the API's own field or in the usual words.
    first_ms, last_ms: until the first and the last token, in milliseconds; tokens: how many there were.
    """

    text: str
    refused: bool
    first_ms: float
    last_ms: float
    tokens: int

    @property
    def tokens_per_second(self) -> float | None:
        """How fast tokens came after the first one; None of a single one."""
        seconds = (self.last_ms - self.first_ms) / 1e3
        return (self.tokens - 1) / seconds if self.tokens > 1 and seconds > 0 else None


class OpenAIModel:
    """A model at ``http(s)://HOST/.../openai/v1/models/NAME``; a server that has no such folder is asked at ``/v1``.

    Raises:
        InputError: the address has another form.
    """

    def __init__(self, address: str, api: Api = "chat/completions") -> None:
        url = httpx.URL(check_address(address))
        form = _FORM.fullmatch(url.path)
        if form is None:
            raise InputError(
                f"endpoint {address!r:.200} is not allowed: write http(s)://HOST/openai/v1/models/NAME"
            )
        host = f"{url.scheme}://{url.netloc.decode()}{form['base']}"
        self._places = [f"{host}openai/v1/{api}", f"{host}v1/{api}"]
        self.address, self._name, self._api = address, form["name"], api
        self._client = httpx.Client(headers=client_headers(), timeout=_SECONDS, trust_env=False)

    def close(self) -> None:
        """Give back the connection."""
        self._client.close()

    def ask(self, prompt: str) -> Answer:
        """Have the model answer, in the likeliest words that it has.

        Raises:
            InputError: it does not answer, or not as the API says.
        """
        asked: dict[str, Any] = {
            "model": self._name,
            "temperature": 0,
            "max_tokens": LONGEST_ANSWER,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._api == "completions":
            asked["prompt"] = prompt
        else:
            asked["messages"] = [{"role": "user", "content": prompt}]
        body = orjson.dumps(asked)
        while True:
            try:
                begun = time.perf_counter()
                with self._client.stream("POST", self._places[0], content=body) as response:
                    if response.status_code == 404 and len(self._places) > 1:
                        self._places.pop(0)
                        continue
                    self._places = self._places[:1]
                    if not response.is_success:
                        said = words_of(response.read()[: 1 << 16])
                        raise InputError(f"{self.address} answers {response.status_code}: {said}")
                    return self._read(response, begun)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise InputError(f"{self.address} does not answer: {first_line(error)}") from error

    def _read(self, response: httpx.Response, begun: float) -> Answer:
        text: list[str] = []
        first = last = 0.0
        refused, tokens = False, None
        for event in self._events(response):
            if event.get("error"):
                raise InputError(f"{self.address} breaks off: {str(event['error'])[:300]!r}")
            usage = event.get("usage")
            if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
                tokens = usage["completion_tokens"]
            for choice in event.get("choices") or ():
                delta = choice.get("delta") or {}
                refused |= bool(delta.get("refusal")) or choice.get("finish_reason") == "content_filter"
                part = choice.get("text") if self._api == "completions" else delta.get("content")
                if part:
                    last = (time.perf_counter() - begun) * 1e3
                    first = first or last
                    text.append(str(part))
        whole = "".join(text)
        ended = last or (time.perf_counter() - begun) * 1e3
        # A server that does not count sends about a token at a time.
        count = len(text) if tokens is None else tokens
        return Answer(whole, refused or bool(_REFUSALS.match(whole.strip())), first or ended, ended, count)

    def _events(self, response: httpx.Response) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream; one that is cut off is none."""
        size, ended = 0, False
        for line in response.iter_lines():
            size += len(line)
            if size > _LARGEST_ANSWER:
                raise InputError(f"{self.address} answers more than {_LARGEST_ANSWER >> 20} MiB at once")
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                ended = True
                break
            try:
                event = orjson.loads(data)
                if not isinstance(event, dict) or not all(
                    isinstance(choice, dict) for choice in event.get("choices") or ()
                ):
                    raise ValueError("no object")
            except ValueError as error:
                raise InputError(
                    f"{self.address} answers what is no event: {words_of(data.encode())}"
                ) from error
            yield event
        if not ended:
            raise InputError(
                f"{self.address} ends its answer without [DONE]: is it by OpenAI's API, with stream?"
            )


def open_generative(address: str, options: TestOptions) -> OpenAIModel:
    """Give the model at an address; an input called prompt asks for completions, else it is a chat."""
    return OpenAIModel(address, "completions" if "prompt" in options.inputs else "chat/completions")


def prompts_of(data: TestData, options: TestOptions) -> list[str]:
    """The prompts among test data: a column of texts.

    Raises:
        InputError: it is not clear which, or a prompt is missing.
    """
    named = [name for columns in options.inputs.values() for name in columns]
    texts = [name for name, column in data.columns.items() if kind_of(column.type) == "text"]
    chosen = named or [name for name in texts if name not in options.beside]
    if len(chosen) != 1 or chosen[0] not in texts or not set(options.inputs) <= {"prompt", "messages"}:
        raise InputError(
            f"{data.source}: one column of texts has the prompts, and there are {name_some(texts) or 'none'}: name "
            "it in spec.ci.testData.inputs, as prompt for completions or as messages for a chat"
        )
    if len(data) > MOST_ROWS:
        raise InputError(f"{data.source} has {len(data)} rows; {MOST_ROWS} prompts are asked at most")
    column = data.columns[chosen[0]]
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise InputError(f"{data.source}: row {row} has no {chosen[0]!r}")
    return [str(prompt) for prompt in column.to_pylist()]


def evaluate_answers(address: str, data: TestData, options: TestOptions) -> Quality:
    """Ask the model all prompts, and compare its answers with the labels.

    Raises:
        InputError: there are no prompts, labels are no texts, or the model does not answer.
    """
    prompts = prompts_of(data, options)
    if data.labels.dtype != object:
        raise InputError(
            f"{data.source}: the label of a prompt is the text of its answer; here it is a number"
        )
    model = open_generative(address, options)
    try:
        answers = [model.ask(prompt) for prompt in prompts]
    finally:
        model.close()
    return compare_answers(answers, [str(label) for label in data.labels])


def compare_answers(answers: list[Answer], labels: list[str]) -> Quality:
    """The metrics of answers beside the known ones, with intervals of 95 %."""
    rows = len(labels)
    exact = sum(answer.text.strip() == label.strip() for answer, label in zip(answers, labels, strict=True))
    alike = [likeness(answer.text, label) for answer, label in zip(answers, labels, strict=True)]
    found = Measured(
        {
            "exactMatch": share(exact, rows),
            "fuzzyMatch": mean(np.array(alike)),
            "refusalRate": share(sum(answer.refused for answer in answers), rows),
        },
        {},
    )
    metrics = {name: estimate.value for name, estimate in found.estimates.items()}
    empty = sum(not answer.text.strip() and not answer.refused for answer in answers)
    return Quality(
        {**metrics, "rows": float(rows), "invalidPredictions": float(empty)},
        {
            name: Interval(low=estimate.low, high=estimate.high)
            for name, estimate in found.estimates.items()
            if estimate.low is not None
        },
        dict.fromkeys((REPEATED, TOGETHER, FAILED), "a model that writes is not asked for it"),
    )


def likeness(answer: str, label: str) -> float:
    """How alike two texts are, from 0 to 1, whatever their case, punctuation and blanks: Ratcliff and Obershelp's."""
    first, second = (" ".join(re.findall(r"\w+", text.casefold()))[:_COMPARED] for text in (answer, label))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def time_answers(
    address: str, data: TestData, options: TestOptions, seconds: float = MAX_SECONDS
) -> tuple[list[float], dict[str, float]]:
    """Time answers one after the other for about `seconds`, every prompt once at most: in milliseconds, until they are
    complete; with the metrics of their tokens. The first answer does not count where there are more.
    """
    prompts, model = prompts_of(data, options), open_generative(address, options)
    try:
        until = time.perf_counter() + seconds
        model.ask(prompts[0])
        answers: list[Answer] = []
        for prompt in prompts:
            answers.append(model.ask(prompt))
            if time.perf_counter() > until:
                break
    finally:
        model.close()
    p50, p95 = np.percentile([answer.first_ms for answer in answers], [50, 95])
    metrics = {"firstTokenP50Ms": float(p50), "firstTokenP95Ms": float(p95)}
    speeds = [speed for answer in answers if (speed := answer.tokens_per_second) is not None]
    if speeds:
        metrics["tokensPerSecond"] = float(np.median(speeds))
    return [answer.last_ms for answer in answers], metrics
