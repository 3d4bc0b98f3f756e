# The commands of this repository. `make help` lists them. MILENA_BOOTSTRAP is the cluster to use (host:port).
.DEFAULT_GOAL := help
CARGO ?= cargo
MILENA_BOOTSTRAP_OR_LOCAL = $(if $(MILENA_BOOTSTRAP),$(MILENA_BOOTSTRAP),localhost:9092)
EXAMPLE = $(CARGO) run -q -p milena-examples --bin
MILENA = MILENA_BOOTSTRAP=$(MILENA_BOOTSTRAP_OR_LOCAL) $(CARGO) run -q -p milena-cli --bin milena --
ON_CLUSTER = MILENA_BOOTSTRAP=$(MILENA_BOOTSTRAP_OR_LOCAL) $(EXAMPLE)
SHELL_FILES = scripts/kafka scripts/lib.sh scripts/python-env scripts/test-real-kafka scripts/foreign-clients scripts/prometheus-scrape scripts/console-tools scripts/kill-ledger scripts/cargo-deny scripts/golden/make benches/compare/run .ci/run

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  %-20s %s\n' "$$name" "$$what"; done

.PHONY: demo
demo: ## run the order system on the embedded broker or on MILENA_BOOTSTRAP; it ends by itself
	@$(EXAMPLE) order-system

.PHONY: test
test: ## run all tests: Rust, the behaviour suite on real Kafka, clients of other languages, Prometheus, and the comparison program
	$(CARGO) test --workspace
	scripts/test-real-kafka
	@$(MAKE) --no-print-directory test-foreign
	@$(MAKE) --no-print-directory test-prometheus
	@$(MAKE) --no-print-directory test-compare

.PHONY: test-foreign
test-foreign: ## test kcat, librdkafka and kafka-python against the embedded broker
	@code=0; scripts/foreign-clients || code=$$?; \
	if [ "$$code" = 3 ] && [ "$$MILENA_REQUIRE_KAFKA" != 1 ]; then echo '*** FOREIGN CLIENTS NOT RUN ***' >&2; else exit "$$code"; fi

.PHONY: test-prometheus
test-prometheus: ## test the alert rules, and compare Prometheus's figures of the order system with its table
	@code=0; scripts/prometheus-scrape || code=$$?; \
	if [ "$$code" = 3 ] && [ "$$MILENA_REQUIRE_KAFKA" != 1 ]; then echo '*** PROMETHEUS NOT RUN ***' >&2; else exit "$$code"; fi

.PHONY: test-compare
test-compare: ## test the comparison program, without the other clients
	$(CARGO) test -q --manifest-path benches/compare/Cargo.toml --target-dir target --no-default-features

.PHONY: verify
verify: ## run the long tests, optimised, on the embedded broker and on real Kafka with one and three brokers
	$(CARGO) test --release --workspace
	$(CARGO) test --release -p milena --test behaviour -- --ignored --nocapture volume:: kill::
	$(CARGO) test --release --manifest-path benches/compare/Cargo.toml
	@if command -v kcat >/dev/null; then $(CARGO) test --release -p milena-cli --test programs -- --ignored --nocapture speed::; else echo '*** NO KCAT: THE SPEED OF THE COMMAND WAS NOT COMPARED ***' >&2; fi
	MILENA_TEST_PROFILE=release MILENA_TEST_CHURN_SECONDS=120 scripts/test-real-kafka --include-ignored --nocapture
	MILENA_TEST_PROFILE=release MILENA_TEST_KAFKA_BROKERS=3 MILENA_TEST_KAFKA_VERSIONS=newest scripts/test-real-kafka --include-ignored --nocapture
	MILENA_TEST_PROFILE=release scripts/kill-ledger

.PHONY: check
check: lint ## run what must pass before a commit: lint, and the tests that need no other program
	$(CARGO) test --workspace

