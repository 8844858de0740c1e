# The one door: every target makes the virtual environment that it needs and can be run again.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help demo test unit simulate mutants lint types fmt bench soak image clean system

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/ready system ## see a commit become pods behind an ingress, a roll without loss, and a revert
	@$(SUDO) tests/tools/isolated $(PY) examples-repo/demo.py

# Two workers, each in namespaces and beside an engine of its own: what runs on Docker mostly waits.
WORKER := --tx "popen//python=tests/tools/isolated $(PY)"
BESIDE := $(WORKER) $(WORKER) --dist loadfile --no-loadscope-reorder
test: $(VENV)/ready system ## run every layer: unit, contract, simulated, attacks, integration, docker
	@$(SUDO) tests/tools/system-packages sshd=openssh-server ssh-keygen=openssh-client gpg=gnupg ufw=ufw
	@$(SUDO) env GITWARD_ALL_LAYERS=1 $(PY) -m pytest tests $(BESIDE) $(PYTEST)

unit: $(VENV)/ready ## run the fast tests only (no root, no engine)
	@$(PY) -m pytest tests/unit $(PYTEST)

SEEDS ?= 1000
FROM ?= 0
simulate: $(VENV)/ready ## faulty clusters in virtual time: SEEDS=1000 FROM=0; SEED=7 replays one of them
	@SEED=$(SEED) $(PY) -m gitops.simulator --seeds $(SEEDS) --from $(FROM)

mutants: $(VENV)/ready ## plant ten mistakes, which the simulation must find
	@$(PY) -m tests.simulated.mutants

lint: $(VENV)/ready types ## ruff, mypy --strict and the import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/lint-imports

types: $(VENV)/ready ## mypy --strict alone
	@$(VENV)/bin/mypy

fmt: $(VENV)/ready ## format and fix what can be fixed
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

bench: $(VENV)/ready system ## run the benchmarks; each prints a ratio against a named peer or floor
	@$(SUDO) tests/tools/isolated $(VENV)/bin/gitward bench deploy
	@$(SUDO) tests/tools/isolated $(VENV)/bin/gitward bench node
	@$(SUDO) tests/tools/system-packages unbound=unbound dnsperf=dnsperf
	@$(SUDO) $(VENV)/bin/gitward bench services
	@$(VENV)/bin/gitward bench store
	@$(VENV)/bin/gitward bench scale
	@$(VENV)/bin/gitward bench sync
	@$(SUDO) $(VENV)/bin/gitward bench render --render-bin-dir "$$($(PY) tests/tools/kubectl.py)"

PODS ?= 1000
soak: $(VENV)/ready system ## a thousand pods come and go on one engine and leave nothing: PODS=1000
	@$(SUDO) env GITWARD_SOAK_PODS=$(PODS) tests/tools/isolated $(PY) -m pytest -q -s tests/docker/soak

image: $(VENV)/ready system ## build the container image, and run a simulated cluster and a whole node in it
	@$(SUDO) tests/tools/image

clean: ## remove what the targets above made inside the clone
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis

system: ## install the system packages that are missing (Debian, Ubuntu)
	@$(SUDO) tests/tools/system-packages

$(VENV)/ready: pyproject.toml tests/requirements.lock
	@echo "== virtual environment: $(VENV) =="
	@tests/tools/python-venv $(VENV)
	@touch $@
