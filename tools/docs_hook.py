"""Makes of docs/ and the docstrings what MkDocs can show; both stay as GitHub and Python want them.

MkDocs calls `on_page_markdown` (``hooks`` in mkdocs.yml), mkdocstrings `Docstrings`.
"""

import posixpath
import re
from pathlib import Path

import griffe
from mkdocs.structure.files import File

_ROOT = Path(__file__).parents[1]
_OUTSIDE = re.compile(r"(!?)(\[[^]]*\]\()(\.\./[^)\s]*)")  # [text](../...
_DOCTEST = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)  # to the next empty line
_TERM = re.compile(r"\n(?=``(?:[^`\n]*->[^`\n]*``|\S+``  |\w+``: ))")  # of a list without bullets
_SHARED = re.compile(r"^  (\w+(?:, \w+)+): (.*(?:\n   .*)*)", re.MULTILINE)  # one text for several


def on_page_markdown(markdown, *, page, config, files):
    """Links that leave docs/ go to the repository; images from there are taken into the site."""
    here = posixpath.dirname(page.file.src_uri)

    def inside(link: re.Match) -> str:
        image, text, target = link.groups()
        path = posixpath.normpath(posixpath.join("docs", here, target))
        if path.startswith("docs/"):
            return link[0]
        if not image:
            return f"{text}{config.repo_url}/blob/main/{path}"
        if files.get_file_from_path(path) is None:
            files.append(File.generated(config, path, abs_src_path=str(_ROOT / path)))
        return f"!{text}{posixpath.relpath(path, here or '.')}"

    return _OUTSIDE.sub(inside, markdown)


class Docstrings(griffe.Extension):
    """Docstrings as Markdown, and each field of a small record listed with its comment."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            text = _DOCTEST.sub(r"\1```pycon\n\g<0>\n\1```", obj.docstring.value)
            text = _TERM.sub("  \n", text)  # two spaces: the line ends here
            obj.docstring.value = _SHARED.sub(_one_each, text)

    def on_class_members(self, *, cls, **kwargs):
        """Where no ``Attributes:`` tell of them, ``name: type  # what it is`` does."""
        record = any(str(base) == "NamedTuple" for base in cls.bases) or any(
            "dataclass" in str(decorator.value) for decorator in cls.decorators
        )
        if record and cls.docstring and "\nAttributes:\n" not in cls.docstring.value:
            fields = [a for a in cls.attributes.values() if a.annotation and not a.docstring]
            lines = "".join(f"\n  {a.name}: {_comment(a)}" for a in fields)
            cls.docstring.value += f"\n\nAttributes:{lines}" if fields else ""


def _one_each(section: re.Match) -> str:
    names, text = section.groups()
    return "\n".join(f"  {name}: {text}" for name in names.split(", "))


def _comment(field: griffe.Attribute) -> str:
    line = field.lines_collection[field.filepath][field.endlineno - 1]
    return line.partition("  # ")[2]
