"""A server of OpenAI's API for tests: real sockets and real streams, and scripted words in place of a model.

It is held to what is documented (API reference, "Create chat completion" and "Create completion", November 2026): it
refuses requests that the API would refuse, and each event that it sends has the documented fields. That a certain
server behaves alike it cannot show.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_KNOWN = {"model", "messages", "prompt", "temperature", "max_tokens", "stream", "stream_options"}


@dataclass
class Speaker:
    """What answers: words for each prompt, sent one event each.

    says: the words; a text in brackets is a refusal.
    folder: of the API, such as /openai/v1 of KServe's servers or /v1 of vLLM's.
    pauses: seconds before the first and before each later word.
    counts: whether it counts tokens, where it is asked to.
    """

    says: Callable[[str], list[str]]
    folder: str = "/openai/v1"
    pauses: tuple[float, float] = (0.0, 0.0)
    counts: bool = True
    break_off: bool = False
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    address: str = ""

    @property
    def model(self) -> str:
        """The address of its model, as a run is given it."""
        return f"{self.address}/openai/v1/models/writer"


def refusal(path: str, body: Any) -> str:
    """Say why the API would refuse a request; empty where it would not."""
    if not isinstance(body, dict) or (unknown := sorted(body.keys() - _KNOWN)):
        return f"Unrecognized request argument supplied: {unknown if isinstance(body, dict) else body}"
    if body.get("model") != "writer":
        return f"The model `{body.get('model')}` does not exist"
    if body.get("stream_options") is not None and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    if path.endswith("/chat/completions"):
        messages = body.get("messages")
        fits = (
            isinstance(messages, list)
            and messages
            and all(
                message.keys() == {"role", "content"} and message["role"] in ("system", "user", "assistant")
                for message in messages
            )
        )
        return "" if fits and "prompt" not in body else "Missing required parameter: 'messages'."
    return "" if isinstance(body.get("prompt"), str) and "messages" not in body else "Missing: 'prompt'."


def events(speaker: Speaker, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream, as they are documented."""
    chat = path.endswith("/chat/completions")
    counts = speaker.counts and (body.get("stream_options") or {}).get("include_usage")
    head = {
        "id": "chatcmpl-1" if chat else "cmpl-1",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": int(time.time()),
        "model": body["model"],
        **({"usage": None} if counts else {}),
    }

    def event(said: dict[str, Any] | str, reason: str | None = None) -> dict[str, Any]:
        part = {"delta": said} if chat else {"text": said}
        return {**head, "choices": [{"index": 0, **part, "logprobs": None, "finish_reason": reason}]}

    prompt = body["messages"][-1]["content"] if chat else body["prompt"]
    words = speaker.says(prompt)
    if chat:
        yield event({"role": "assistant", "content": "", "refusal": None})
    for number, word in enumerate(words):
        time.sleep(speaker.pauses[bool(number)])
        refused = chat and word.startswith("[")
        yield event(({"refusal": word[1:-1]} if refused else {"content": word}) if chat else word)
    yield event({} if chat else "", "stop")
    if counts:
        usage = {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)}
        yield {**head, "choices": [], "usage": usage}


@contextmanager
def speaking(speaker: Speaker) -> Iterator[Speaker]:
    """Serve it; its address is set."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path not in (f"{speaker.folder}/chat/completions", f"{speaker.folder}/completions"):
                self._answer(404, {"detail": "Not Found"})
                return
            body = json.loads(content)
            speaker.asked.append((self.path, body))
            if why := refusal(self.path, body):
                self._answer(400, {"error": {"message": why, "type": "invalid_request_error", "code": None}})
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for event in events(speaker, self.path, body):
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
            if not speaker.break_off:
                self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    speaker.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield speaker
    finally:
        server.shutdown()
        server.server_close()
