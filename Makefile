# Every target sets itself up in .venv; nothing here needs root. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
CODE := chatd protocol storage tests $(wildcard bench)
CHROMIUM ?= /usr/bin/chromium

# Debian has servers where the PATH of most users does not lead.
export PATH := $(PATH):/usr/sbin
# Without a MySQL server, what needs one is not tested.
UNTESTED = $$(test "$$CHATD_TEST_MYSQL_URL$$CHATD_TEST_MYSQLD" || command -v mariadbd >/dev/null || echo '--omit=storage/mysql/*')

.DEFAULT_GOAL := help
.PHONY: serve page test test-page test-peers test-shapes test-web measure-web screenshots example lint format types check bench bench-mysql bench-files attack instructions profile binary lock soak clean help

# The page is built once, and again when something of it changed. Without it the daemon runs, too, and `/` says so.
PAGE := chatd/http/page/index.html
SOURCES := $(shell find web -type d \( -name node_modules -o -name dist -o -name api \) -prune -o -type f -print 2>/dev/null | grep -v '^web/screenshots')
$(PAGE): $(SOURCES) | $(VENV)/.made
	@echo "Building the chat page ..."
	@$(BIN)/python packaging/web.py build && touch $@ || echo "The page could not be built; http://.../ says what to do" >&2

page: $(PAGE) ## build the chat page into chatd/http/page

serve: $(VENV)/.runtime $(PAGE) ## run the daemon in development mode (ARGS="--port 0" to pass flags)
	@exec $(BIN)/chatd serve --dev --data ./data-dev $(ARGS)

# One test process more than there are processors, as a third of the tests' time is spent waiting.
WORKERS = $$(($$(getconf _NPROCESSORS_ONLN) + 1))
# The tests start hundreds of processes; without bytecode on disk each of them compiles all that it imports.
test soak: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev $(PAGE) ## all tests but test-peers, test-shapes, test-web, soak; protocol and storage are covered to 95 % (some: ARGS="-k name")
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -m "not slow and not shapes" --ignore=tests/peers -n $(WORKERS) --maxprocesses 4 --dist worksteal $(ARGS)
	@$(BIN)/coverage combine -q
	@$(if $(ARGS),,$(BIN)/coverage report --fail-under=95 $(UNTESTED))
	@$(if $(ARGS),,$(MAKE) -s test-page)

test-shapes: $(VENV)/.dev ## the store's contract, walks and an app that writes, on tables in each shape that is served; more seeds
	@$(BIN)/python -m pytest -m shapes -n $(WORKERS) --maxprocesses 4 --dist worksteal tests/storage $(ARGS)

test-peers: $(VENV)/.dev ## against others' own programs: npm's clients, Prisma, Schemathesis; the example app in two browsers
	@$(BIN)/python -m pytest -n 0 -o faulthandler_timeout=0 tests/peers $(ARGS)

# Unit tests of client and page, and one journey of two people in a real browser, where there is one.
test-page: $(VENV)/.dev $(PAGE)
	@$(BIN)/python packaging/web.py run test
	@if command -v $(CHROMIUM) >/dev/null; then CHROMIUM=$(CHROMIUM) $(BIN)/python packaging/web.py run journey; \
	else test "$$CHATD_TEST_STRICT" != 1 && echo "skipped: the journey of two people, there is no $(CHROMIUM) (apt install chromium)"; fi

test-web: $(VENV)/.dev $(PAGE) ## every behaviour of the page in headless Chromium, its size, lint and types of web/
	@for script in lint types size packages api; do $(BIN)/python packaging/web.py run $$script || exit 1; done
	@CHROMIUM=$(CHROMIUM) $(BIN)/python packaging/web.py run e2e

measure-web: $(VENV)/.dev $(PAGE) ## how fast the page feels, in headless Chromium, beside its goals
	@CHROMIUM=$(CHROMIUM) $(BIN)/python packaging/web.py run measure

example: $(VENV)/.made ## packs @chatd/client and @chatd/react for examples/nextjs
	@mkdir -p examples/nextjs/vendor
	@$(BIN)/python packaging/web.py run packages $(CURDIR)/examples/nextjs/vendor

