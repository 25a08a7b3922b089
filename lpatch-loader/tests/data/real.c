// SPDX-License-Identifier: GPL-2.0
/*
 * The source of real.lpo: what a compiler and objtool make of warnings, constants, an exception
 * table entry, calls of exported, unexported and static functions, and callbacks. Built with
 * lpatch-core/build-patch, without debug information, and sealed for the kernel that tests/real.rs
 * names.
 */
#include <linux/bug.h>
#include <linux/kernel_stat.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <lpatch/patch.h>

LPATCH_NAME("real");
LPATCH_VERSION("3");
LPATCH_DESCRIPTION("an object as a patch author makes it");

extern char *saved_command_line;
extern unsigned long long nr_context_switches(void);
extern int loadavg_proc_show(struct seq_file *m, void *v);

static int counter = 3;
static int zeroed[100];
static const char *const names[] = { "one", "two", "three" };

static noinline int twice(int n)
{
	if (WARN_ON(n == 7))
		return 0;
	return 2 * n + (int)nr_context_switches();
}

static noinline void guarded(struct seq_file *m, const unsigned long *p)
{
	unsigned long value;

	__get_kernel_nofault(&value, p, unsigned long, fault);
	seq_printf(m, "%lx\n", value);
	return;
fault:
	seq_puts(m, "fault\n");
}

static int real_cmdline_proc_show(struct seq_file *m, void *v)
{
	counter++;
	zeroed[counter % 100] += twice(counter);
	seq_printf(m, "%s %d %s\n", saved_command_line, counter, names[counter % 3]);
	WARN_ONCE(counter > 4, "too many: %d\n", counter);
	/* In the hole that is left for hypervisors (Documentation/arch/x86/x86_64/mm.rst): never mapped. */
	guarded(m, (unsigned long *)0xffff800000001000);
	return counter > 1000 ? loadavg_proc_show(m, v) : 0;
}

/* Not static, so that they have an endbr64 whether their address is taken or not. */
int real_before(const struct lpatch_object *obj);
void real_after(const struct lpatch_object *obj);
int real_sealed(void);

int real_before(const struct lpatch_object *obj)
{
	return obj->mod ? -EBUSY : 0;
}

void real_after(const struct lpatch_object *obj)
{
	counter = real_sealed();
}

int real_sealed(void)
{
	return counter / 2;
}

LPATCH_FUNC(vmlinux, cmdline_proc_show, real_cmdline_proc_show);
LPATCH_PRE_PATCH(vmlinux, real_before);
LPATCH_POST_UNPATCH(vmlinux, real_after);
LPATCH_STATE(0x7265616c, 1);
LPATCH_SYM(vmlinux, loadavg_proc_show, 0);
