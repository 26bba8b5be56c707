"""`python -m nurture`: the same as `nurture`."""

from nurture.cli import main

raise SystemExit(main())
