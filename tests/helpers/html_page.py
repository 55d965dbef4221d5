"""A page as a reader meets it: sections by heading, tables by caption, text."""

from html.parser import HTMLParser
from xml.etree.ElementTree import TreeBuilder

VOID = {"meta", "img", "input"}
NOT_SHOWN = {"style", "script"}


class Page(HTMLParser):
    """The tree of a page; ``balanced`` if each element was closed in its turn."""

    def __init__(self, html):
        super().__init__()
        self._builder, self._open, self.balanced = TreeBuilder(), [], True
        self.feed(html)
        self.balanced &= not self._open
        self.root = self._builder.close()

    def handle_starttag(self, tag, attributes):
        self._builder.start(tag, {name: value or "" for name, value in attributes})
        if tag in VOID:
            self._builder.end(tag)
        else:
            self._open.append(tag)

    def handle_endtag(self, tag):
        self.balanced &= bool(self._open) and self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data):
        self._builder.data(data)

    @property
    def elements(self):
        return list(self.root.iter())

    @property
    def text(self):
        return text_of(self.root)

    @property
    def headings(self):
        return [text_of(heading) for heading in self.root.iter("h2")]

    def section(self, heading):
        """The section under a heading."""
        return next(section for section in self.root.iter("section") if text_of(section.find("h2")) == heading)

    def table(self, caption):
        """Header rows and body rows of the table so captioned, each a list of cells."""
        tables = [table for table in self.root.iter("table") if text_of(table.find("caption")) == caption]
        return [[list(row) for row in tables[0].find(part)] for part in ("thead", "tbody")]


def text_of(element):
    """What an element says, with single spaces; nothing of style and script."""
    return "" if element is None else " ".join("".join(_texts(element)).split())


def _texts(element):
    if element.tag not in NOT_SHOWN:
        yield element.text or ""
        for child in element:
            yield from _texts(child)
            yield child.tail or ""
