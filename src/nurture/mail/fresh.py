"""Files that others import, evaluated for each letter."""

from __future__ import annotations

from jinja2 import Template
from jinja2.environment import TemplateModule
from jinja2.runtime import Context


class FreshTemplate(Template):
    """A file whose module is made anew for whoever imports it: Jinja2 would keep what it printed for the first lead.

    What a module prints at its top, or a file that is included without context, may hold links, which are one touch's.
    """

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        """Kept nowhere: two letters may be written at once."""
        if ctx is None:
            return self.make_module()
        return self.make_module({name: ctx.parent[name] for name in ctx.globals_keys - self.globals.keys()})
