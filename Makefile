# mixq: the short commands; `make help` lists them. The build itself is CMake and Ninja (CMakeLists.txt, CMakePresets.json).
.DEFAULT_GOAL := build
PREFIX ?= /usr/local
.PHONY: build install docs deps deps-deep check check-deep demo bench-torch bench-scaling bench-ranks format clean help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the program, optimised: build/mixq
	cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release
	cmake --build build --target mixq

install: build ## program, library, headers, manual page into PREFIX (/usr/local); DESTDIR for packages
	cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build build --target mixq mixq_library mixq_manual
	cmake --install build

docs: build ## docs/commands/: a page per command, from the program's tables of options
	@tools/write_docs.sh build/mixq

deps: ## install what building, testing and the demo need (Debian packages; as root or through sudo)
	@tools/deps.sh

deps-deep: ## install what check-deep needs on top
	@tools/deps.sh deep

check: deps ## build with warnings as errors and run the tests (what CI runs)
	@tools/check.sh

check-deep: deps-deep ## sanitizers, the deploy side alone, valgrind, analysers, coverage: longer than CI should take
	@tools/check_deep.sh

demo: deps build ## search, train, export and simulate a small network on Fashion-MNIST, in 10 minutes or less
	@tools/demo.sh build/mixq

bench-torch: build ## training steps beside PyTorch's (tools/deps.sh torch), in turns: 15 minutes on a quiet machine
	@python3 bench/compare_torch.py

bench-scaling: build ## time per image over batch sizes and threads, of vgg_tiny: 12 minutes on a quiet machine
	cmake --build build --target bench_batches
	@build/bench/bench_batches

bench-ranks: ## time per epoch on 1, 2 and 4 ranks, what they send and wait for (preset mpi): 5 minutes on a quiet machine
	cmake --preset mpi && cmake --build --preset mpi --target mixq
	@python3 bench/ranks.py

format: ## clang-format all sources
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## remove build folders and the results of demo and bench-torch
	rm -rf build build-* demo-run bench-torch.json bench/__pycache__
