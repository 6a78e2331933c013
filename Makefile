# otad: `make run` runs it, `make test` tests it; both install what is missing first (DEPS=: leaves that out).
#   make            build/otad, build/otad-sim, build/otad_broker.so
#   make demo       a fleet of simulated devices through one campaign; PROTOCOL=aliyun|onenet|aws TRANSFER=mqtt
#   make unit | system                  one half of the tests, nothing installed
#   make test-sdk   vendors' own device SDKs, which npm fetches, as clients of otad
#   make reproducible   builds twice, elsewhere and otherwise, and compares every byte
#   make soak HOURS=24       everything at once for so long: how memory and descriptors grow; fractions are fine
#   make overload SECONDS=600           twice of what it can do
#   make kill       otad killed under load, ROUNDS=300 times; make torture: each of its system calls fails, or is its last
#   make nightly    both at length, all tests under each sanitizer, fuzzing, an hour's soak: takes a night
#   make away       a fleet of DEVICES whose broker is away for SECONDS
#   make fuzz       parsers against bytes that libFuzzer thinks up, FUZZ_SECONDS=60 each; FUZZERS='head url' for some
#   make coverage   lines and branches that the tests reach, for each room; fails below the goals
#   make lint | bench | install | clean | compile_commands.json
#   SAN=1           address and undefined-behaviour sanitizers     TSAN=1  thread sanitizer
#   V=1             shows the commands     CC=clang  either compiler
#   ARGS='-o https_port=9443'           goes to otad in `make run`

VERSION := 0.1.0
PREFIX ?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
BUILD := build
CC ?= cc
OPT ?= -O2
DEPS ?= sh conf/deps.sh
# pytest, paho and yaml are the distribution's, and so is the interpreter that sees them
PYTHON ?= /usr/bin/python3

ifdef SAN
BUILD := build/san
INSTRUMENT := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT := -O1
endif
ifdef TSAN
BUILD := build/tsan
INSTRUMENT := -fsanitize=thread -fno-omit-frame-pointer
OPT := -O1
endif

# `make coverage` calls itself with it: unoptimized, so that each line and branch is one of the source
ifdef COVERAGE
BUILD := build/coverage
INSTRUMENT := --coverage -fprofile-update=atomic -fprofile-abs-path
OPT := -O0
endif

# `make fuzz` calls itself with it
ifdef FUZZ
BUILD := build/fuzz
INSTRUMENT := -fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT := -O1
endif

