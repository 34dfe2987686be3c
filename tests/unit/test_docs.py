import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.tools import metrics_page, settings_page

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*.md")]
    if page.is_file()
)


@pytest.mark.parametrize("page", [settings_page, metrics_page], ids=["settings", "metrics"])
def test_a_written_page_says_what_is(page: ModuleType) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), (
        f"write it again: python -m {page.__name__}"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []
