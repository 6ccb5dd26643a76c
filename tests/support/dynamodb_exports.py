"""Exports of tables to S3, in the layout in which DynamoDB writes them.

Source: DynamoDB Developer Guide, DynamoDB table export output format.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EXPORTED_AT = "2026-11-26T09:00:00.000Z"
EXPORT_ID = "01795770000000-a1b2c3d4"


def md5(contents: bytes) -> bytes:
    """Return the MD5."""
    return hashlib.md5(contents, usedforsecurity=False).digest()


def base64_text(value: bytes) -> str:
    """Return bytes as DynamoDB writes them in JSON."""
    return base64.b64encode(value).decode()


def write_export(
    folder: Path, table: str, items: Sequence[Mapping[str, Any]], *, files: int = 2, **changes: Any
) -> Path:
    """Write the export of a table with these items, and return its folder.

    Args:
        folder: the folder.
        table: the table's name.
        items: its items, in DynamoDB's attribute form.
        files: the number of data files that have items. One more is empty, as that of an empty partition is.
        **changes: fields of the summary that are to be others; None leaves a field out.
    """
    data = folder / "data"
    data.mkdir(parents=True)
    (folder / "_started").touch()
    rows = []
    for number in range(files + 1):
        own = items[number::files] if number < files else []
        lines = "".join(f"{json.dumps({'Item': item}, default=base64_text)}\n" for item in own)
        contents = gzip.compress(lines.encode())
        name = f"{hashlib.sha256(f'{table} {number}'.encode()).hexdigest()[:26]}.json.gz"
        (data / name).write_bytes(contents)
        rows.append(
            {
                "itemCount": len(own),
                "md5Checksum": base64_text(md5(contents)),
                "etag": f"{md5(md5(contents)).hex()}-1",
                "dataFileS3Key": f"books/AWSDynamoDB/{EXPORT_ID}/data/{name}",
            }
        )
    arn = f"arn:aws:dynamodb:us-east-1:123456789012:table/{table}"
    summary = {
        "version": "2020-06-30",
        "exportArn": f"{arn}/export/{EXPORT_ID}",
        "startTime": "2026-11-26T09:05:00.000Z",
        "endTime": "2026-11-26T09:11:12.345Z",
        "tableArn": arn,
        "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
        "exportTime": EXPORTED_AT,
        "s3Bucket": "acme-books",
        "s3Prefix": "books",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"books/AWSDynamoDB/{EXPORT_ID}/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": len(items),
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
        **changes,
    }
    write_manifest(folder, "summary", json.dumps({name: value for name, value in summary.items() if value is not None}))
    write_manifest(folder, "files", "".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def write_manifest(folder: Path, name: str, text: str) -> None:
    """Write a manifest, and the file with its MD5."""
    (folder / f"manifest-{name}.json").write_text(text)
    (folder / f"manifest-{name}.md5").write_text(base64_text(md5(text.encode())))


def change_manifest(folder: Path, name: str, change: Mapping[str, Any], line: int = 0) -> None:
    """Change fields in a line of a manifest, whose MD5 then fits again."""
    lines = (folder / f"manifest-{name}.json").read_text().splitlines()
    lines[line] = json.dumps({**json.loads(lines[line]), **change})
    write_manifest(folder, name, "\n".join(lines))


def append_byte(folder: Path) -> Path:
    """Change a data file of an export, and return it."""
    file = min((folder / "data").iterdir())
    file.write_bytes(file.read_bytes() + b"x")
    return file
