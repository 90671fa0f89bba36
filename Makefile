# Everything runs in .venv, which the first call makes and later calls reuse.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := $(filter-out tests benchmarks build,$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))

# Modules are compiled once for all processes of the tests, whatever the shell is set to.
unexport PYTHONDONTWRITEBYTECODE
# Processes that share the tests, a file at a time.
JOBS ?= 2

.PHONY: demo test lint types kernels links blender genesis mitsuba nerfstudio report bench format docs fuzz kills soak distributed torchrun

# A small scene: simulated, trained on and shown in about three minutes; nothing is downloaded.
demo: runs/demo/index.html
	@echo "See runs/demo/index.html; make it again after: rm -r runs/demo"

runs/demo/index.html: | .venv/ready
	rm -rf runs/demo
	$(BIN)/clay4d demo --out runs/demo

# Kernels are compiled beside the check of types, each on a core; then the tests.
test: .venv/ready lint
	$(MAKE) -j2 types kernels
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# mypy and mkdocstrings want one folder that holds the whole package, so they are given links to the real ones.
links:
	rm -rf build/types
	mkdir -p build/types/clay4d
	ln -s $(addprefix $(CURDIR)/,$(wildcard src/clay4d/*.py) src/clay4d/py.typed $(PACKAGES)) build/types/clay4d

kernels: .venv/ready
	$(BIN)/python -c "from clay4d.training.warm import ensure_kernels as a; from clay4d.world_model.training.warm import ensure_world_kernels as b; a(); b()"

types: .venv/ready links
	MYPYPATH=build/types $(BIN)/mypy

# The pages of docs/ as a site in build/docs, for a browser without a network; help texts are the commands' own.
docs: .venv/ready links
	$(BIN)/pip install -q -e ".[docs]" -c constraints.txt
	mkdir -p build/help
	for command in $$(sed -n 's/^--8<-- "\(.*\)\.txt"$$/\1/p' docs/commands.md); do \
	  COLUMNS=84 $(BIN)/clay4d $$(echo $$command | tr . ' ') --help > build/help/$$command.txt || exit 1; \
	done
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q
	@echo "See build/docs/index.html"

# Genesis for clay4d simulate --engine genesis, in an environment of its own, since its packages pin others. 4.0 GB.
# torch first and pinned, as below.
genesis: .venv/genesis/ready
.venv/genesis/ready: | .venv/ready
	$(PYTHON) -m venv .venv/genesis
	.venv/genesis/bin/pip install -q torch -c constraints.txt
	.venv/genesis/bin/pip install -q genesis-world==1.4.5
	touch $@

# Blender's Cycles for clay4d simulate --renderer blender, in an environment of its own: it pins another NumPy. 0.9 GB.
blender: .venv/blender/ready
.venv/blender/ready: | .venv/ready
	$(PYTHON) -m venv .venv/blender
	.venv/blender/bin/pip install -q bpy==5.0.1
	touch $@

# Mitsuba 3 for clay4d simulate --renderer mitsuba. 0.2 GB.
mitsuba: .venv/ready
	$(BIN)/pip install -q -e ".[mitsuba]" -c constraints.txt

# README's table and picture of the benchmark, from the results that are kept in docs/results.
report: .venv/ready
	$(BIN)/python benchmarks/report.py

# Speed and memory, on scenes that a seed makes: the rasteriser, the loss and Adam, each against a rival timed in turn
# with it; radiance fields; files of Gaussians; exports of many moments; the viewer's server; the HTML player.
bench: .venv/ready
	for script in rasterizer field splat_files streaming viewer player; do $(BIN)/python benchmarks/$$script.py || exit 1; done

# 10,000 damaged inputs of every format; goes on where it stopped. FORMATS="ply spz-3" chooses some.
fuzz: .venv/ready
	$(BIN)/python tests/hardening/fuzz.py $(FORMATS) --cases $(or $(CASES),10000)

# 50 random kill -9 of the long commands, each run again after; the same bits must come of it.
kills: .venv/ready
	$(BIN)/python tests/hardening/kills.py --kills $(or $(KILLS),50)

# The viewer with 20 clients for 5 minutes, and training for MINUTES (60): nothing may grow.
soak: .venv/ready
	$(BIN)/python tests/hardening/soak.py --minutes $(or $(MINUTES),60)

# Installs Ray and runs the tests that need it, on a cluster of two nodes and with real kills.
distributed: .venv/ready
	$(BIN)/pip install -q -e ".[distributed]" -c constraints.txt
	$(BIN)/python -m pytest -q tests/test_distributed.py

# Training in several processes under torchrun: the same bits as in one, also after a kill.
torchrun: .venv/ready
	$(BIN)/python -m pytest -q tests/training/test_shards.py tests/world_model/test_processes.py

# Khronos' validator of glTF is for the tests alone, which skip where npm or its package is missing.
# torch first and alone: the pinned version is the CPU build, an unpinned one brings CUDA.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q torch -c constraints.txt
	$(BIN)/pip install -q -e ".[dev,sfm,bullet,mcp,export]" -c constraints.txt
	-test -n "$$(command -v npm)" && npm install --silent --prefix .venv/gltf gltf-validator@2.0.0-dev.3.10
	touch $@

# nerfstudio in an environment of its own, for `clay4d ns-train`: 3.8 GB, about 10 minutes. clay4d comes
# without its dependencies, since nerfstudio pins an older viser; of gsplat both work with 1.5.3.
nerfstudio: .venv/nerfstudio/ready

.venv/nerfstudio/ready: constraints-nerfstudio.txt
	$(PYTHON) -m venv .venv/nerfstudio
	.venv/nerfstudio/bin/pip install -q torch -c constraints-nerfstudio.txt
	.venv/nerfstudio/bin/pip install -q nerfstudio torchvision numba av pydantic safetensors scipy mujoco cma zstandard pytest -c constraints-nerfstudio.txt
	.venv/nerfstudio/bin/pip install -q --no-deps gsplat==1.5.3 -e .
	touch $@
