# SPDX-License-Identifier: GPL-2.0
#
# The verbs. `make help` lists them. The module itself is described in Kbuild, which make reads for the kernel's build system
# only; everything here is a name for a script.

.DEFAULT_GOAL := help
.PHONY: help demo check check-debug debug-kernel module loader selftest oracle oracle-breaks bench bench-docs bench-link stress fuzz install patch patch-module kernels shell clean

PREFIX ?= /usr/local
LOADER := target/x86_64-unknown-linux-gnu/release/lpatch

export KDIR LPATCH_KERNEL LPATCH_CACHE LPATCH_MIRROR LPATCH_ACCEL LPATCH_CARGO
# An empty variable is not a choice.
unexport $(foreach v,KDIR LPATCH_KERNEL LPATCH_CACHE LPATCH_MIRROR LPATCH_ACCEL LPATCH_CARGO,$(if $($(v)),,$(v)))

# $(call have,FILE,WHAT): one line and an end if what a verb stands for is not there.
have = @[ -x $(1) ] || { echo "make $@: $(1) is missing, so there is no $(2) yet" >&2; exit 1; }

help:
	@echo 'make demo             boot a stock Debian kernel in QEMU, patch it live, show it, roll it back'
	@echo 'make check            everything that tests; ends with: N passed, N failed, N skipped'
	@echo 'make module           build lpatch_core.ko for the target kernel (KDIR=DIR: for your own tree)'
	@echo 'make loader           build the command lpatch, static'
	@echo 'make selftest         the tests in the guest only (KTAP)'
	@echo 'make debug-kernel     build a kernel that checks itself (KASAN, lockdep and others), and make it a target; prints its name'
	@echo 'make check-debug      tests in the guest, oracle and an hour of stress on that kernel and on PREEMPT_RT; takes hours'
	@echo 'make oracle           what lpatch makes of stock modules, beside what the kernel made of them, on many machines'
	@echo 'make oracle-breaks    the same comparison with a deliberate bug in each step: each has to be found'
	@echo 'make bench            what lpatch costs, beside upstream livepatch in the same guest, and which goals hold (P=PART: a part; BUDGET=SECONDS)'
	@echo 'make bench-docs       the same; then docs/performance.md has the tables and the plot of this run'
	@echo 'make bench-link       how long linking a patch of 1 MiB takes, beside the kernel'"'"'s own module loader'
	@echo 'make stress           transitions while everything happens at once, for STRESS_SECONDS (300)'
	@echo 'make fuzz             what reads objects, images and kernels, with inputs that libFuzzer makes, for SECONDS (140)'
	@echo 'make patch SRC=fix.c OUT=fix.lpo'
	@echo '                      compile a patch object for the target kernel (KDIR=DIR: for your own tree)'
	@echo 'make patch-module SRC=fix.c OUT=fix.ko'
	@echo '                      compile a patch that is a kernel module, from C or Rust (fix.rs)'
	@echo 'make shell            a shell in the guest, with module and loader'
	@echo 'make kernels          the kernels that can be had, and those that are set up'
	@echo 'make install          install loader, headers and, if built, the module (PREFIX=, DESTDIR=)'
	@echo 'make clean            remove what was built here; the cache stays (see qemu/README.md)'
	@echo
	@echo 'LPATCH_KERNEL=ABI or SUITE selects the target kernel, LPATCH_CACHE=DIR where it is kept.'

demo: module loader
	$(call have,selftests/demo,demo)
	@selftests/demo

check:
	@qemu/check

module:
	@qemu/module

loader:
	@qemu/loader

selftest: module loader
	$(call have,selftests/run,guest test)
	@selftests/run

debug-kernel:
	@qemu/debug-kernel $(or $(CONFIG),kasan)

check-debug:
	@qemu/check-debug

oracle: module loader
	$(call have,selftests/oracle,oracle)
	@selftests/oracle

# Of the memory that make oracle has read.
oracle-breaks:
	$(call have,selftests/oracle,oracle)
	@selftests/oracle breaks

bench: module loader
	$(call have,selftests/bench,benchmark)
	@selftests/bench $(P)

bench-docs: module loader
	$(call have,selftests/bench,benchmark)
	@UPDATE_DOCS=1 selftests/bench

bench-link: module loader
	$(call have,selftests/bench-link,benchmark)
	@selftests/bench-link

stress: module loader
	$(call have,selftests/stress,stress test)
	@selftests/stress

fuzz:
	@SECONDS_TOTAL=$(or $(SECONDS),140) lpatch-loader/fuzz/run $(T)

patch:
	$(call have,qemu/build-patch,way to compile a patch)
	@[ -n "$(SRC)" ] && [ -n "$(OUT)" ] || { echo "usage: make patch SRC=fix.c OUT=fix.lpo" >&2; exit 1; }
	@qemu/build-patch "$(SRC)" "$(OUT)"

patch-module:
	$(call have,qemu/build-patch-module,way to compile a patch module)
	@[ -n "$(SRC)" ] && [ -n "$(OUT)" ] || { echo "usage: make patch-module SRC=fix.c OUT=fix.ko" >&2; exit 1; }
	@qemu/build-patch-module "$(SRC)" "$(OUT)"

kernels:
	@qemu/kernel list

shell:
	@qemu/run --shell

# As root, or with DESTDIR. What was not built is not installed; the loader has to be there.
install:
	@[ -f $(LOADER) ] || { echo "make install: $(LOADER) is missing: run make loader first" >&2; exit 1; }
	install -D -m 755 $(LOADER) "$(DESTDIR)$(PREFIX)/sbin/lpatch"
	@mkdir -p "$(DESTDIR)$(PREFIX)/share/man/man8" "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" \
		"$(DESTDIR)$(PREFIX)/share/zsh/site-functions" "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d"
	$(LOADER) man >"$(DESTDIR)$(PREFIX)/share/man/man8/lpatch.8"
	$(LOADER) completions bash >"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/lpatch"
	$(LOADER) completions zsh >"$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_lpatch"
	$(LOADER) completions fish >"$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/lpatch.fish"
	@for h in lpatch-core/include/lpatch/*.h lpatch-core/include/lpatch/*.rs lpatch-core/uapi/lpatch.h; do \
		[ ! -f "$$h" ] || install -D -v -m 644 "$$h" "$(DESTDIR)$(PREFIX)/include/lpatch/$${h##*/}"; \
	done
	@[ ! -f lpatch_core.ko ] || qemu/install-module "$(DESTDIR)"

clean:
	@qemu/clean
