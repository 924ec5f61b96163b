# The verbs of this checkout. `make help` lists them.
# Everything runs from .venv, which bootstrap.py makes; nothing is installed outside of this folder.

PYTHON ?= python3
BIN := .venv/bin
BENCH := build/bench/venv
SOURCES := sw hw sim bench tests docs lock conftest.py bootstrap.py
BOOTSTRAP = command -v $(PYTHON) >/dev/null || { echo 'dnnzip: $(PYTHON) is missing; on Debian or Ubuntu: apt-get install python3 python3-venv' >&2; exit 2; }; \
	$(PYTHON) bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help sim test slow full ports bitstream faults formal gain waves synth asic toggles zoo family paper bench shared-tables tune fuzz \
	lint format docs site scaling types lock latest env env-dev clean

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

sim: env ## the main job: compress the digits network, decode it in the simulated RTL, measure accuracy
	@$(BIN)/python -m dnnzip_sim.mainjob

TESTS := $(BIN)/python -m pytest -q -n 2 --dist worksteal --durations 10
test: env-dev ## the tests, except the slow ones
	@$(TESTS) -m 'not slow and not large and not ports'

slow: env-dev ## the tests that `make test` leaves out: simulators of their own, campaigns, the commands' fuzzer, a browser
	@$(TESTS) -m 'slow and not large and not ports'

full: env-dev ## make test and make slow as one run, as CI does: both cores have work until it ends
	@$(TESTS) -m 'not large and not ports'

ports: env-dev ## more pauses, cases and widths on the ports of the decompressor, AXI, the serial line and the array; minutes
	@$(BIN)/python -m pytest -q -m ports

BOARD ?= ulx3s-85f
TOP ?= decompressor
bitstream: ## build/bitstreams: BOARD=ulx3s-85f, ulx3s-25f, icebreaker or hx8k-b-evn; TOP=decompressor, or array on ulx3s-85f
	@$(BOOTSTRAP) fpga
	@$(BIN)/dnnzip bitstream --board $(BOARD) --top $(TOP)

zoo: env ## the table over the trained networks in the folder DNNZIP_ZOO
	@$(BIN)/python -m dnnzip_bench.zoo

family: env ## the paper's family of compressors over the networks in DNNZIP_ZOO, compared with ans
	@$(BIN)/python -m dnnzip_bench.family

paper: env ## docs/paper.md: the paper's claim repeated, and other ways to store weights at equal accuracy; minutes
	@$(BIN)/python -m dnnzip_bench.paper --page docs/paper.md --json build/paper/paper.json

bench: ## docs/bench.md: dnnzip compared with other compressors on the networks in DNNZIP_ZOO
	@$(BOOTSTRAP) bench
	@$(BENCH)/bin/python -m dnnzip_bench.comparison -o docs --json build/bench/bench.json

shared-tables: env ## docs/shared_tables.md: what one table set for all networks in DNNZIP_ZOO loses
	@$(BIN)/python -m dnnzip_bench.shared_tables -o docs --json build/bench/shared_tables.json

tune: env ## docs/tune.md: a bound for every layer of the networks in DNNZIP_ZOO, and the drop; TUNE='NAME ... --seed S'
	@$(BIN)/python -m dnnzip_bench.tune --page docs/tune.md $(TUNE)

fuzz: env-dev ## 200,000 changed calls of the commands, a million changed inputs of the decoders; CALLS= and FUZZ='--runs N --seed S'
	@$(BOOTSTRAP) fuzz
	@$(BIN)/python tests/fuzz/fuzz_commands.py $(CALLS)
	@$(BIN)/python tests/fuzz/fuzz.py $(FUZZ)

faults: env ## 100,000 broken streams and 6,000 resets through the RTL; FAULTS='--streams N --resets N --seed S'
	@$(BIN)/python -m dnnzip_sim.faults $(FAULTS)

formal: env-dev ## proofs about the RTL and the bugs that they must find; FORMAL='--quick --no-mutants'
	@$(BIN)/python -m dnnzip_sim.formal --page docs/formal.md $(FORMAL)

gain: env ## what compressed weights buy on the PE array in cycles and bytes; minutes; GAIN='--widths 2 --batches 1'
	@$(BIN)/python -m dnnzip_bench.gain --page docs/gain.md $(GAIN)

scaling: env-dev ## docs/explore.md: how explorations scale with their workers; minutes
	@$(BIN)/python -m dnnzip_bench.scaling --page docs/explore.md

waves: env ## the waveforms of a decoded layer, in build/waves
	@$(BIN)/python -m dnnzip_sim.waves

synth: env-dev ## docs/synthesis.md: clock and area on FPGAs, placed and routed; hours on a slow machine; SYNTH='--seeds 1'
	@$(BOOTSTRAP) fpga
	@$(BIN)/python -m dnnzip_bench.synthesis --page docs/synthesis.md --notebook bench/synthesis-attempts.md $(SYNTH)

asic: env-dev ## docs/synthesis.md: gates of the decompressor compared with an array, and the energy of a weight
	@$(BIN)/python -m dnnzip_bench.asic --page docs/synthesis.md

toggles: env ## bench/synthesis-attempts.md: toggles of the decompressor's gates while it decodes, and their energy; minutes
	@$(BIN)/python -m dnnzip_bench.toggles --page bench/synthesis-attempts.md

lint: env-dev ## style and format of the sources
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

format: env-dev ## rewrite the sources in the common format
	@$(BIN)/ruff check --fix --select I $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

docs: env-dev ## fill the generated parts of the documents
	@$(BIN)/python docs/generate.py

site: env-dev ## build/site: the manual as a website; SITE=--strict makes a warning an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -W ignore::DeprecationWarning -m mkdocs build $(SITE)

types: env-dev ## static type check of the packages
	@$(BIN)/mypy

LOCK ?= --upgrade
lock: env-dev ## lock/: the newest versions, by hash; LOCK= changes only what pyproject.toml asks for
	@$(BIN)/python lock/renew.py $(LOCK)

latest: ## the newest versions that pyproject.toml allows into .venv, for make test to try; rm -r .venv for the locked ones
	@$(BOOTSTRAP) latest

env: ## the virtual environment with what a simulation needs
	@$(BOOTSTRAP) sim

env-dev: ## the virtual environment with what working on dnnzip needs
	@$(BOOTSTRAP) dev

clean: ## remove the virtual environment and everything that was built
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
