"""Keys with which websites and other systems tell us things."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from nurture.cli.holding import who
from nurture.cli.speech import Json, machine, say, tell_json, tell_table

Name = Annotated[str, Parameter(name="NAME", help="What the website or system is called; its facts have it as source.")]


def add(
    name: Name,
    /,
    *,
    kind: Annotated[str, Parameter(help="site: stands in a page, for what pages may tell. server: a secret.")],
) -> int:
    """Make a key with which a website or another system tells us things; it is printed this once."""
    from nurture.engine import keys

    with machine() as opened:
        now = opened.now()
        number = opened.db.transact(lambda link: keys.add(link, name, kind, who(), now), door=True)
        key = keys.written(opened.keys, number)
        say(f"Key:      {key}")
        if kind == "site":
            say("It may be read by everybody: it stands in your pages, and takes page views and the events of")
            say("'website:' in program.yaml alone. In their head:")
            say(f'<script src="{opened.public_url}/nurture.js" data-key="{key}" async></script>')
            say("It does nothing by itself: call nurture.consent() from your banner once the visitor agrees.")
            return 0
        say(f"Secret:   {keys.secret(opened.keys, name)}")
        say(f"Address:  {opened.public_url}/events?source={name}   (signed with the secret, as Standard Webhooks says)")
        say(f"          {opened.public_url}/events, {opened.public_url}/leads   (Authorization: Bearer KEY)")
        say("Key and secret are passwords, and are not shown again; 'nurture key revoke' ends both.")
    return 0


def show(*, json: Json = False) -> int:
    """List the keys, without what is secret."""
    from nurture.engine import keys

    with machine() as opened, opened.db.read() as link:
        rows = keys.listed(link)
    if json:
        tell_json(rows)
        return 0
    tell_table(rows, spare=("by",), empty="There are no keys; 'nurture key add NAME --kind site' makes one.")
    return 0


def revoke(name: Name, /) -> int:
    """End a key: what comes with it is refused from now on."""
    from nurture.engine import keys

    with machine() as opened:
        now = opened.now()
        ended = opened.db.transact(lambda link: keys.revoke(link, name, who(), now), door=True)
    say(f"The key '{name}' is {'revoked' if ended else 'revoked already'}.")
    return 0
