# otad: `make run` runs it, `make test` tests it; both install what is missing first.
#   make            build/otad, build/otad-sim, build/otad_broker.so
#   SAN=1           address and undefined-behaviour sanitizers     TSAN=1  thread sanitizer
#   CC=clang        either compiler

VERSION := 0.1.0
PREFIX ?= /usr/local
BUILD := build
CC ?= cc
OPT ?= -O2

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

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Werror
HARDEN := $(if $(INSTRUMENT),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
CPPFLAGS := -D_GNU_SOURCE -DOTAD_VERSION='"$(VERSION)"' -DOTAD_LIBDIR='"$(PREFIX)/lib/otad"' -Iinclude -I$(BUILD)/gen
CFLAGS := -std=gnu17 $(OPT) -g $(WARN) $(HARDEN) $(INSTRUMENT)
LDFLAGS := -pie -Wl,-z,relro,-z,now $(INSTRUMENT)
LIBS := -lmicrohttpd -lgnutls -lssl -lcrypto -lmosquitto -ljansson -lsqlite3 -linih -lpthread

ROOMS := base model config store image rollout protocol http mqtt
LIB_SRC := $(foreach room,$(ROOMS),$(wildcard src/$(room)/*.c))
LIB_OBJ := $(LIB_SRC:src/%.c=$(BUILD)/obj/%.o)
PLUGIN_OBJ := $(patsubst src/%.c,$(BUILD)/pic/%.o,$(wildcard src/broker_plugin/*.c) \
	src/base/err.c src/base/str.c src/base/log.c src/base/clock.c src/base/digest.c src/base/seal.c src/base/file.c)
SIM_OBJ := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/sim/*.c))
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
GEN := $(BUILD)/gen/sql_table.h

.PHONY: all run test demo unit system lint bench install clean deps
all: $(BUILD)/otad $(BUILD)/otad-sim $(BUILD)/otad_broker.so

$(BUILD)/gen/sql_table.h: sql/embed.awk $(sort $(wildcard sql/*.sql))
	@mkdir -p $(@D)
	awk -f sql/embed.awk $(filter %.sql,$^) >$@.new && mv $@.new $@

$(BUILD)/obj/%.o: src/%.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# the plugin lives in the broker's process: position independent, and only its entry points are visible
$(BUILD)/pic/%.o: src/%.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(filter-out -fPIE,$(CFLAGS)) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<

$(BUILD)/libotad.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/otad: $(BUILD)/obj/main.o $(BUILD)/libotad.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/otad-sim: $(SIM_OBJ) $(BUILD)/libotad.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcurl $(LIBS)

$(BUILD)/otad_broker.so: $(PLUGIN_OBJ)
	$(CC) $(filter-out -fPIE,$(CFLAGS)) -shared -Wl,-z,relro,-z,now $(INSTRUMENT) -o $@ $^ -lsqlite3 -ljansson -lcrypto

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libotad.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(LIBS) -lcmocka

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

clean:
	rm -rf build
