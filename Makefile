# make demo    see the whole pipeline work on this machine
# make test    run all tests
#
# Both install what they lack. The rest: make setup | build | embedding | bench | fuzz | format | lint | install | packages |
# test-packages | clean

SWIFT   ?= swift
PREFIX  ?= /usr/local
# Nothing loads the program as a library: without exported symbols a role takes less memory.
# Overlapping accesses to memory are looked for in the tests' build; here the search takes a fifteenth of a message's instructions.
RELEASE  = -c release --static-swift-stdlib -Xlinker --no-export-dynamic -Xswiftc -enforce-exclusivity=unchecked
LCP      = .build/release/lcp
# What lcp --version tells; a plus sign stands for changes that are not committed.
COMMIT   = $(shell git describe --always --dirty=+ --abbrev=12 --exclude='*' 2>/dev/null)
SECONDS  = 600

.PHONY: demo test embedding setup build bench fuzz format lint install packages test-packages clean

demo: build
	@$(LCP) demo

build: setup
	@echo "building lcp; the first time takes a few minutes"
	@LCP_COMMIT=$(COMMIT) $(SWIFT) build $(RELEASE) --product lcp

setup:
	@Scripts/setup.sh

# A program of the tests that crashes says where; it is printed where a test fails for that.
test: CRASHES = $(CURDIR)/.build/crashes
test: SHOW = || { head -n 60 $(CRASHES)/*.log 2>/dev/null; exit 1; }
test: export SWIFT_BACKTRACE = enable=yes,color=no,threads=all,output-to=$(CRASHES)
test:
	@Scripts/setup.sh tests
	@rm -rf $(CRASHES) && mkdir -p $(CRASHES)
	@$(MAKE) --no-print-directory lint
	$(SWIFT) build --build-tests
	@# What computes, what waits for other processes, and what counts frames under faults, one after the other: none keeps
	@# another from its threads.
	$(SWIFT) test --skip-build --skip IntegrationTests $(SHOW)
	@# Without a limit all of these would begin at once, each with a broker and several processes, and wait for each other.
	SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=6 $(SWIFT) test --skip-build --filter IntegrationTests --skip TrialTests $(SHOW)
	LCP_BROKERS="$(CURDIR)/.build/brokers" $(SWIFT) test --skip-build --filter TrialTests $(SHOW)

lint:
	@$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Fuzzing/Package.swift Fuzzing/Sources
	@Scripts/check-imports.sh
	@# One idea per file; generated ones are as long as they are.
	@find Sources Tests -name '*.swift' ! -name '*.pb.swift' -exec wc -l {} + | \
	    awk '$$2 != "total" && $$1 > 400 { print $$2 " has " $$1 " lines, more than 400: split it"; long = 1 } END { exit long }'

format:
	@$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Fuzzing/Package.swift Fuzzing/Sources

# A program of its own with a worker in it: a minute the first time.
embedding: setup
	@SWIFT=$(SWIFT) Scripts/check-embedding.sh

bench: build
	@Benchmarks/run.sh

# Ten minutes over all parsers; one parser for a minute: make fuzz SECONDS=60 PARSERS=png
fuzz: setup
	@Fuzzing/run.sh $(SECONDS) $(PARSERS)

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/lcp
	install -m 755 $(LCP) $(DESTDIR)$(PREFIX)/bin/lcp
	cp -R Models Brokers Configs $(DESTDIR)$(PREFIX)/share/lcp/

# Debian packages of what is committed, into .build/packages: half an hour the first time. Only root can make them.
packages:
	@Packaging/build.sh $(TARGETS)

# They are installed in clean systems, and used there.
test-packages:
	@Packaging/test.sh

clean:
	rm -rf .build Benchmarks/.build Fuzzing/.build
