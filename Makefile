# A thin front of Meson. `make demo` and `make check` work on a fresh machine.
BUILD ?= build
ASAN ?= build-asan
NINJA_FLAGS ?=
MESON_FLAGS ?= -Dwerror=true

.PHONY: all demo check check-asan bench fmt fuzz deps install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(NINJA_FLAGS)

$(BUILD)/build.ninja: | deps
	@meson setup $(MESON_FLAGS) $(BUILD)

deps:
	@tools/deps

# A three-node cluster, a guest, a power cut: what Quorate is for. KEEP=1 leaves the lab.
demo: deps all
	@tools/demo $(BUILD)

# Unit, golden, simulator and lab tests; ends with "N passed, N failed".
check: deps all
	@tools/check $(BUILD)

# The same code under the address and undefined-behaviour sanitizers: unit tests, simulators, one lab run.
check-asan: deps
	@test -f $(ASAN)/build.ninja || meson setup $(MESON_FLAGS) -Db_sanitize=address,undefined -Db_lundef=false $(ASAN)
	@ninja -C $(ASAN) $(NINJA_FLAGS)
	@tools/check --asan $(ASAN)

bench: deps all
	@for b in bench/*.sh; do echo "== $$b"; "$$b" $(BUILD) || exit 1; done

fuzz: deps all
	@tools/fuzz $(BUILD)

fmt:
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

install: all
	@meson install -C $(BUILD)

clean:
	@rm -rf $(BUILD) $(ASAN)
