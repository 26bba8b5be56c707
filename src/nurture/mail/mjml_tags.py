"""The tags of MJML 4 with what each may hold, as mjml.io documents them and mrml renders them.

mrml takes an unknown tag or attribute without a word and leaves out what it does not understand, so `check` asks this
table. Not in it: `mj-include`, which would read files, and `mj-html-attributes`, which mrml does not render.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tag:
    """`attributes` that it may have, `children` that may stand in it; `text`: it holds HTML instead."""

    attributes: frozenset[str]
    children: frozenset[str] = frozenset()
    text: bool = False


def _tag(attributes: str, children: str = "", *, text: bool = False) -> Tag:
    for word, meant in _SETS.items():
        attributes = attributes.replace(word, meant)
    return Tag(frozenset(attributes.split()), frozenset(children.split()), text)


_SETS = {
    "PADDING": "padding padding-top padding-bottom padding-left padding-right",
    "BORDER": "border border-top border-bottom border-left border-right border-radius",
    "FONT": "font-family font-size font-style font-weight line-height letter-spacing",
    "BACKGROUND": "background-color background-url background-repeat background-size background-position"
    " background-position-x background-position-y",
    "BLOCK": "css-class mj-class",
}

#: Every tag by name.
TAGS = {
    "mjml": _tag("dir lang owa", "mj-body mj-head mj-raw"),
    "mj-head": _tag("", "mj-attributes mj-breakpoint mj-font mj-preview mj-raw mj-style mj-title"),
    "mj-title": _tag("", text=True),
    "mj-preview": _tag("", text=True),
    "mj-attributes": _tag(""),
    "mj-breakpoint": _tag("width"),
    "mj-font": _tag("href name"),
    "mj-style": _tag("inline", text=True),
    "mj-accordion": _tag(
        "PADDING BLOCK border container-background-color font-family icon-align icon-height "
        "icon-position icon-unwrapped-alt icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url",
        "mj-accordion-element mj-raw",
    ),
    "mj-accordion-element": _tag(
        "BLOCK background-color border font-family icon-align icon-height icon-position "
        "icon-unwrapped-alt icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url",
        "mj-accordion-text mj-accordion-title mj-raw",
    ),
    "mj-accordion-text": _tag(
        "PADDING BLOCK background-color color font-family font-size font-weight letter-spacing line-height",
        text=True,
    ),
    "mj-accordion-title": _tag("PADDING BLOCK background-color color font-family font-size font-weight", text=True),
    "mj-body": _tag("BLOCK background-color width", "mj-hero mj-raw mj-section mj-wrapper"),
    "mj-button": _tag(
        "PADDING BORDER FONT BLOCK align background-color color container-background-color height href "
        "inner-padding name rel target text-align text-decoration text-transform title vertical-align "
        "width",
        text=True,
    ),
    "mj-carousel": _tag(
        "PADDING BLOCK align border-radius container-background-color icon-width left-icon right-icon "
        "tb-border tb-border-radius tb-hover-border-color tb-selected-border-color tb-width thumbnails",
        "mj-carousel-image",
    ),
    "mj-carousel-image": _tag(
        "BLOCK alt border-radius href rel src target tb-border tb-border-radius thumbnails-src title",
        text=True,
    ),
    "mj-column": _tag(
        "PADDING BORDER BLOCK background-color direction inner-background-color inner-border "
        "inner-border-bottom inner-border-left inner-border-radius inner-border-right inner-border-top "
        "vertical-align width",
        "mj-accordion mj-button mj-carousel mj-divider mj-image mj-navbar mj-raw mj-social mj-spacer mj-table mj-text",
    ),
    "mj-divider": _tag("PADDING BLOCK align border-color border-style border-width container-background-color width"),
    "mj-group": _tag("BLOCK background-color direction vertical-align width", "mj-column mj-raw"),
    "mj-hero": _tag(
        "PADDING BLOCK background-color background-height background-position background-url "
        "background-width border-radius container-background-color height inner-background-color inner-padding "
        "inner-padding-bottom inner-padding-left inner-padding-right inner-padding-top mode "
        "vertical-align",
        "mj-accordion mj-button mj-carousel mj-divider mj-image mj-navbar mj-raw mj-social mj-spacer mj-table mj-text",
    ),
    "mj-image": _tag(
        "PADDING BORDER BLOCK align alt container-background-color fluid-on-mobile font-size height href "
        "max-height name rel sizes src srcset target title usemap width",
    ),
    "mj-navbar": _tag(
        "PADDING BLOCK align base-url hamburger ico-align ico-close ico-color ico-font-family "
        "ico-font-size ico-line-height ico-open ico-padding ico-padding-bottom ico-padding-left ico-padding-right "
        "ico-padding-top ico-text-decoration ico-text-transform",
        "mj-navbar-link mj-raw",
    ),
    "mj-navbar-link": _tag("PADDING FONT BLOCK color href name rel target text-decoration text-transform", text=True),
    "mj-raw": _tag("BLOCK position", text=True),
    "mj-section": _tag(
        "PADDING BORDER BACKGROUND BLOCK direction full-width text-align text-padding",
        "mj-column mj-group mj-raw",
    ),
    "mj-social": _tag(
        "PADDING BLOCK align border-radius color container-background-color font-family font-size "
        "font-style font-weight icon-height icon-padding icon-size inner-padding line-height mode "
        "table-layout text-decoration text-padding vertical-align",
        "mj-raw mj-social-element",
    ),
    "mj-social-element": _tag(
        "PADDING BLOCK align alt background-color border-radius color font-family font-size font-style "
        "font-weight href icon-height icon-padding icon-position icon-size line-height name rel sizes "
        "src srcset target text-decoration text-padding title vertical-align",
        text=True,
    ),
    "mj-spacer": _tag(
        "PADDING BLOCK border border-bottom border-left border-right border-top container-background-color height",
    ),
    "mj-table": _tag(
        "PADDING BLOCK align border cellpadding cellspacing color container-background-color font-family "
        "font-size font-weight line-height role table-layout vertical-align width",
        text=True,
    ),
    "mj-text": _tag(
        "PADDING FONT BLOCK align background-color color container-background-color height "
        "text-decoration text-transform vertical-align",
        text=True,
    ),
    "mj-wrapper": _tag(
        "PADDING BORDER BACKGROUND BLOCK direction full-width text-align text-padding",
        "mj-hero mj-raw mj-section",
    ),
}
#: In `mj-attributes`: what holds for every block, and for those of a class.
DEFAULTS = {"mj-all", "mj-class", *TAGS} - {"mjml", "mj-head", "mj-attributes"}
#: Attributes of any block.
EVERY = frozenset().union(*(tag.attributes for tag in TAGS.values()))
