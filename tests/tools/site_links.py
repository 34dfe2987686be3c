"""Links that leave docs/, on the site (a hook of mkdocs): what they lead to comes along, under `repository/`.

So pages link to other files of the repository as they stand, which is right where Markdown is read in the
repository, and the site is whole without it. Files that such files link to come along as well.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDER = "repository"

_LINK = re.compile(r"(?<=\]\()(?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files outside docs/ that pages link to."""
    root = Path(config.config_file_path).parent
    docs = Path(config.docs_dir)
    pages = [docs / file.src_uri for file in files.documentation_pages()]
    seen: set[Path] = set()
    while pages:
        page = pages.pop()
        for match in _LINK.finditer(page.read_text(encoding="utf-8")):
            target = _target(page, match["path"])
            if target.is_relative_to(docs) or not target.is_file() or target in seen:
                continue
            seen.add(target)
            files.append(_file(target, root, config))
            if target.suffix == ".md":
                pages.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links from where a file stands in the repository to where it stands on the site."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    here = page.file.src_uri
    is_outside = here.startswith(f"{FOLDER}/")
    source = root / here.removeprefix(f"{FOLDER}/") if is_outside else docs / here

    def on_site(match: re.Match[str]) -> str:
        target = _target(source, match["path"])
        is_page = target.is_relative_to(docs)
        uri = target.relative_to(docs) if is_page else Path(FOLDER, os.path.relpath(target, root))
        return os.path.relpath(uri, Path(here).parent) + (match["anchor"] or "")

    return _LINK.sub(on_site, markdown)


def _target(page: Path, link: str) -> Path:
    """What a link means in the repository; of a folder its README, as there."""
    target = Path(os.path.normpath(page.parent / link))
    return target / "README.md" if target.is_dir() else target


def _file(target: Path, root: Path, config: MkDocsConfig) -> File:
    uri = f"{FOLDER}/{target.relative_to(root).as_posix()}"
    return File.generated(config, uri, abs_src_path=str(target))
