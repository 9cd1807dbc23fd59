"""Names of uploaded files: what they claim to be, and what is safe to show, store and send in a header."""

import re
import unicodedata

LONGEST = 120  # characters, extension included

# Cf holds the marks that turn text around: "x<U+202E>fdp.exe" shows as "xexe.pdf". Cs: surrogates; no header takes them
DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn"}
# "x.php.pdf" is run as PHP by some web servers, and "x.html.pdf" opens as a page in some mail programs.
INNER_EXTENSION = re.compile(r"\.(?=[A-Za-z][A-Za-z0-9]{1,7}(?:\.|$))")
# Windows cannot store these whatever their extension.
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=$|\.| )")


def visible(name: str) -> str:
    """The last part of a path as one line of visible characters, composed (NFC). May be empty."""
    spaced = "".join(" " if unicodedata.category(c) in {"Zl", "Zp", "Zs"} or c in "\t\r\n" else c for c in name)
    kept = "".join(c for c in spaced if unicodedata.category(c) not in DROPPED)
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", kept).rstrip("/\\ "))[-1]
    return re.sub(r"\s+", " ", last).strip()


def claimed_extension(name: str) -> str:
    """What the name says the file is, such as ".pdf", in lower case; "" for none ("Vol. 2", "Guide by J. Smith")."""
    claimed = re.search(r"\.(?=[0-9]*[a-z])[a-z0-9]{1,8}$", visible(name).rstrip(". ").lower())
    return claimed[0] if claimed else ""


def safe_name(name: str, extension: str) -> str:
    """A name to show and to send: at most 120 characters, no path, no control or direction marks, one extension.

    Letters of every script are kept. `extension` (".pdf") replaces the claimed one.
    """
    shown = visible(name).rstrip(". ")
    stem = shown[: len(shown) - len(claimed_extension(name))]
    stem = re.sub(r'[<>:"|?*]+', "-", INNER_EXTENSION.sub("-", stem))
    stem = stem.strip(" .-")[: LONGEST - len(extension)].strip(" .-")
    if RESERVED.match(stem):
        stem = f"file {stem}"
    return (stem or "file") + extension
