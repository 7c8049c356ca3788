# genba: what a newcomer runs. Each target fetches and builds what it needs.

SECONDS ?= 20
MINUTES ?= 30
ROUNDS ?= 18
CARGO_FLAGS = --release --locked
# Always the whole workspace: a selection of packages would compile zenoh once more with other features.
BUILD = cargo build $(CARGO_FLAGS) --workspace --bins
TEST_PACKAGES = adapters/image/tests/requirements.txt adapters/message/tests/requirements.txt \
	adapters/onnx-model/tests/requirements.txt hil-tests/tests/python/requirements.txt \
	hil-tests/tests/python/ocr-requirements.txt
# An interpreter that Triton and dora have wheels for, and where they go.
PEERS_PYTHON ?= python3
PEERS ?= native/peers

.PHONY: demo test build native native-gpu gpu-proof lint bench bench-peers bench-robots bench-hand-offs soak simulate prove-egress tools

## The main job: a UR5e follows a part on a conveyor, its torques answered over zenoh.
demo: build
	target/release/genba-rig demo --seconds $(SECONDS)

## Everything that .ci/run runs. Its last line counts the tests.
test: tools
	python3 .ci/test.py $(TEST_PACKAGES)

## target/release/genba, which finds its library by itself when it is run from the tree.
build: native
	$(BUILD)

## The libraries of ONNX Runtime and MuJoCo, out of their PyPI wheels, into native/lib.
native: tools
	@python3 runtime/native.py

## ONNX Runtime with CUDA and TensorRT into native/gpu, for x86-64: name it as [onnx] library. Nvidia's own libraries are
## not fetched: `genba doctor` says which are missing and what to install.
native-gpu: tools
	@python3 runtime/native.py --gpu

## Formatting and lints; warnings fail.
lint: native
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- --deny warnings

## The round trip beside its parts and a naive server, about four minutes. Writes bench.json.
bench: build
	target/release/genba-bench

## genba beside Triton, dora, Python and naive servers, about 25 minutes. Writes peers.json and peers.svg. Where the user
## may, the kernel's real-time throttling is lifted meanwhile, for all of them, and restored.
bench-peers: build
	$(PEERS_PYTHON) hil-tests/bench/peers/fetch.py $(PEERS)
	target/release/genba-bench peers --unthrottled --python $(PEERS)/bin/python3

## One policy and one worker for 1 to 128 robots, about 7 minutes. Writes robots.json and robots.svg; as above.
bench-robots: build
	target/release/genba-bench robots --unthrottled

## What hand-offs to a Triton cost a controller at 500 Hz, about 2 minutes. ROUNDS says how many pairs of blocks.
bench-hand-offs: native
	python3 hil-tests/tests/python/cluster/install.py
	cargo build $(CARGO_FLAGS) --workspace --all-targets
	ROUNDS=$(ROUNDS) cargo test $(CARGO_FLAGS) --workspace --test cluster -- --exact --nocapture \
		control::hand_offs_beside_control_miss_no_deadline_and_agree_with_every_list

## For whoever has an Nvidia GPU: the tests that need one, each shipped model on each provider beside trtexec, and whether
## all answer alike. Writes gpu-proof.html and gpu-proof.json; exits with 3 where there is no GPU. On a Jetson give
## GPU_LIBRARY=/path/to/libonnxruntime.so, the board's own build.
gpu-proof: build
	test -n "$(GPU_LIBRARY)" || python3 runtime/native.py --gpu
	target/release/genba-bench gpu $(if $(GPU_LIBRARY),--library $(GPU_LIBRARY))

## 10^8 simulated observations at 90 % load, and 10^8 more in factories where everything goes wrong: half an hour.
simulate: tools
	OBSERVATIONS=100000000 cargo test $(CARGO_FLAGS) --package simulator --test load -- --nocapture
	SEEDS=10000 cargo test $(CARGO_FLAGS) --package simulator --test seeds -- --nocapture

## A box under a flood for MINUTES: its memory must not grow by 1 % an hour. Writes soak.json and soak.svg.
soak: build
	target/release/genba-rig soak --minutes $(MINUTES) --json soak.json --plot soak.svg

## What leaves a box is what its journal says: every frame of a network namespace beside the audit chain, about two
## minutes, and things planted that must be found. Needs root, ip, nsenter and openssl. Writes egress.json; exits with 3 where
## nobody may make a namespace.
prove-egress: build
	python3 hil-tests/tests/python/egress/prove.py --genba target/release/genba --json egress.json

tools:
	@command -v cargo >/dev/null || { echo "genba needs Rust 1.95 or newer: install it from https://rustup.rs"; exit 1; }
	@command -v python3 >/dev/null || { echo "genba needs Python 3 with pip: install your system's python3 and python3-pip"; exit 1; }
	@command -v cc >/dev/null || { echo "genba needs a C compiler: install your system's gcc or build-essential"; exit 1; }
