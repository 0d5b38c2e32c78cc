# Two commands on a machine with Python 3.10+ and Rust:
#
#   make demo    environment, build, `thalweg race` on handwritten digits
#   make test    environment, build, all tests, Rust and Python
#
# and for development: lint, stubs, wheel, smoke, bench, clean. Each does what it needs first; what is
# up to date is not done again (stamps in the environment, .venv/stamps).

SHELL := bash
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python3.10 python,$(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 10) and print("$(name)")' 2>/dev/null)))
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# Cargo features of the extension that is built here; wheels have those of pyproject.toml.
FEATURES ?= python,gpu
# Extras of the environment that tests run in (comma-separated), and flags for tools/requirements.py (--lowest).
EXTRAS ?= dev
REQUIREMENTS ?=
# Arguments of `thalweg race`, of pytest, of the wheel build.
RACE ?=
PYTEST ?=
# Benchmarks of `make bench`: those that run without arguments.
BENCHES ?= aggregate blocks coordinate fused_backward multi_gradient project search_maxsat \
	search_methods state_precision steps
WHEEL ?= $(if $(filter Linux,$(shell uname -s)),--compatibility manylinux_2_28 --zig)

PHASE := tools/phase
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
RUST := Cargo.toml Cargo.lock $(shell find src -name '*.rs')
PACKAGE := $(shell find python/thalweg -name '*.py' -o -name '*.pyi')

# The interpreter that PyO3 asks for its configuration; one for all cargo calls, so
# that nothing is built twice.
export PYO3_PYTHON := $(abspath $(BIN)/python)
export VIRTUAL_ENV := $(abspath $(VENV))
unexport CONDA_PREFIX

.PHONY: help demo test test-rust test-python lint lint-rust lint-python check-stubs stubs format \
	features wheel smoke bench clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@sed '/^$$/q; s/^# \{0,1\}//' Makefile

# ---- environment and build

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "make: Python 3.10 or newer is needed; name it with make PYTHON=..." >&2; exit 2; }
	@cargo --version >/dev/null || { echo "make: Rust is needed; see https://rustup.rs" >&2; exit 2; }
	@$(PHASE) "environment $(VENV) ($(PYTHON))" $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/packages-%: $(STAMPS)/venv pyproject.toml tools/requirements.py
	@$(BIN)/python tools/requirements.py $(REQUIREMENTS) $* >$(STAMPS)/$*.txt
	@$(PHASE) "packages for $*" $(PIP) -r $(STAMPS)/$*.txt "maturin>=1.14,<2"
	@touch $@

$(STAMPS)/build: $(STAMPS)/venv $(RUST) pyproject.toml
	@test -x $(BIN)/maturin || $(PIP) "maturin>=1.14,<2"
	@PIP_QUIET=1 $(PHASE) "build" $(BIN)/maturin develop --release --locked --quiet \
		--features $(FEATURES)
	@touch $@

# ---- the two commands

demo: $(STAMPS)/packages-demo $(STAMPS)/build
	@$(PHASE) "race" $(BIN)/thalweg race $(RACE)

test: test-rust test-python

test-rust: $(STAMPS)/venv
ifeq ($(NEXTEST),yes)
	@$(PHASE) "Rust tests" cargo nextest run --locked --no-tests=fail
	@$(PHASE) "Rust documentation tests" cargo test --locked --quiet --doc
else
	@$(PHASE) "Rust tests" cargo test --locked --quiet
endif

test-python: $(STAMPS)/packages-$(EXTRAS) $(STAMPS)/build
	@$(PHASE) "Python tests" $(BIN)/python -m pytest $(PYTEST)
	@$(PHASE) "docstring examples" $(BIN)/python tools/doctests.py

# ---- style

lint: lint-rust lint-python check-stubs

lint-rust: $(STAMPS)/venv
	@$(PHASE) "cargo fmt" cargo fmt --check
	@$(PHASE) "clippy" cargo clippy --locked --quiet --all-targets --all-features -- -D warnings
	@$(PHASE) "rustdoc" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps --all-features

lint-python: $(STAMPS)/packages-$(EXTRAS) $(STAMPS)/build
	@$(PHASE) "ruff check" $(BIN)/ruff check
	@$(PHASE) "ruff format" $(BIN)/ruff format --check
	@$(PHASE) "mypy" $(BIN)/mypy --strict
	@$(PHASE) "typos" $(BIN)/typos

check-stubs: $(STAMPS)/packages-$(EXTRAS) $(STAMPS)/build
	@$(PHASE) "stubs are those of the sources" $(BIN)/python tools/stubs.py --check
	@$(PHASE) "stubs agree with the extension" $(BIN)/python -m mypy.stubtest thalweg._core

stubs: $(STAMPS)/packages-$(EXTRAS) $(STAMPS)/build
	@$(BIN)/python tools/stubs.py

format: $(STAMPS)/packages-$(EXTRAS)
	@cargo fmt
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# Each feature of the crate also builds alone.
features: $(STAMPS)/venv
	@for feature in "" python gpu; do \
		$(PHASE) "check, features: $${feature:-none}" \
			cargo check --locked --quiet --all-targets --no-default-features --features "$$feature" || exit; done

# ---- distribution

wheel: $(STAMPS)/wheel

$(STAMPS)/wheel: $(STAMPS)/venv $(RUST) $(PACKAGE) pyproject.toml README.md
	@$(BIN)/python -c "import ziglang" 2>/dev/null || $(PIP) "maturin[zig]>=1.14,<2"
	@rm -rf dist
	@PATH="$(abspath $(BIN)):$$PATH" $(PHASE) "wheel" maturin build --release --locked --quiet --out dist $(WHEEL)
	@ls -l dist
	@touch $@

# In an environment of its own and from another folder, so that neither torch nor the source tree is in reach.
smoke: $(STAMPS)/wheel
	@$(PHASE) "smoke test of the wheel" tools/smoke $(PYTHON) $(VENV)-smoke dist/*.whl

# ---- figures

bench: $(STAMPS)/packages-$(EXTRAS) $(STAMPS)/build
	@for name in $(BENCHES); do $(PHASE) "$$name" $(BIN)/python benches/$$name.py || exit; done

clean:
	rm -rf $(VENV) $(VENV)-smoke dist target python/thalweg/_core*.so python/thalweg/_core*.pyd
