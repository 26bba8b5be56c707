# Every target installs what it needs into .venv first; the second run finds it there.
.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench install
.NOTPARALLEL:
SHELL := /bin/sh

VENV := .venv
IN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt

# A venv knows its own path: one that was copied along with its folder is made anew.
ifneq ($(shell cat $(VENV)/.made-in 2>/dev/null),$(shell pwd))
$(shell rm -f $(VENV)/.core $(VENV)/.test $(VENV)/.lint)
endif

help:  ## Say what there is to make
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-16s%s\n", $$1, $$2 }'

demo: $(VENV)/.core  ## Watch leads go through the sequences of templates/, without a mail server
	@$(IN)/nurture demo

test: $(VENV)/.test  ## Run the tests, on SQLite and on a PostgreSQL of their own
	@$(IN)/pytest -n auto

lint: $(VENV)/.lint  ## Look for slips, odd formatting and undeclared libraries
	@$(IN)/ruff check
	@$(IN)/ruff format --check
	@$(IN)/deptry src flows

types: $(VENV)/.lint  ## Check the types
	@$(IN)/mypy

bench: $(VENV)/.test  ## Measure; SMALL=1 takes minutes, not hours: see benchmarks/README.md
	@$(IN)/python benchmarks $(if $(SMALL),small)

install: $(VENV)/.lint  ## Install everything that the other targets need

$(VENV)/.core: $(INPUTS)
	$(call install,.,Nurture)
	@touch $@

$(VENV)/.test: $(INPUTS)
	$(call install,.[test],Nurture and what its tests need)
	@touch $(VENV)/.core $@

$(VENV)/.lint: $(INPUTS)
	$(call install,.[test$(comma)lint],Nurture and what its tests and checks need)
	@touch $(VENV)/.core $(VENV)/.test $@

comma := ,

# $(call install,WHAT,IN WORDS)
define install
@set -e; \
if [ "$$(cat $(VENV)/.made-in 2>/dev/null)" != "$$(pwd)" ] || ! $(IN)/python -c '' 2>/dev/null; then \
  for python in "$(PYTHON)" python3.11 python3.12 python3.13 python3; do \
    "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; python=; \
  done; \
  if [ -z "$$python" ]; then \
    echo "Nurture needs Python 3.11, 3.12 or 3.13, and found none; name yours: make PYTHON=/path/to/python3" >&2; \
    exit 1; \
  fi; \
  "$$python" -m venv --clear $(VENV) || { \
    echo "'$$python -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
  pwd > $(VENV)/.made-in; \
fi; \
echo "Installing $(2) into $(VENV); this takes a minute or two the first time ..." >&2; \
$(IN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '$(1)'
endef