# JOBS=1 for one at a time: make does not show a Makefile the -j it was given
JOBS ?= $(shell nproc)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif
# names of devices and texts of errors are UTF-8, whatever the caller's terminal speaks
export LC_ALL := C.UTF-8

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Werror
# instrumented code hides from gcc what it can prove in the plain build
WARN += $(if $(INSTRUMENT),$(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized -Wno-format-truncation))
HARDEN := $(if $(INSTRUMENT),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fstack-clash-protection
CPPFLAGS := -D_GNU_SOURCE -DOTAD_VERSION='"$(VERSION)"' -DOTAD_LIBDIR='"$(PREFIX)/lib/otad"' -Iinclude -I$(BUILD)/gen
# the same sources give the same bytes, wherever they stand: `make reproducible`
SAME := -ffile-prefix-map=$(CURDIR)=.
BASE_CFLAGS := -std=gnu17 $(OPT) -g $(SAME) $(WARN) $(HARDEN)
CFLAGS := $(BASE_CFLAGS) -fPIE $(INSTRUMENT)
# the broker that loads the plugin has no sanitizer in it, so the plugin never has; counting lines needs none
PLUGIN_CFLAGS := $(BASE_CFLAGS) -fPIC -fvisibility=hidden $(if $(COVERAGE),$(INSTRUMENT))
HARDEN_LDFLAGS := -Wl,-z,relro,-z,now,-z,noexecstack
LDFLAGS := -pie $(HARDEN_LDFLAGS) $(INSTRUMENT)
LIBS := -lmicrohttpd -lgnutls -lssl -lcrypto -lmosquitto -ljansson -lcbor -lsqlite3 -linih -lpthread
# the distribution's is opaque to the fuzzer; one built from its source, as apt-get source brings it, is not
FUZZ_JANSSON := $(if $(and $(FUZZ),$(JANSSON)),$(BUILD)/jansson.a)

ROOMS := base model config store image backup rollout protocol http mqtt
LIB_SRC := $(foreach room,$(ROOMS),$(wildcard src/$(room)/*.c))
LIB_OBJ := $(LIB_SRC:src/%.c=$(BUILD)/obj/%.o)
PLUGIN_BASE := err str json clock digest crc16 seal file pki_client nets throttle
PLUGIN_OBJ := $(patsubst src/%.c,$(BUILD)/pic/%.o,$(wildcard src/broker_plugin/*.c src/protocol/*.c src/model/*.c) \
	$(PLUGIN_BASE:%=src/base/%.c))
MAIN_OBJ := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/main.c src/main/*.c))
SIM_OBJ := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/sim/*.c))
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
# the same tests once more, where each statement of each step fails before it does not
FAULTY := rollout job choose missed follow device_rest threshold
UNIT += $(FAULTY:%=$(BUILD)/unit/faulty_%)
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
GEN := $(BUILD)/gen/sql_table.h
HEADERS := $(wildcard include/*/*.h)

Q := $(if $(V),,@)
SAY = $(if $(V),,@echo '  $(@:$(BUILD)/%=%)')

.PHONY: all run demo test test-sdk unit system sdk fuzz bench soak overload reproducible install clean FORCE \
	deps-run deps-test deps-sdk deps-lint deps-fuzz deps-bench deps-coverage
.DELETE_ON_ERROR:
all: $(BUILD)/otad $(BUILD)/otad-sim $(BUILD)/otad_broker.so

# changes with the compiler and its flags, so that no object of another kind is ever linked
FLAGS := $(CC) $(CPPFLAGS) $(CFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@

$(BUILD)/gen/sql_table.h: sql/embed.awk $(sort $(wildcard sql/*.sql))
	@mkdir -p $(@D)
	$(Q)awk -f sql/embed.awk $(filter %.sql,$^) >$@.new && mv $@.new $@

$(BUILD)/obj/%.o: src/%.c $(BUILD)/flags | $(GEN)
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# the plugin lives in the broker's process: position independent, and only its entry points are visible
$(BUILD)/pic/%.o: src/%.c $(BUILD)/flags | $(GEN)
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) $(PLUGIN_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libotad.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/otad: $(MAIN_OBJ) $(BUILD)/libotad.a
	$(SAY)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/otad-sim: $(SIM_OBJ) $(BUILD)/libotad.a
	$(SAY)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcurl $(LIBS)

$(BUILD)/otad_broker.so: $(PLUGIN_OBJ)
	$(SAY)
	$(Q)$(CC) $(PLUGIN_CFLAGS) -shared $(HARDEN_LDFLAGS) -o $@ $^ -lsqlite3 -ljansson -lcbor -lcrypto

# preloaded into any build of otad and into the broker, so they are not instrumented
PRELOADS := $(BUILD)/testclock.so $(BUILD)/testfaults.so
$(PRELOADS): $(BUILD)/test%.so: tests/system/%.c $(BUILD)/flags
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) $(if $(INSTRUMENT),-DWITHOUT_MALLOC) -fPIC -shared -o $@ $<

# what the kill loop's devices say
$(BUILD)/reports: tests/system/reports.c $(BUILD)/flags
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< -lmosquitto

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libotad.a $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(filter %.o,$^) $(BUILD)/libotad.a $(LIBS) -lcmocka

# Each call of the library to SQLite's step goes by tests/unit/faults.h.
$(BUILD)/unit/faulty_%: tests/unit/test_%.c $(BUILD)/libotad.a $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) -DWITH_FAULTS -Itests/unit $(CFLAGS) -MMD -MP $(LDFLAGS) -Wl,--wrap=sqlite3_step -o $@ $< \
		$(BUILD)/libotad.a $(LIBS) -lcmocka

# the simulator is no part of the library
$(filter $(BUILD)/unit/test_sim_%,$(UNIT)): $(filter $(BUILD)/obj/sim/wire%,$(SIM_OBJ))

$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libotad.a $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(filter %.o,$^) $(BUILD)/libotad.a $(LIBS)

$(BUILD)/bench/mqtt_files: $(BUILD)/obj/sim/link.o $(filter $(BUILD)/obj/sim/wire%,$(SIM_OBJ))

# preloaded into otad
$(BUILD)/bench/%.so: tests/bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -fPIC -shared -o $@ $< -lsqlite3

# one harness, two mains: libFuzzer's, or ours that reads the corpus
FUZZ_CC = $(CC) $(CPPFLAGS) -Itests/fuzz $(CFLAGS) -MMD -MP $(LDFLAGS)
$(BUILD)/replay.o: tests/fuzz/replay.c $(BUILD)/flags
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/replay/%: tests/fuzz/fuzz_%.c $(BUILD)/replay.o $(BUILD)/libotad.a $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(FUZZ_CC) -o $@ $< $(BUILD)/replay.o $(BUILD)/libotad.a $(LIBS)

# each statement of each request of the corpus fails once
$(BUILD)/replay/faulty_api: tests/fuzz/fuzz_api.c $(BUILD)/replay.o $(BUILD)/libotad.a $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(FUZZ_CC) -DWITH_FAULTS -Itests/unit -Wl,--wrap=sqlite3_step -o $@ $< $(BUILD)/replay.o $(BUILD)/libotad.a $(LIBS)

$(BUILD)/fuzzer/%: tests/fuzz/fuzz_%.c $(BUILD)/libotad.a $(BUILD)/flags $(FUZZ_JANSSON)
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer -o $@ $< $(BUILD)/libotad.a $(FUZZ_JANSSON) $(LIBS)

# only as strict as its makers are; its own header is the distribution's, so the versions must be one
JANSSON_FLAGS = -g -O1 -w -fsanitize=fuzzer-no-link,address -fno-omit-frame-pointer -DHAVE_STDINT_H=1 -DHAVE_UNISTD_H=1 \
	-DHAVE_FCNTL_H=1 -DHAVE_SYS_TYPES_H=1 -DHAVE_SYS_TIME_H=1 -DHAVE_GETTIMEOFDAY=1 -DUSE_URANDOM=1 \
	-DINITIAL_HASHTABLE_ORDER=3 -I$(BUILD)/jansson -I$(JANSSON)/src
$(BUILD)/jansson.a: $(BUILD)/flags
	@rm -rf $@ $(BUILD)/jansson && mkdir -p $(BUILD)/jansson
	$(SAY)
	$(Q): >$(BUILD)/jansson/jansson_private_config.h
	$(Q)cmp -s $(JANSSON)/src/jansson.h /usr/include/jansson.h || echo 'fuzz: $(JANSSON) is not of the version that is installed'
	$(Q)for f in $(JANSSON)/src/*.c; do \
		$(CC) $(JANSSON_FLAGS) -c -o $(BUILD)/jansson/$$(basename $$f .c).o $$f || exit 1; \
	done
	$(Q)ar rcs $@ $(BUILD)/jansson/*.o

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- for people: each installs what it needs, then builds, then does its one thing

deps-run deps-test deps-sdk deps-lint deps-fuzz deps-bench deps-coverage: deps-%:
	@$(DEPS) $*

run: deps-run
	$(MAKE) all
	$(BUILD)/otad -d data $(ARGS)

demo: deps-run
	$(MAKE) all
	sh tests/demo.sh $(BUILD)

test: deps-test
	$(MAKE) all unit
	$(MAKE) system
	@echo 'test-sdk: SKIPPED here, run make test-sdk (needs npm)'

test-sdk: deps-sdk
	$(MAKE) sdk

fuzz: deps-fuzz
	$(MAKE) FUZZ=1 CC=clang run-fuzzers

BENCH := $(addprefix $(BUILD)/bench/,growth mqtt_files mqtt_flood rowcount.so tls_clients)
bench: deps-bench
	$(MAKE) all $(BENCH) $(BUILD)/bench/node/installed
	sh tests/bench/run.sh $(BUILD)

reproducible: deps-run
	sh tests/reproducible.sh

HOURS ?= 1
SECONDS ?= 600
PRESS = OTAD_BUILD=$(abspath $(BUILD)) PYTHONPATH=tests/system:tests/bench PYTHONDONTWRITEBYTECODE=1 PATH=$$PATH:/usr/sbin \
	$(PYTHON) tests/bench/$(1).py $(2) $(BUILD)/$(1).json

soak: deps-test
	$(MAKE) all
	$(call PRESS,soak,$(HOURS))

overload: deps-test
	$(MAKE) all
	$(call PRESS,overload,$(SECONDS))

lint: deps-lint
	$(MAKE) all
	$(MAKE) -k --output-sync=target lint-checks
	@echo 'lint: clean'

# A peer of the benchmark. Its packages run none of their install scripts.
$(BUILD)/bench/node/installed: $(addprefix tests/bench/node/,package.json package-lock.json .npmrc server.js)
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci
	@touch $@

# ---- tests

SANITIZERS := ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS=print_suppressions=0 \
	TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp:second_deadlock_stack=1
# a kernel that scatters addresses widely leaves the thread sanitizer no room for its shadow
NO_ASLR := $(if $(TSAN),$(shell setarch -R true 2>/dev/null && echo setarch -R))
UNIT_SECONDS := $(if $(INSTRUMENT),300,120)

unit: $(UNIT) $(FUZZERS:%=$(BUILD)/replay/%) $(BUILD)/replay/faulty_api
	@failed=; for t in $(UNIT); do \
		$(SANITIZERS) timeout $(UNIT_SECONDS) $(NO_ASLR) $$t || failed="$$failed $$(basename $$t)"; \
	done; \
	for f in $(FUZZERS); do \
		$(SANITIZERS) timeout $(UNIT_SECONDS) $(NO_ASLR) $(BUILD)/replay/$$f tests/fuzz/corpus/$$f/* \
			|| failed="$$failed fuzz_$$f"; \
	done; \
	$(SANITIZERS) timeout $(UNIT_SECONDS) $(NO_ASLR) $(BUILD)/replay/faulty_api tests/fuzz/corpus/api/* \
		|| failed="$$failed faulty_api"; \
	if [ -n "$$failed" ]; then echo "unit: failed:$$failed"; exit 1; fi; \
	echo "unit: $(words $(UNIT)) programs passed, $(words $(FUZZERS)) corpora replayed"

# some of them: TESTS='tests/system/test_tls.py tests/system/test_limits.py'
TESTS ?= tests/system
PYTEST = $(SANITIZERS) OTAD_BUILD=$(abspath $(BUILD)) PYTHONDONTWRITEBYTECODE=1 \
	$(NO_ASLR) $(PYTHON) -m pytest -q -p no:cacheprovider

HELPERS := $(PRELOADS) $(BUILD)/reports
system: all $(HELPERS)
	$(PYTEST) $(TESTS)

# Both are long; a sample of each runs with the tests. STRIDE leaves calls out, MALLOC_STRIDE those for memory: there are
# a hundred thousand of them until the first start is over.
ROUNDS ?= 300
STRIDE ?= 1
MALLOC_STRIDE ?= 25
RUN_LONG = $(SANITIZERS) OTAD_BUILD=$(abspath $(BUILD)) PYTHONDONTWRITEBYTECODE=1 $(NO_ASLR) $(PYTHON)
DEVICES ?= 10000
SECONDS ?= 600
.PHONY: kill torture away nightly
kill: deps-test
	$(MAKE) all $(HELPERS)
	$(RUN_LONG) tests/system/killloop.py --rounds $(ROUNDS)

torture: deps-test
	$(MAKE) all $(HELPERS)
	$(RUN_LONG) tests/system/torture.py --stride $(STRIDE) --malloc-stride $(MALLOC_STRIDE)

away: deps-test
	$(MAKE) all $(HELPERS)
	$(RUN_LONG) tests/system/away.py --devices $(DEVICES) --seconds $(SECONDS)

# what is too long for every change; each part ends by itself
nightly: deps-test
	$(MAKE) reproducible
	$(MAKE) kill ROUNDS=1000
	$(MAKE) torture MALLOC_STRIDE=5
	$(MAKE) SAN=1 test
	$(MAKE) TSAN=1 test
	$(MAKE) fuzz FUZZ_SECONDS=900
	$(MAKE) soak HOURS=1

# The SDKs stand where `make clean` finds them, and no check of our own sources does. They run none of their install scripts.
SDK := build/sdk
$(SDK)/installed: $(addprefix tests/sdk/,package.json package-lock.json .npmrc)
	@mkdir -p $(SDK)
	cp $^ $(SDK)
	cd $(SDK) && npm ci
	@touch $@

sdk: all $(SDK)/installed
	NODE_PATH=$(abspath $(SDK))/node_modules $(PYTEST) tests/sdk

# What libFuzzer makes is kept for the next time in build/fuzz/corpus. Bytes that break something are left beside it; they
# go into tests/fuzz/corpus together with the repair. JANSSON=folder of its source: our JSON parser is guided too.
FUZZ_SECONDS ?= 60
.PHONY: run-fuzzers fuzz-merge
run-fuzzers: $(FUZZERS:%=$(BUILD)/fuzzer/%)
	@failed=; : >$(BUILD)/summary.txt; for f in $(FUZZERS); do \
		mkdir -p $(BUILD)/corpus/$$f; \
		$(SANITIZERS) $(BUILD)/fuzzer/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/$$f- $(BUILD)/corpus/$$f tests/fuzz/corpus/$$f >$(BUILD)/$$f.log 2>&1 \
			|| { tail -n 60 $(BUILD)/$$f.log; failed="$$failed $$f"; }; \
		sh tests/fuzz/summary.sh $$f $(BUILD)/$$f.log | tee -a $(BUILD)/summary.txt; \
	done; \
	if [ -n "$$failed" ]; then echo "fuzz: failed:$$failed"; exit 1; fi

# Of all that was found, the inputs that reach something no other does, the small ones first. `make fuzz` first.
fuzz-merge: $(if $(FUZZ),$(FUZZERS:%=$(BUILD)/fuzzer/%),deps-fuzz)
ifdef FUZZ
	@for f in $(FUZZERS); do \
		rm -rf $(BUILD)/merged/$$f; mkdir -p $(BUILD)/merged/$$f; \
		$(SANITIZERS) $(BUILD)/fuzzer/$$f -merge=1 -max_len=$(FUZZ_MERGE_BYTES) $(BUILD)/merged/$$f \
			tests/fuzz/corpus/$$f $(BUILD)/corpus/$$f >$(BUILD)/$$f.merge.log 2>&1 || exit 1; \
		echo "merged: $$f: $$(ls $(BUILD)/merged/$$f | wc -l) files in $(BUILD)/merged/$$f"; \
	done
else
	$(MAKE) FUZZ=1 CC=clang fuzz-merge
endif
FUZZ_MERGE_BYTES ?= 4096

# ---- coverage: the tests of both halves count; a process that was killed tells nothing of what it did

.PHONY: coverage report-coverage
coverage: deps-test deps-coverage
	$(MAKE) COVERAGE=1 all
	find build/coverage -name '*.gcda' -delete
	$(MAKE) COVERAGE=1 unit
	$(MAKE) COVERAGE=1 system
	$(MAKE) report-coverage

# Not counted: lines that run when memory has run out, where malloc is the only one who could be asked to fail.
NO_MEMORY := abort\(\)|no memory|out of memory
report-coverage:
	gcovr --root . --object-directory build/coverage --filter 'src/' --exclude-unreachable-branches \
		--exclude-lines-by-pattern '.*($(NO_MEMORY)).*' --json-summary build/coverage/summary.json build/coverage
	$(PYTHON) tests/coverage.py build/coverage/summary.json

# ---- lint: `make -k lint-checks` shows all that is wrong at once

TIDY := $(patsubst src/%.c,$(BUILD)/tidy/%.ok,$(wildcard src/*.c src/*/*.c))
CHECKS := lint-format lint-cppcheck lint-layers lint-settings lint-plans lint-words lint-openapi lint-proofs
.PHONY: lint lint-checks lint-tidy $(CHECKS)
lint-checks: $(CHECKS) lint-tidy

lint-format:
	find src include tests -name '*.[ch]' | xargs clang-format --dry-run -Werror

# base/err.c defines what analysis.h renames for the analyzers
ANALYSIS := tests/lint/analysis.h
$(BUILD)/tidy/%.ok: src/%.c .clang-tidy $(ANALYSIS) $(HEADERS) | $(GEN)
	@mkdir -p $(@D)
	@clang-tidy --quiet --warnings-as-errors='*' $< -- -std=gnu17 $(CPPFLAGS) $(if $(filter-out base/err,$*),-include $(ANALYSIS)) \
		2>$@.log || { cat $@.log; exit 1; }
	@touch $@

lint-tidy: $(TIDY)

# uninitvar does not follow "rc == 0" from one statement to the next; clang's analyzer does
CPPCHECK := cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	--suppress=missingIncludeSystem --suppress=uninitvar $(filter -D% -I%,$(CPPFLAGS))
lint-cppcheck: $(GEN)
	$(CPPCHECK) --include=$(ANALYSIS) -i src/base/err.c src tests/unit tests/fuzz tests/system
	$(CPPCHECK) src/base/err.c

lint-layers: $(GEN)
	$(PYTHON) tests/lint/layers.py --cc '$(CC)' --include $(BUILD)/gen

lint-settings: $(BUILD)/otad
	$(PYTHON) tests/lint/settings.py $(BUILD)/otad

lint-plans:
	$(PYTHON) tests/lint/plans.py

lint-words:
	$(PYTHON) tests/lint/words.py

lint-openapi:
	$(PYTHON) tests/lint/openapi.py

lint-proofs:
	$(PYTHON) tests/lint/proofs.py

compile_commands.json: Makefile
	@$(PYTHON) -c 'import json, sys; here, flags, *files = sys.argv[1:]; json.dump([dict(directory=here, file=f, \
		command=f"{flags} -c {f}") for f in files], sys.stdout, indent=1)' \
		'$(CURDIR)' '$(subst ','\'',$(FLAGS))' $(wildcard src/*.c src/*/*.c) >$@

# ---- installing: DESTDIR for packagers; an otad.conf that is there stays as it is

DOC := $(DESTDIR)$(PREFIX)/share/doc/otad
ETC := $(DESTDIR)$(SYSCONFDIR)/otad
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system

install: all
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/otad $(BUILD)/otad-sim
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/otad $(BUILD)/otad_broker.so
	install -D -m 644 -t $(DOC) README.md LICENSE
	install -D -m 644 -t $(DOC)/docs $(wildcard docs/*.md docs/*.yaml)
	install -D -m 644 -t $(DOC)/docs/devices $(wildcard docs/devices/*.md)
	install -D -m 644 conf/otad.conf $(ETC)/otad.conf.example
	test -e $(ETC)/otad.conf || install -m 644 conf/otad.conf $(ETC)/otad.conf
	mkdir -p $(UNITDIR)
	sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' conf/otad.service >$(UNITDIR)/otad.service

clean:
	rm -rf build compile_commands.json
