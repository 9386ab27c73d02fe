# The commands of this project. `make` lists them.
SHELL := bash
PYTHON ?= python3
# the ansible-core in .venv, by default the newest one for this Python
CORE ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export MOLECULE_GLOB := molecule/*/molecule.yml
# `make test` runs FIRST in the lab and SECOND in a second lab at the same time; then live alone, because it measures what clients see, and
# installed on the other ansible-core (matrix). anywhere and examples need the first lab: one mounts this directory in a container, the other
# one builds images.
FIRST := anywhere default examples move secure
SECOND = $(filter-out $(FIRST) live installed,$(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
# the property tests draw random examples. With the value repeatable, they draw the same examples each time.
DRAW ?= random

.PHONY: help demo test test-first test-second test-rest static lint unit browser scenarios docs readmes release galaxy hosts versions newcomer harness matrix figures bench cost lab venv clean
help:                ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST) | column -t -s:

demo: venv lab       ## two hosts, the whole chain, a PONG and what carried it
	@lab/demo

test: venv lab       ## the linters, the unit tests, the status page, the scenarios (as root, or with sudo without a password)
	@# the scenarios of one lab leave half of the processor idle; the other tests have a lower priority
	tests/together test-first test-second test-rest
	$(MAKE) scenarios ONLY=live
	tests/matrix scenario

test-first: venv
	$(MAKE) scenarios ONLY="$(FIRST)"

test-second: venv
	lab/lab second $(MAKE) scenarios ONLY="$(SECOND)"

test-rest: DRAW := repeatable
test-rest: static browser

static: lint unit docs release  ## the linters, the unit tests, the documentation, and the requirements of Galaxy
	nice tests/galaxy short
	nice tests/matrix unit short

lint: venv           ## all linters
	nice tests/lint

unit: venv           ## the unit tests
	nice python -m pytest -q --hypothesis-profile=$(DRAW) tests/unit

browser: lab         ## the page of status in Chromium, with pictures in .cache/screenshots
	nice python -m pytest -q -p no:cacheprovider tests/browser

scenarios: lab       ## the molecule scenarios, on the lab's hosts; some of them: make scenarios ONLY="address classic"
	@rm -f .cache/failures
	molecule test --destroy=never $(if $(ONLY),$(ONLY:%=--scenario-name %),--all --exclude installed) || { tail -n 60 .cache/failures; exit 1; }

docs: venv           ## the documentation site, in .cache/site/html
	nice docs/site/build

readmes: venv        ## the README of every role, docs/keys.md, docs/variables.md, and docs/messages.md
	python docs/site/readmes.py
	python docs/site/reference.py
	python docs/site/messages.py

release: venv        ## the tarball for Galaxy, its bill of materials (CycloneDX), and the checksums of both, in .cache/release
	rm -rf .cache/release
	mkdir -p .cache/release/tree
	git ls-files -z | tar --create --null --files-from=- | tar --extract --directory=.cache/release/tree # nothing that Git does not hold
	ansible-galaxy collection build .cache/release/tree --output-path=.cache/release
	rm -r .cache/release/tree
	python requirements/sbom .cache/release/*.tar.gz
	cd .cache/release && sha256sum *.tar.gz *.cdx.json > SHA256SUMS

galaxy: release      ## what Galaxy asks of it, on both versions of ansible-core: its importer, and all sanity tests of ansible-test (10 minutes)
	tests/galaxy
	tests/matrix galaxy

hosts: venv          ## docs/hosts.md, written anew: the default scenario on each kind of Docker Engine (half an hour)
	tests/hosts

versions: lab        ## docs/versions.md, written anew: the default scenario with each version of what the collection stands on (half an hour)
	tests/versions

newcomer: lab        ## the README, followed in a bare Debian container (a quarter of an hour)
	tests/newcomer

harness: lab         ## the measurement in short: that it runs, not how fast anything is
	python -m pytest -q -p no:cacheprovider tests/bench

matrix: release      ## the unit tests, what Galaxy asks, and the scenario installed on the other ansible-core
	tests/matrix

figures: lab         ## docs/figures.md, written anew by the scenarios that put links under load
	@rm -f docs/figures.md
	for scenario in live move; do FIGURES=docs/figures.md molecule test --destroy=never --scenario-name $$scenario || exit; done

bench: lab           ## docs/benchmarks/report.md, written anew: all sides measured in turns (half an hour)
	bench/bench

cost: lab            ## docs/benchmarks/cost.md, written anew: what a run costs, beside the least and version 0.1.0 (20 minutes)
	bench/cost

lab: venv            ## the lab's hosts, up
	@lab/lab up

venv:                ## the Python environment
	@requirements/install .venv $(PYTHON) $(CORE)

clean:               ## removes all that the commands above made (packages of the system stay)
	@lab/lab clean
	-test ! -x .venv/bin/molecule || molecule reset
	rm -rf inventory/.ambassador molecule/*/inventory/.ambassador examples/shop/.password
	rm -rf .venv .venv-matrix .ansible .cache .hypothesis .pytest_cache .ruff_cache changelogs/.plugin-cache.yaml
	find . -name __pycache__ -prune -exec rm -rf {} +
