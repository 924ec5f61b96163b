"""Additions to MkDocs while it builds the site, so that pages stay plain Markdown and no reader needs a network.

Equations become MathML, Mermaid diagrams SVG, both while building; the browser runs no script for them and asks no
other host. Pages that stand at the root of the repository, such as CONTRIBUTING.md, are pages of the site as well.
"""

import hashlib
import html
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import mermaidx
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.superfences import SuperFencesException

ROOT_PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Page of the site to the file at the repository's root that it shows."""

SPACING = {
    "flowchart": {
        "rankSpacing": 28,
        "nodeSpacing": 24,
        "padding": 8,
        "diagramPadding": 4,
        "subGraphTitleMargin": {"top": 4, "bottom": 18},
    }
}
"""Close enough that a diagram from top to bottom fits a screen."""

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
"""A formula as Arithmatex leaves it: in a line, or in lines of its own."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have Mermaid diagrams drawn; elsewhere, a page shows them as fenced blocks."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "mermaid", "class": "diagram", "format": diagram})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root."""
    root = Path(config.config_file_path).parent
    for page, source in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(root / source)))
    return files


def on_page_markdown(text: str, page: Page, **_: Any) -> str:
    """Return a page's text; pages of the repository's root name the pages of `docs` by a path from there."""
    return text.replace("](docs/", "](") if page.file.src_uri in ROOT_PAGES else text


def on_page_content(text: str, page: Page, **_: Any) -> str:
    """Turn formulas into MathML."""
    return FORMULA.sub(lambda match: formula(match, page.file.src_uri), text)


def formula(match: re.Match[str], page: str) -> str:
    """Return the MathML of a formula; one that LaTeX would refuse ends the build with the page and the formula."""
    display = "block" if match[2] == "[" else "inline"
    source = html.unescape(match[3]).strip()
    try:
        mathml = convert(source, display=display)
        # A command that is not known is passed on as its own name, and a reader would see a backslash.
        unknown = [element.text for element in ET.fromstring(mathml).iter() if (element.text or "").startswith("\\")]
    except Exception as error:
        raise PluginError(f"{page}: the formula {source!r} cannot be read: {type(error).__name__} {error}") from error
    if unknown:
        raise PluginError(f"{page}: the formula {source!r} has what is not known: {', '.join(map(str, unknown))}")
    return f'<div class="formula">{mathml}</div>' if display == "block" else mathml


def diagram(source: str, language: str, css_class: str, options: Any, md: Any, **_: Any) -> str:
    """Return the SVG of a Mermaid diagram; the arguments are those that SuperFences passes.

    Raises
    ------
    SuperFencesException
        Mermaid cannot read it. Of all other exceptions SuperFences would show the source in the diagram's place.
    """
    del language, options, md
    try:
        svg = mermaidx.render(source, theme="neutral", config=SPACING).svg()
    except Exception as error:
        raise SuperFencesException(f"the diagram that starts with {source[:40]!r} cannot be drawn: {error}") from error
    # Every diagram has the same id, and names its parts by it; a page may have several.
    own = f"diagram-{hashlib.sha256(source.encode()).hexdigest()[:8]}"
    return f'<div class="{css_class}">{svg.replace("my-svg", own)}</div>'
