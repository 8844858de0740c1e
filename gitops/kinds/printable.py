"""Text of others as a terminal may show it: a manifest, or what a server said, must not steer the reader's screen."""


def shown(text: str) -> str:
    """Control characters as `\\x1b`, line ends too."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown_text(text: str) -> str:
    """The same for several lines; tabs stay."""
    return "\n".join("\t".join(shown(part) for part in line.split("\t")) for line in text.split("\n"))
