# These commands do all their own set-up: `make demo`, `make test` and `make action`.
# Everything is installed into .venv, at the versions and hashes of requirements-dev.txt.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin

.PHONY: demo test action clean

demo: .venv/.complete
	@$(BIN)/chainloop-smtp demo

test: .venv/.complete
	$(BIN)/nox --no-error-on-missing-interpreters

# COMPLETE=1: fail unless CPython 3.11 to 3.14 are all on PATH, to compile for.
action: .venv/.complete
	@$(BIN)/python release/build.py build/action $(if $(COMPLETE),--complete)

.venv/.complete: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up .venv; this takes about a minute, once."
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--only-binary :all: -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--editable .
	@touch $@

clean:
	rm -rf .venv .nox dist build