screenshots: $(VENV)/.dev $(PAGE) ## web/screenshots: every state of the page, light, dark and on a phone
	@CHROMIUM=$(CHROMIUM) $(BIN)/python packaging/web.py run screenshots

# ASYNC124 asks for a plain function where nothing is awaited; endpoints and doubles have to be async all the same.
# ASYNC114 wants a list of every function that can be started; ASYNC9xx, a checkpoint in each, are off by default too.
# It takes a second a file: files without anything async are left out, and each processor has some.
lint: $(VENV)/.dev ## ruff, and flake8-async for what Trio code gets wrong
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@grep -rlwE 'async|trio|anyio|asyncio' --include='*.py' $(CODE) | \
	    xargs -n 20 -P $$(getconf _NPROCESSORS_ONLN) $(BIN)/flake8-async --disable ASYNC114,ASYNC124,ASYNC9

format: $(VENV)/.dev ## bring the code into the form that lint asks for
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy $(CODE)

check: lint types test ## all that must pass before a change is proposed

bench: $(VENV)/.dev ## measure the daemon against a relay that stores nothing
	@$(BIN)/python -m bench $(ARGS)

bench-mysql: $(VENV)/.dev ## the same on MariaDB, against a Socket.IO server that keeps its messages there
	@$(BIN)/python -m bench.mysql $(ARGS)

instructions: $(VENV)/.dev ## count the instructions that a message takes (needs valgrind)
	@$(BIN)/python -m bench.instructions $(ARGS)

profile: $(VENV)/.dev ## flame.svg: where the daemon's time goes under load
	@$(BIN)/python -m bench.profile $(ARGS)

bench-files: $(VENV)/.dev ## what 1 GB of uploads costs those who chat meanwhile
	@$(BIN)/python -m bench.files

attack: $(VENV)/.dev ## flood a daemon, and see what a normal client notices (ARGS="--only pings")
	@$(BIN)/python -m bench.attack $(ARGS)

binary: $(VENV)/.binary $(PAGE) ## dist/chatd: one file that runs without Python
	@PYI_LOG_LEVEL=ERROR $(BIN)/python -m PyInstaller --noconfirm --log-level ERROR --workpath build --distpath dist packaging/chatd.spec
	@echo "dist/chatd $$(dist/chatd --version | grep -o '[0-9].*'), $$(du -h dist/chatd | cut -f 1)"

# One answer for all systems and Python versions. Only what has to change does: ARGS=--upgrade changes the rest, too.
lock: $(VENV)/.uv ## write requirements-*.lock from pyproject.toml
	@for extra in dev binary; do \
	  UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-emit-package pip --extra $$extra --output-file requirements-$$extra.lock $(ARGS) pyproject.toml || exit; \
	done

soak: $(VENV)/.dev ## the long tests
	@$(BIN)/python -m pytest -m slow -o faulthandler_timeout=0 $(ARGS)

clean: ## remove the environment, caches and reports; data folders stay
	@rm -rf $(VENV) build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find $(CODE) -name __pycache__ -prune -exec rm -rf {} +

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# The stamps are the last thing each step writes, so one that was interrupted starts over.
$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "chatd needs Python 3.11 or newer, and there is no $(PYTHON) here" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "chatd needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1); try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing; install it with: sudo apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: pyproject.toml | $(VENV)/.made
	@$(PIP) -e .
	@touch $@

# Locked: what was tested is what is installed, by its hash. What the daemon needs at least is in pyproject.toml.
$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/.made
	@$(PIP) -r requirements-dev.lock
	@$(PIP) --no-deps -e .
	@touch $(VENV)/.runtime $@

$(VENV)/.binary: requirements-binary.lock pyproject.toml | $(VENV)/.made
	@$(PIP) -r requirements-binary.lock
	@$(PIP) --no-deps -e .
	@touch $(VENV)/.runtime $@

$(VENV)/.uv: | $(VENV)/.made
	@$(PIP) 'uv>=0.9'
	@touch $@
