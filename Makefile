# spavl: `make demo` runs a whole night on this laptop, `make test` tests everything that needs no GPU and no cluster.
.DEFAULT_GOAL := help
.PHONY: help install demo down test test-fast test-cluster images lint lock bench bench-gate bench-ppo bench-scale bench-training clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-from-lock

help:  ## print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED)  ## install everything into .venv, at the exact versions of constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) tools/install.py --venv $(VENV)
	@touch $@

demo: $(INSTALLED)  ## one whole night on this machine: Airflow, data, DPO, gate, release
	$(BIN)/python -m spavl.demo up

down: $(INSTALLED)  ## stop what `make demo` started, and only that
	$(BIN)/python -m spavl.demo down

test: $(INSTALLED)  ## everything that needs no GPU and no cluster
	$(BIN)/python -m pytest -m "not gpu and not cluster" -n 2 --dist loadgroup

test-fast: $(INSTALLED)  ## the tests that take seconds
	$(BIN)/python -m pytest -m "not gpu and not cluster and not slow" -n 2 --dist loadgroup

lint: $(INSTALLED)  ## style and imports
	$(BIN)/ruff check src tests dags tools
	$(BIN)/ruff format --check src tests dags tools

test-cluster: $(INSTALLED)  ## what needs Kubernetes, on what KUBECONFIG points to; SPAVL_TEST_IMAGE is the image of its pods
	$(BIN)/python -m pytest -m cluster -ra tests/cluster

images:  ## build the container images with podman, docker or buildah; ARGS="--engine podman --base … data airflow"
	$(PYTHON) tools/images.py $(ARGS)

bench: $(INSTALLED)  ## measure what the demo world's alignment really does, over 5 seeds (about 15 minutes)
	$(BIN)/python -m tests.benchmarks.demo_alignment

bench-gate: $(INSTALLED)  ## measure the gate: coverage and error rates by simulation, then the whole drill (an hour or more)
	$(BIN)/python -m tests.benchmarks.gate_statistics
	$(BIN)/python -m tests.benchmarks.gate_drill

bench-ppo: $(INSTALLED)  ## measure whether PPO raises the reward of the demo's policy, over 3 seeds (about 10 minutes)
	$(BIN)/python -m tests.benchmarks.demo_ppo

RESULTS := tests/benchmarks/results
bench-scale: $(INSTALLED)  ## measure a night at the paper's size outside its models, then a second one, the requests that S3 sees, and single steps at ten times the size (an hour)
	$(BIN)/python -m tests.benchmarks.scale_night --questions 93000 --models 12 --result $(RESULTS)/scale_night.json
	$(BIN)/python -m tests.benchmarks.scale_night --questions 93000 --models 12 --shards 64 --new-share 0 --result $(RESULTS)/scale_night_64_shards.json
	$(BIN)/python -m tests.benchmarks.scale_requests --result $(RESULTS)/scale_requests.json
	$(BIN)/python -m tests.benchmarks.scale_steps --times 1 10 --result $(RESULTS)/scale_steps.json

bench-training: $(INSTALLED)  ## measure training beside TRL's trainer, rollouts beside `generate` (about 45 minutes)
	$(BIN)/python -m tests.benchmarks.training_speed

lock: $(INSTALLED)  ## resolve pyproject.toml anew into constraints.txt
	$(BIN)/python tools/install.py --lock

clean: down  ## remove the demo's state and the environment
	rm -rf .spavl $(VENV)
