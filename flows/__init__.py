"""The operator's room: what runs when, and what Prefect shows of it. No rule about leads lives here."""

import gc

#: As in nurture.cli.app: what a run imports stays, and need not be looked through again and again.
gc.set_threshold(50_000)
