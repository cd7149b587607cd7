# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One Makefile, no configure step.  "make help" lists the targets.
#
# Set on the command line or in the environment:
#   CC CFLAGS CPPFLAGS LDFLAGS AR PKG_CONFIG INSTALL    the usual meaning
#   DESTDIR prefix bindir libdir includedir mandir datadir
#   V=1               show the commands
#   WERROR=1          warnings are errors (make check sets it)
#   SANITIZE=LIST     e.g. address,undefined; built in a directory of its own
#   COVERAGE=1        gcov build, likewise
#   SHARED_TOOLS=1    link the tools to libcow.so instead of libcow.a
#   CHECK_WRAPPER=CMD prefix for every unit test, e.g. valgrind

prefix     ?= /usr/local
bindir     ?= $(prefix)/bin
libdir     ?= $(prefix)/lib
includedir ?= $(prefix)/include
nbdkitdir  ?= $(libdir)/nbdkit/plugins
datadir    ?= $(prefix)/share
mandir     ?= $(datadir)/man
bashcompdir ?= $(datadir)/bash-completion/completions
zshcompdir  ?= $(datadir)/zsh/site-functions
fishcompdir ?= $(datadir)/fish/vendor_completions.d
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
BATS       ?= bats
# Under a sanitizer half of the time goes into compiling: line numbers are enough there,
# and what is said of formats, which the optimiser must know sizes for, is left to -O2.
CFLAGS     ?= $(if $(SANITIZE),-O1 -g1$(if $(filter clang%,$(CC)),, -Wno-format-truncation),-O2 -g)

# The one place where the version is written is the public header.
version_part = $(shell sed -n 's/^\#define COW_VERSION_$(1)[[:space:]]*//p' include/libcow.h)
VERSION := $(call version_part,MAJOR).$(call version_part,MINOR).$(call version_part,PATCH)
SOVERSION := 0

comma := ,
B ?= build$(if $(filter clang%,$(CC)),-clang)$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(COVERAGE),-coverage)

LIB_PKGS  := libxxhash
TOOL_PKGS := libarchive ext2fs com_err blkid json-c libseccomp
# These goals work before the packages are there.
bare_goals := deps check quickstart clean help dist deb
ifneq ($(if $(MAKECMDGOALS),$(filter-out $(bare_goals),$(MAKECMDGOALS)),all),)
lib_cflags  := $(shell $(PKG_CONFIG) --cflags $(LIB_PKGS))
lib_libs    := $(shell $(PKG_CONFIG) --libs $(LIB_PKGS) || echo MISSING)
tool_cflags := $(shell $(PKG_CONFIG) --cflags $(TOOL_PKGS))
tool_libs   := $(shell $(PKG_CONFIG) --libs $(TOOL_PKGS) || echo MISSING)
has_nbdkit  := $(shell $(PKG_CONFIG) --exists nbdkit && echo yes)
has_libnbd  := $(shell $(PKG_CONFIG) --exists libnbd && echo yes)
ifneq ($(filter MISSING,$(lib_libs) $(tool_libs)),)
$(error $(LIB_PKGS) $(TOOL_PKGS): not all found by $(PKG_CONFIG); "make deps" installs them)
endif
endif

warnings := -Wall -Wextra -Wshadow -Wvla -Wundef -Wwrite-strings -Wformat=2 \
	-Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough
# Ours first, the user's last: the user can always override.
cow_cppflags := -Iinclude -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(lib_cflags) \
	$(if $(SANITIZE)$(COVERAGE),-DCOW_NO_SANDBOX)
cow_cflags   := -std=gnu11 -fvisibility=hidden $(warnings) $(if $(WERROR),-Werror) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all) \
	$(if $(COVERAGE),--coverage -O0)
cow_ldflags  := $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(if $(COVERAGE),--coverage)
compile = $(CC) $(cow_cppflags) $(fortify) $(CPPFLAGS) $(hardened) $(CFLAGS) $(cow_cflags) -MMD -MP
link    = $(CC) $(hardened) $(CFLAGS) $(cow_ldflags) $(LDFLAGS)

