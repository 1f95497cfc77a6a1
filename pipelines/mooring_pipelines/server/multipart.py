"""The uploaded file in a multipart/form-data body, read with the standard library."""

from __future__ import annotations

import email.parser
import email.policy

from mooring_pipelines.server.errors import invalid


def read_upload(content_type: str, body: bytes) -> bytes:
    """The content of the part named `uploadfile`.

    Raises:
        ApiError: 400, the body is not of that form.
    """
    header = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode("latin-1", "replace")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(header + body)
    for part in message.iter_parts() if message.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                return content
    raise invalid("Failed to read pipeline from file: the form holds no file named uploadfile")
