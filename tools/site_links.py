"""A hook of MkDocs: it shows a link that leaves docs/ as its text, since the site has only the files of docs/."""

import posixpath
import re
from typing import Any

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page's text without the links to files of the repository that are not in docs/."""
    folder = posixpath.dirname(page.file.src_uri)

    def shown(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link["target"]))
        return link["text"] if path.startswith("../") else link[0]

    return LINK.sub(shown, markdown)