# Hardening, where the compiler knows it; not with sanitizers and gcov, whose
# own checks it would hide. A user's flags come after it. Fortified functions
# need an optimising compiler, and complain if somebody else defines the level.
accepts  = $(shell $(CC) -Werror $(1) -x c -c -o /dev/null /dev/null 2>/dev/null && echo $(1))
ifeq ($(SANITIZE)$(COVERAGE),)
fortify  := $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),,$(if \
	$(filter-out -O0,$(filter -O%,$(CFLAGS))),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3))
hardened := -fPIE -fstack-protector-strong $(foreach f,-fstack-clash-protection -fcf-protection \
	-mbranch-protection=standard,$(call accepts,$(f)))
cow_ldflags += -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
pie      := -pie
endif

# Short lines by default, commands with V=1, silence with make -s.
ifeq ($(V)$(findstring s,$(firstword -$(MAKEFLAGS))),)
quiet = @printf '  %-7s %s\n' '$(1)' '$@';
endif

lib_src    := $(sort $(shell find libcow -name '*.c'))
lib_hdr    := $(sort $(shell find libcow -name '*.h'))
# A tool is a folder with a file of its name, which has main().
tool_names := $(notdir $(wildcard tools/snap*))
tool_src   := $(foreach t,$(tool_names),tools/$(t)/$(t).c)
# NBD exports as images: where libnbd's header is. The rest has weak references to it,
# so that it is not in the static tools, which cannot load a library.
remote_src := $(if $(has_libnbd),$(wildcard tools/remote/*.c))
cli_src    := $(filter-out $(tool_src) tools/nbdkit/% tools/remote/%,$(wildcard tools/*/*.c)) $(remote_src)
# The plugin for nbdkit is built where nbdkit's header is. What it has of the tools are
# exports of NBD servers, and for these a floor of libcow that the shared library hides.
plugin_src := $(wildcard tools/nbdkit/*.c)
plugin_remote := $(if $(has_libnbd),$(remote_src) tools/common/sandbox_filter.c tools/common/sandbox_landlock.c)
cli_hdr    := $(wildcard tools/*/*.h)
# The longest first, so that the last one does not run alone.
plugin_test := tests/unit/nbdkit/test_plugin_threads
unit_src   := $(if $(has_nbdkit),$(plugin_test).c) $(wildcard tests/unit/store/test_clone*.c tests/unit/volume/test_*.c) $(filter-out tests/unit/store/test_clone% tests/unit/volume/% $(plugin_test).c,$(wildcard tests/unit/*/test_*.c))
# Helpers shared by C tests (fault and recording images, store maker, ...).
aid_src    := $(wildcard tests/aids/*.c)
# Programs that tests start: one source each, linked with the aids.
prog_src   := $(wildcard tests/kernel/*.c tests/crash/*.c tests/bench/*.c tests/examples/*.c)
# The same, but linked with what the tools consist of.
inner_src  := tests/sandbox/probe.c
# Shared objects that tests put into a tool.
preload_src := tests/faults/shim.c tests/sandbox/spy.c tests/sandbox/swap.c
fuzz_src   := $(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c))

lib_obj    := $(lib_src:%.c=$(B)/%.o)
pic_obj    := $(lib_src:%.c=$(B)/%.pic.o)
cli_obj    := $(cli_src:%.c=$(B)/%.o)
aid_obj    := $(aid_src:%.c=$(B)/%.o)
tools      := $(addprefix $(B)/,$(tool_names))
units      := $(unit_src:%.c=$(B)/%)
progs      := $(prog_src:%.c=$(B)/%)
inners     := $(inner_src:%.c=$(B)/%)
preloads   := $(preload_src:%.c=$(B)/%.so)
crashers   := $(filter $(B)/tests/crash/%,$(progs))
replays    := $(fuzz_src:%.c=$(B)/%_replay)
fuzzers    := $(fuzz_src:%.c=$(B)/%_fuzzer)
static_lib := $(B)/libcow.a
shared_lib := $(B)/libcow.so.$(SOVERSION)
# What the tools share: an archive, so that each is linked to what it uses and
# needs no library besides.
cli_lib    := $(B)/tools/shared.a
statics    := $(B)/static/snapmerge $(B)/static/snapcheck
shared_file := libcow.so.$(VERSION)
plugin     := $(if $(has_nbdkit),$(B)/nbdkit-snapshot-plugin.so)
product    := $(lib_src) $(lib_hdr) $(tool_src) $(cli_src) $(cli_hdr) $(plugin_src)
c_files    := $(wildcard include/*.h) $(product) $(sort $(shell find tests -name '*.[ch]'))
scripts    := $(wildcard .ci/run tests/*.sh tests/*.bash tests/*/*.sh completions/*.bash)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: $(static_lib) $(shared_lib) $(tools) $(plugin)  ## libraries, tools, and the plugin for nbdkit
	@$(if $(plugin)$(findstring s,$(firstword -$(MAKEFLAGS))),:,echo 'without the plugin for nbdkit: nbdkit-plugin-dev is not installed')

static: $(statics)  ## snapmerge and snapcheck for an initramfs: no loader, no library

# Rebuild when the compiler, a flag or the list of sources changes.
$(B)/flags: FORCE
	@mkdir -p $(@D); now='$(compile) | $(link) | $(lib_libs) $(tool_libs) | $(lib_src) $(cli_src)'; \
	[ "$$now" = "$$(cat $@ 2>/dev/null)" ] || printf '%s\n' "$$now" >$@

$(B)/%.o: %.c $(B)/flags
	$(call quiet,CC)mkdir -p $(@D); $(compile) $(if $(filter tools/%,$<),$(tool_cflags)) -c -o $@ $<
$(B)/%.pic.o: %.c $(B)/flags
	$(call quiet,CC)mkdir -p $(@D); $(compile) -fPIC -c -o $@ $<
$(static_lib): $(lib_obj)
	$(call quiet,AR)rm -f $@; $(AR) rcs $@ $^
$(shared_lib): $(pic_obj) libcow/libcow.map
	$(call quiet,LD)$(link) -shared -Wl,-soname,$(@F) $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) \
		-Wl,--version-script=libcow/libcow.map -o $@ $(pic_obj) $(lib_libs) $(LDLIBS)
	@ln -sf $(@F) $(B)/libcow.so
# base/ too, which the shared library does not give out.
$(cli_lib): $(cli_obj) $(filter $(B)/libcow/base/%,$(lib_obj))
	$(call quiet,AR)rm -f $@; $(AR) rcs $@ $^
$(B)/snapcheck: snapcheck_more := $(B)/tools/snapcheck/check_pack.o
$(B)/snapcheck: $(B)/tools/snapcheck/check_pack.o
$(tools): remote_obj := $(remote_src:%.c=$(B)/%.o)
$(tools): $(remote_src:%.c=$(B)/%.o)
$(foreach t,$(tool_names),$(eval $(B)/$(t) $(B)/static/$(t): $(B)/tools/$(t)/$(t).o))
own_main = $(B)/tools/$(@F)/$(@F).o
$(tools): $(cli_lib) $(if $(SHARED_TOOLS),$(shared_lib),$(static_lib))
	$(call quiet,LD)$(link) $(pie) -Wl,--as-needed -o $@ $(own_main) $(snapcheck_more) $(remote_obj) $(cli_lib) \
		$(if $(SHARED_TOOLS),-L$(B) -lcow,$(static_lib)) $(lib_libs) $(tool_libs) $(LDLIBS)
$(statics): $(cli_lib) $(static_lib)
	$(call quiet,LD)mkdir -p $(@D); $(link) $(if $(pie),-static-pie,-static) -s -Wl,--gc-sections -o $@ $(own_main) $(cli_lib) $(static_lib) \
		$$($(PKG_CONFIG) --static --libs $(LIB_PKGS) blkid json-c libseccomp) $(LDLIBS)
plugin_more := $(plugin_remote:%.c=$(B)/%.pic.o) $(if $(SHARED_TOOLS),$(filter $(B)/libcow/base/%,$(pic_obj)))
$(plugin): $(plugin_src:%.c=$(B)/%.pic.o) $(plugin_more) tools/nbdkit/nbdkit_snapshot.map $(if $(SHARED_TOOLS),$(shared_lib),$(pic_obj))
	$(call quiet,LD)$(link) -shared $(if $(SANITIZE),,-Wl$(comma)--version-script=tools/nbdkit/nbdkit_snapshot.map) -o $@ \
		$(filter %.pic.o,$^) $(if $(SHARED_TOOLS),-L$(B) -lcow) $(lib_libs) \
		$(if $(plugin_remote),$$($(PKG_CONFIG) --libs libseccomp)) $(LDLIBS)
$(units) $(progs): $(B)/%: $(B)/%.o $(aid_obj) $(static_lib)
	$(call quiet,LD)$(link) -o $@ $(filter %.o,$^) $(static_lib) $(lib_libs) $(LDLIBS)
# The plugin is part of it, and calls it as its nbdkit.
$(B)/$(plugin_test): LDLIBS += $(if $(plugin_remote),$(shell $(PKG_CONFIG) --libs libseccomp))
$(B)/$(plugin_test): $(plugin_src:%.c=$(B)/%.o) $(plugin_remote:%.c=$(B)/%.o)
# For LD_PRELOAD: what goes wrong below a tool; when it calls a library.
$(preloads): $(B)/%.so: %.c $(B)/flags
	$(call quiet,LD)mkdir -p $(@D); $(CC) -D_GNU_SOURCE -O1 -g $(warnings) -Wno-missing-prototypes $(if $(WERROR),-Werror) -fPIC -shared -o $@ $<
$(inners): $(B)/%: $(B)/%.o $(cli_obj) $(static_lib)
	$(call quiet,LD)$(link) -o $@ $^ $(lib_libs) $(tool_libs) $(LDLIBS)
# Fuzz targets reach the readers of the tools, too.
$(replays): $(B)/%_replay: $(B)/%.o $(B)/tests/fuzz/replay.o $(cli_obj) $(aid_obj) $(static_lib)
	$(call quiet,LD)$(link) -o $@ $^ $(lib_libs) $(tool_libs) $(LDLIBS)
$(fuzzers): $(B)/%_fuzzer: $(B)/%.o $(cli_lib) $(aid_obj) $(static_lib)
	$(call quiet,LD)$(link) -fsanitize=fuzzer -o $@ $^ $(lib_libs) $(tool_libs) $(LDLIBS)

# The kernel-made images as they are, unpacked once for all tests and builds.
unpacked := build/unpacked/.done
$(unpacked): tests/aids/unpack.sh $(shell find tests/fixtures -name '*.xz' -o -name '*.zst' 2>/dev/null)
	$(call quiet,UNPACK)$< tests/fixtures $(@D) && touch $@

test_env = PATH='$(CURDIR)/$(B)':"$$PATH" LD_LIBRARY_PATH='$(CURDIR)/$(B)' \
	COW_BUILD='$(CURDIR)/$(B)' COW_SOURCE='$(CURDIR)' COW_FIXTURES='$(CURDIR)/tests/fixtures' COW_UNPACKED='$(CURDIR)/build/unpacked' \
	COW_CFLAGS='$(if $(SANITIZE),-fsanitize=$(SANITIZE))$(if $(COVERAGE),--coverage)' CHECK_WRAPPER='$(CHECK_WRAPPER)'

# ---- tests, smallest first; "check" is all of them
needs:  ## what the tests need of the machine or container, or what is missing
	@tests/needs.sh

deps:  ## install what build and tests need (Debian: apt-get)
	@tests/deps.sh

tests-bin: $(units) $(replays) $(progs) $(inners) $(preloads)

# Each program is a target, so that "make -j2" runs two of them at a time.
unit_runs := $(units:%=run-%)
check-unit: $(unit_runs)  ## C tests of the library
$(unit_runs): run-%: % | $(unpacked)
	@$(test_env) $(CHECK_WRAPPER) $<
check-threads:  ## the thread rule of libcow.h, under TSan
	@$(MAKE) --no-print-directory -s SANITIZE=thread units='$$(B)/tests/unit/base/test_threads $$(B)/tests/unit/snapshot/test_stack_threads $(if $(has_nbdkit),$$(B)/$(plugin_test))' check-unit
replay_runs := $(replays:%=run-%)
check-replay: $(replay_runs)  ## fuzz targets over their kept corpus
$(replay_runs): run-%: %
	@n=$(notdir $(<:_replay=)); [ ! -d tests/fuzz/corpus/$$n ] || $(test_env) $< tests/fuzz/corpus/$$n
check-bats: all tests-bin $(unpacked)  ## the tools, as a user calls them
	@$(test_env) $(BATS) --jobs 2 --recursive --setup-suite-file tests/setup_suite.bash $(BATSFLAGS) $(or $(BATSFILES),tests)
check-headers: $(B)/flags  ## every header compiles when it is the only include
	@for h in $(wildcard include/*.h) $(lib_hdr) $(cli_hdr); do \
		echo "#include \"$$h\"" | $(filter-out --coverage -MMD -MP,$(compile)) $(tool_cflags) -fsyntax-only -x c - || exit 1; done
	@echo '#include <libcow.h>' | $(CXX) -Iinclude -Wall -Wextra -Werror -pedantic -fsyntax-only -x c++ -
check-symbols: $(static_lib) $(shared_lib)  ## the library: cow_ names, public ones exported, no state
	@! nm -g --defined-only $(static_lib) | awk 'NF == 3 && $$3 !~ /^(cow_|__)/ { print; bad = 1 } END { exit !bad }'
	@nm -D --defined-only $(shared_lib) | sed 's/@.*//' | awk 'NF == 3 && $$2 != "A" { print $$3 }' | sort >$(B)/exported
	@sed -n 's/^COW_EXPORT .*[ *]\(cow_[a-z0-9_]*\)(.*/\1/p' include/libcow.h | sort >$(B)/declared
	@! comm -3 $(B)/declared $(B)/exported | grep .
	@! size -A $(lib_obj) | awk '/ :$$/ { file = $$1 } $$1 ~ /^\.t?(data|bss)$$/ && $$2 { print file ": variables"; bad = 1 } END { exit !bad }'
check-layers:  ## who may include whom, and what stands in one place only
	@tests/house/layers.py .
lint:  ## formatting, sizes of memory, shell scripts, manual pages, lines that tests/mutants/table.txt names
	@python3 -B tests/mutants/run.py --stale
	@tests/house/sizes.py $(product)
	@clang-format --dry-run -Werror $(c_files)
	@shellcheck $(scripts)
	$(if $(wildcard man/*.[0-9]),mandoc -T lint -W warning $(wildcard man/*.[0-9]))
# File by file, so that what has not changed is not looked at again: the object
# of the ordinary build knows the headers. -O0: what the optimiser makes of a
# variable that is not set, or of memory that is not used, gcc no longer sees.
analyzed := $(patsubst %.c,$(B)/analyze/%,$(lib_src) $(tool_src) $(cli_src) $(if $(has_nbdkit),$(plugin_src)))
analyze: $(analyzed:%=%.gcc) $(analyzed:%=%.tidy) $(B)/analyze/cppcheck  ## static analysis: gcc -fanalyzer, clang-tidy (DEPTH=20000), cppcheck
$(B)/analyze/%.gcc: %.c $(B)/%.o
	$(call quiet,GCC)mkdir -p $(@D); gcc $(cow_cppflags) $(CPPFLAGS) $(cow_cflags) \
		$(if $(filter tools/%,$<),$(tool_cflags)) -Werror -O0 -fanalyzer -c -o /dev/null $< && touch $@
$(B)/analyze/%.tidy: %.c $(B)/%.o tests/house/clang-tidy.yaml tests/house/clang_tidy.py
	$(call quiet,TIDY)mkdir -p $(@D); DEPTH='$(DEPTH)' tests/house/clang_tidy.py $< $(cow_cppflags) -std=gnu11 \
		$(if $(filter tools/%,$<),$(tool_cflags)) && touch $@
$(B)/analyze/cppcheck: $(lib_obj) $(cli_obj) $(tools) tests/house/cppcheck.txt
	$(call quiet,CPPCHK)cppcheck -q -j2 --enable=warning,performance,portability --std=c11 --library=posix -D_GNU_SOURCE -Iinclude -I. \
		--inline-suppr --suppressions-list=tests/house/cppcheck.txt --error-exitcode=1 libcow tools && touch $@
check-fast: check-headers check-symbols check-layers check-unit check-replay

# Where a file's tests are short, to run two of them at a time costs more in waiting than it gives.
by_file := --no-parallelize-within-files
quick: ## what every commit passes
	@$(MAKE) --no-print-directory -j2 WERROR=1 all tests-bin
	@$(MAKE) --no-print-directory -j2 WERROR=1 check-fast lint
	@$(MAKE) --no-print-directory WERROR=1 check-bats BATSFLAGS='--filter-tags !slow,!kernel,!long $(by_file)'

check: needs deps  ## everything; what .ci/run and the README call
	@tests/check.sh

kernel: all tests-bin  ## random cases, judged by a real kernel (N=128)
	@$(test_env) tests/kernel/run.py --count $(or $(N),128)
kernel-soak: all tests-bin  ## the same with N=5000
	@$(test_env) tests/kernel/run.py --count $(or $(N),5000)
kernel-next: all tests-bin  ## all kernel tests over Linux 6.12, which is built first (NEXT=DIRECTORY for it)
	@tests/kernel/next.sh '$(or $(NEXT),$(B)/kernel-next)'
	@COW_KERNEL="$$(realpath '$(or $(NEXT),$(B)/kernel-next)')/linux" $(MAKE) --no-print-directory check-bats \
		BATSFILES='$(wildcard tests/kernel/*.bats)'
relay-soak: all tests-bin  ## kernel and tools take turns on the same images, killed in between (N=400)
	@$(test_env) tests/kernel/relay.py --count $(or $(N),400)

looks-soak: all tests-bin  ## file systems that a kernel changes and images of it cut at random: 36 journals and 25 pairs of states in each round (N=8)
	@$(test_env) tests/kernel/looks.py $(B)/looks both --cuts 6 --rounds $(or $(N),8) --seed $(or $(COW_SEED),1)

faults: all tests-bin  ## each system call and allocation of the tools fails in turn (N=20000, 0: all)
	@$(test_env) tests/faults/run.py --count $(or $(N),20000)

fault-states: all tests-bin  ## what is on the disk after each of these, all jobs, all ways to fail
	@for job in create merge repair pool; do $(test_env) tests/faults/states.py $$job || exit 1; done

clone-faults: all $(unpacked)  ## random faults in a clone's metadata, judged by snapcheck and by a naive reader (N=5000)
	@$(test_env) tests/aids/clone_model.py --count $(or $(N),5000) --seed $(or $(COW_SEED),1)
thin-faults: all $(unpacked)  ## single faults in a pool's metadata, judged by snapcheck and by a naive reader (N=5000)
	@$(test_env) tests/aids/thin_faults.py --count $(or $(N),5000)
thin-soak: all tests-bin  ## kernel and tools take turns in the same pools (N=100)
	@$(test_env) tests/kernel/proofs.py --seed $(or $(COW_SEED),1) pools $(or $(N),100)
fio-soak: all  ## fio writes, reads and checks over the plugin with mode=rw (N=180 seconds)
	@dir=$$(mktemp -d) && $(test_env) tests/aids/fio_verify.sh "$$dir" $(or $(N),180) && rm -r "$$dir"
clone-relay-soak: all tests-bin  ## kernel and library hydrate the same clones in turns, killed in between, and load repaired ones (N=100)
	@$(test_env) tests/kernel/clone_relay.py --relays $(or $(N),100) --repairs 2 --seed $(or $(COW_SEED),1)

mutants: $(unpacked)  ## changes of one line in libcow, each of which a test must notice (N=2 COW_SEED=S: two of them; FILE=PART)
	@python3 -B tests/mutants/run.py $(if $(N),--count $(N)) $(if $(FILE),--file $(FILE)) --directory $(B)/mutants

# Images lie below the build directory: 12 GiB of space, and 3 GiB on /dev/shm.
bench_env = $(test_env) ROUNDS='$(ROUNDS)' ONLY='$(ONLY)' SMALL='$(SMALL)' OUT='$(or $(OUT),$(B)/bench.txt)'
bench: all tests-bin  ## speed beside what others do (ROUNDS=5 ONLY=merge SMALL=1 OUT=FILE)
	@$(bench_env) python3 -B tests/bench/bench.py
bench-clone: all tests-bin  ## from which length on sharing extents is cheaper than copying
	@$(bench_env) python3 -B tests/bench/clone.py
bench-grow: all tests-bin  ## time and memory by exceptions and size; draws man/growth.svg (SMALL=1)
	@$(bench_env) python3 -B tests/bench/grow.py $(if $(SMALL),$(B)/growth.svg,man/growth.svg)

quickstart: deps  ## the main job on real input, shown step by step
	@$(MAKE) --no-print-directory -s all
	@PATH='$(CURDIR)/$(B)':"$$PATH" tests/quickstart.sh

floors:  ## the picture of the floors, from the includes
	@tests/house/floors.py . >man/floors.svg

picture: all  ## the README's picture, from a real run
	@PATH='$(CURDIR)/$(B)':"$$PATH" tests/house/picture.py man/snapmerge.svg

# Library and tools are compiled once for all of them, in a directory of their own.
fuzz_B := build-fuzz
fuzz_make = $(MAKE) --no-print-directory B=$(fuzz_B) CC=clang CFLAGS='-O1 -gline-tables-only' \
	SANITIZE=fuzzer-no-link$(comma)address$(comma)undefined \
	CPPFLAGS=-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
fuzz:  ## libFuzzer programs (clang), below build-fuzz/
	@$(fuzz_make) fuzzers
fuzzers: $(fuzzers)
check-fuzz: fuzz  ## 30 s of fresh fuzzing, over all targets
	@tests/fuzz/run.sh $(fuzz_B) $$((30 / $(words $(fuzzers))))
fuzz-soak: fuzz  ## N seconds (600) for each target
	@tests/fuzz/run.sh $(fuzz_B) $(or $(N),600)

crash_runs := $(crashers:%=run-%)
crash: $(crash_runs)  ## every state that a power cut can leave, some 175,000 of them
$(crash_runs): run-%: %
	@$(test_env) $<
crash-soak: $(crashers)  ## N states of each job (1,000,000) from a new seed
	@export COW_SEED=$${COW_SEED:-$$(date +%s)}; \
	for t in $(crashers); do $(test_env) $$t $(or $(N),1000000) || exit 1; done

check-cross-short: $(unpacked)  ## the library on i386 and s390x, in part
	@tests/cross/cross.sh short i386 s390x
check-cross-tools:  ## whole tools on i386, in a Debian of its own below build-cross-tools/ (WHAT=bats files)
	@tests/cross/tools.sh $(WHAT)
check-cross: $(unpacked)  ## all of its C tests on i386, s390x, armhf and arm64 (installs the compilers)
	@tests/cross/cross.sh all i386 s390x armhf arm64

coverage:  ## line coverage of libcow/ by unit tests and bats
	@$(MAKE) --no-print-directory COVERAGE=1 all tests-bin
	@find $(B)-coverage -name '*.gcda' -delete
	@$(MAKE) --no-print-directory COVERAGE=1 check-unit check-bats BATSFLAGS='--filter-tags !kernel,!slow,!limit' >$(B)-coverage/log 2>&1 || \
		{ cat $(B)-coverage/log; exit 1; }
	@tests/house/coverage.sh $(B)-coverage

# Leaks are found by "make check" (ASan); a forked child would count as one here.
valgrind: $(units)  ## unit tests under memcheck
	@$(MAKE) --no-print-directory check-unit CHECK_WRAPPER='valgrind -q --error-exitcode=9 --leak-check=no'

install: all  ## below $(DESTDIR)$(prefix)
	$(INSTALL) -d $(foreach d,$(bindir) $(libdir)/pkgconfig $(includedir) $(bashcompdir) $(zshcompdir) $(fishcompdir),'$(DESTDIR)$(d)')
	$(INSTALL) -m755 $(tools) '$(DESTDIR)$(bindir)'
	$(if $(plugin),$(INSTALL) -D -m644 $(plugin) '$(DESTDIR)$(nbdkitdir)/$(notdir $(plugin))')
	$(INSTALL) -m644 include/libcow.h '$(DESTDIR)$(includedir)'
	$(INSTALL) -m644 $(static_lib) '$(DESTDIR)$(libdir)'
	$(INSTALL) -m644 $(shared_lib) '$(DESTDIR)$(libdir)/$(shared_file)'
	ln -sf $(shared_file) '$(DESTDIR)$(libdir)/$(notdir $(shared_lib))'
	ln -sf $(notdir $(shared_lib)) '$(DESTDIR)$(libdir)/libcow.so'
	sed -e 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|' \
		-e 's|@version@|$(VERSION)|; s|@requires@|$(LIB_PKGS)|' libcow/libcow.pc.in \
		>'$(DESTDIR)$(libdir)/pkgconfig/libcow.pc'
	chmod 644 '$(DESTDIR)$(libdir)/pkgconfig/libcow.pc'
	for m in $(notdir $(filter-out $(if $(plugin),,man/nbdkit-snapshot-plugin.1),$(wildcard man/*.[0-9]))); do \
		to='$(DESTDIR)$(mandir)'/man$${m##*.}/$$m; $(INSTALL) -D -m644 man/$$m "$$to" && \
		sed -i 's/^\.Os$$/.Os libcow $(VERSION)/' "$$to" || exit 1; done
	for t in $(tool_names); do \
		$(INSTALL) -m644 completions/libcow.bash '$(DESTDIR)$(bashcompdir)'/$$t && \
		$(INSTALL) -m644 completions/libcow.fish '$(DESTDIR)$(fishcompdir)'/$$t.fish || exit 1; done
	$(INSTALL) -m644 completions/_libcow '$(DESTDIR)$(zshcompdir)/_libcow'

uninstall:  ## remove what install put there
	rm -f $(foreach t,$(tool_names),'$(DESTDIR)$(bindir)/$(t)' '$(DESTDIR)$(bashcompdir)/$(t)' '$(DESTDIR)$(fishcompdir)/$(t).fish')
	rm -f '$(DESTDIR)$(nbdkitdir)/nbdkit-snapshot-plugin.so'
	rm -f '$(DESTDIR)$(zshcompdir)/_libcow' '$(DESTDIR)$(includedir)/libcow.h' '$(DESTDIR)$(libdir)/pkgconfig/libcow.pc'
	rm -f '$(DESTDIR)$(libdir)/libcow.a' '$(DESTDIR)$(libdir)'/libcow.so*
	rm -f $(foreach m,$(notdir $(wildcard man/*.[0-9])),'$(DESTDIR)$(mandir)/man$(lastword $(subst ., ,$(m)))/$(m)')

clean:  ## all build directories
	rm -rf build build-*

# Without git (in an unpacked archive) it is what lies here.
archive := libcow-$(VERSION)
dist:  ## source archive of HEAD (or of TREE=...), in DISTDIR (.)
	@out='$(or $(DISTDIR),.)/$(archive).tar.gz'; if [ -e .git ]; \
	then git archive --prefix=$(archive)/ -o "$$out" $(or $(TREE),HEAD); \
	else tar --exclude='./build*' --exclude='./*.tar.gz' --transform='s|^\.|$(archive)|' -czf "$$out" .; fi

deb:  ## Debian packages libcow0, libcow-dev, snaptools, nbdkit-plugin-snapshot, below $(B)/deb, without a word of lintian
	rm -rf $(B)/deb && mkdir -p $(B)/deb
	@$(MAKE) --no-print-directory dist DISTDIR=$(B)/deb
	tar -C $(B)/deb -xzf $(B)/deb/$(archive).tar.gz
	cd $(B)/deb/$(archive) && unset MAKEFLAGS MAKEOVERRIDES MFLAGS && \
		DEB_BUILD_OPTIONS="parallel=2 $$DEB_BUILD_OPTIONS" dpkg-buildpackage -b -us -uc
	cd $(B)/deb && lintian --allow-root --fail-on error,warning --info --suppress-tags initial-upload-closes-no-bugs *.changes

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  *## /\1\t/p' Makefile | expand -t 16

FORCE:
.PHONY: all static needs deps tests-bin check-unit check-threads check-replay check-bats check-headers check-symbols check-layers $(unit_runs) $(replay_runs) $(crash_runs) \
	check-fast analyze lint quick check kernel kernel-next kernel-soak relay-soak looks-soak faults fault-states mutants check-cross check-cross-short check-cross-tools quickstart picture floors fuzz check-fuzz fuzz-soak coverage valgrind install uninstall clean dist deb help FORCE

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