.PHONY: lint
lint: ## check formatting, clippy, arrows between crates, import loops, type names, comments, licences, sources, alert rules and scripts; says what it could not check
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path benches/compare/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --manifest-path benches/compare/Cargo.toml --target-dir target --no-default-features --all-targets -- -D warnings
	$(CARGO) test -q -p milena --test house
	@for file in docker-compose.yml deploy/compose/three-brokers.yml; do \
	grep -q "MILENA_TEST_KAFKA_VERSION:-$$(scripts/kafka version)}" $$file || { echo "lint: $$file and scripts/kafka name different versions of Kafka"; exit 1; }; done
	@code=0; scripts/cargo-deny --log-level warn check bans licenses sources || code=$$?; \
	if [ "$$code" = 3 ] && [ "$$MILENA_REQUIRE_TOOLS" != 1 ]; then echo '*** LICENCES AND SOURCES NOT CHECKED ***' >&2; else exit "$$code"; fi
	@if command -v promtool >/dev/null; then promtool check rules deploy/prometheus/milena.rules.yml && promtool check config deploy/prometheus/prometheus.yml && promtool test rules deploy/prometheus/milena.rules.test.yml; elif [ "$$MILENA_REQUIRE_TOOLS" = 1 ]; then echo 'lint: promtool is missing'; exit 1; else echo '*** NO PROMTOOL: THE ALERT RULES WERE NOT CHECKED ***' >&2; fi
	@if command -v shellcheck >/dev/null; then shellcheck -x $(SHELL_FILES); elif [ "$$MILENA_REQUIRE_TOOLS" = 1 ]; then echo 'lint: shellcheck is missing'; exit 1; else echo '*** NO SHELLCHECK: THE SCRIPTS WERE NOT CHECKED ***' >&2; fi

.PHONY: audit
audit: ## look for known vulnerabilities and withdrawn versions of dependencies; needs the network
	@scripts/cargo-deny --log-level warn check advisories

.PHONY: bench
bench: ## run the criterion benchmarks (see benches/README.md)
	$(CARGO) bench -p milena-benches

.PHONY: compare
compare: ## compare milena with other clients (builds them; needs a C compiler), and redraw the charts of benches/README.md
	benches/compare/run

.PHONY: build
build: ## build everything, optimised
	$(CARGO) build --release --workspace --features milena-broker/bin

.PHONY: docker-up
docker-up: ## start Kafka at localhost:9092 with Docker Compose
	docker compose up --detach --wait

.PHONY: docker-watch
docker-watch: ## start Prometheus at 127.0.0.1:9090 and Grafana at 127.0.0.1:3000, for programs that serve 127.0.0.1:9404/metrics
	docker compose --profile watch up --detach --wait prometheus grafana

.PHONY: docker-down
docker-down: ## stop all of these, and delete their data
	docker compose --profile watch down --volumes

.PHONY: run-order-setup
run-order-setup: ## create the order system's topics (MILENA_BOOTSTRAP, default localhost:9092)
	@$(ON_CLUSTER) order-setup

.PHONY: run-order-producer
run-order-producer: ## place orders
	@$(ON_CLUSTER) order-producer

.PHONY: run-order-consumer
run-order-consumer: ## handle orders until interrupted
	@$(ON_CLUSTER) order-consumer

.PHONY: run-producer
run-producer: ## run the smallest producer
	@$(ON_CLUSTER) producer

.PHONY: run-consumer
run-consumer: ## run the smallest consumer
	@$(ON_CLUSTER) consumer

.PHONY: topics-list
topics-list: ## list topics (MILENA_BOOTSTRAP, default localhost:9092)
	@$(MILENA) topics list -o table

.PHONY: topics-create
topics-create: ## create TOPIC with PARTITIONS (default 3)
	@test -n "$(TOPIC)" || { echo 'usage: make topics-create TOPIC=orders [PARTITIONS=3]' >&2; exit 2; }
	@$(MILENA) topics create "$(TOPIC)" --partitions "$(if $(PARTITIONS),$(PARTITIONS),3)" -o table

.PHONY: groups-describe
groups-describe: ## describe GROUP, or all groups
	@$(MILENA) groups describe $(GROUP) -o table

.PHONY: lag
lag: ## show how far GROUP, or every group, is behind
	@$(MILENA) lag $(GROUP) -o table

.PHONY: health
health: ## check the health of the cluster, or of the program at URL (http://127.0.0.1:9404/health)
	@$(MILENA) health $(if $(URL),--url $(URL)) -o table
