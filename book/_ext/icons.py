"""Sphinx extension: the icons of the theme as one small style sheet, instead of a whole icon library on every page.

The theme loads Font Awesome three times over: as fonts, as a style sheet, and as a script of 1.5 MB that draws every
icon once more. The book uses two dozen icons. Their glyphs, cut out of the theme's own font, go into one style sheet,
inside it, so that they also show where a page is opened from disk. Source maps, for debugging the theme, go too.
"""

import base64
import io
import re
import shutil
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

SHEET = "icons.css"
LIBRARY = re.compile(r"\s*<(?:link|script)\b[^>]*vendor/fontawesome/[^>]*>(?:</script>)?")
USED = re.compile(r"\bfa-[a-z0-9-]+")
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
GLYPH = re.compile(r"\\(f[0-9a-f]{3})")
FACE = """@font-face {{
  font-family: "{name}";
  font-weight: 900;
  src: url(data:font/ttf;base64,{data});
}}
"""
FACES = ("Font Awesome 6 Free", "Font Awesome 5 Free")  # the theme asks for both names
ROOT = ':root {\n  --fa-font-solid: normal 900 1em/1 "Font Awesome 6 Free";\n}\n'
SHAPE = """:is(.fa, .fas, .fa-solid, .fa-regular) {
  display: inline-block;
  font: var(--fa-font-solid);
  -webkit-font-smoothing: antialiased;
}
"""


def _rules(css, used):
    """Return the rules of Font Awesome's style sheet that size or fill one of the used classes."""
    found = []
    for selectors, body in RULE.findall(css):
        wanted = [s.strip() for s in selectors.split(",") if set(USED.findall(s)) and set(USED.findall(s)) <= used]
        if wanted and ("content" in body or "font-size" in body):
            found.append(f"{','.join(wanted)} {{ {body} }}")
    return found


def _font(path, glyphs):
    """Return the bytes of a font with these characters only."""
    font = TTFont(path)
    cut = subset.Subsetter(subset.Options(layout_features=[], name_IDs=[], notdef_outline=True))
    cut.populate(unicodes=sorted(glyphs))
    cut.subset(font)
    font["head"].modified = font["head"].created  # the same bytes on every day
    font.recalcTimestamp = False
    found = io.BytesIO()
    font.save(found)
    return found.getvalue()


def _replace(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    library = next(static.glob("vendor/fontawesome/*"), None)
    if library is None:  # replaced by an earlier run of this build
        return
    pages = {path: path.read_text(encoding="utf-8") for path in Path(app.outdir).rglob("*.html")}
    scripts = [path.read_text(encoding="utf-8") for path in static.glob("scripts/*.js")]
    used = set(USED.findall(" ".join([*pages.values(), *scripts])))
    rules = _rules((library / "css" / "all.min.css").read_text(encoding="utf-8"), used)
    sheets = "".join(path.read_text(encoding="utf-8") for path in [*static.glob("styles/*.css"), *static.glob("*.css")])
    glyphs = {int(code, 16) for code in GLYPH.findall(sheets + "".join(rules))}
    glyphs |= {ord(sign) for sign in set(sheets) if 0xE000 <= ord(sign) <= 0xF8FF}
    font = base64.b64encode(_font(library / "webfonts" / "fa-solid-900.ttf", glyphs)).decode()
    faces = "".join(FACE.format(name=name, data=font) for name in FACES)
    (static / SHEET).write_text(ROOT + faces + SHAPE + "\n".join(rules) + "\n", encoding="utf-8")
    shutil.rmtree(static / "vendor")
    for path in static.rglob("*.map"):
        path.unlink()
    for path, text in pages.items():
        up = "../" * (len(path.relative_to(app.outdir).parts) - 1)
        link = f'<link rel="stylesheet" href="{up}_static/{SHEET}" />'
        path.write_text(LIBRARY.sub("", text).replace("</head>", f"{link}\n</head>", 1), encoding="utf-8")


def setup(app):
    app.connect("build-finished", _replace)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
