"""The uploaded file in a multipart/form-data body, read with the standard library."""

from __future__ import annotations

import email.parser
import email.policy

from mooring_pipelines.server.errors import failed, invalid

_SUFFIXES = (".yaml", ".yml", ".tar.gz", ".tgz", ".zip")


def read_upload(content_type: str, body: bytes) -> bytes:
    """The content of the part named `uploadfile`.

    Raises:
        ApiError: 400, the body is not of that form; 500, the file is empty.
    """
    header = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode("latin-1", "replace")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(header + body)
    for part in message.iter_parts() if message.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            content = part.get_payload(decode=True)
            name = part.get_filename() or ""
            if not name.endswith(_SUFFIXES):
                raise invalid(
                    f"the file {name!r} is no pipeline: its name must end with one of {', '.join(_SUFFIXES)}"
                )
            if not content:
                raise failed("the uploaded file is empty")
            if isinstance(content, bytes):
                return content
    raise invalid("Failed to read pipeline from file: the form holds no file named uploadfile")
