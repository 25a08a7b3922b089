// SPDX-License-Identifier: GPL-2.0
/*
 * Asks the patch finished for everything that it does. Prints "wrong WHAT: got N, wanted N" for each answer that is not
 * right, and "N right" at the end; exits with 1 if one was wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "finished.h"

static int right, wrong;

static void expect(const char *what, long op, unsigned long argument, long wanted)
{
	long got = syscall(SYS_sched_rr_get_interval, op, argument);

	if (got == -1)
		got = -errno;
	if (got == wanted) {
		right++;
		return;
	}
	wrong++;
	printf("wrong %s: got %ld, wanted %ld\n", what, got, wanted);
}

int main(void)
{
	/* Of the kernel, out of both halves, not mapped. */
	const unsigned long bad[] = { 0xffffffff81000000UL, 0xffff888000000000UL, 0x8000000000000000UL, 0, 8 };
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile unsigned long word;
	unsigned long at = (unsigned long)&word, i;

	if (page == MAP_FAILED || munmap(page + 4096, 4096))
		return 2;
	expect("copy_to_user", FINISHED_TO_USER, at, 0);
	right += word == FINISHED_ANSWER;
	wrong += word != FINISHED_ANSWER;
	word = 41;
	expect("copy_from_user", FINISHED_FROM_USER, at, 42);
	expect("put_user", FINISHED_PUT_USER, at, 0);
	right += word == FINISHED_ANSWER;
	wrong += word != FINISHED_ANSWER;
	word = 17;
	expect("get_user", FINISHED_GET_USER, at, 18);
	expect("an inline copy to user space", FINISHED_COPY_TO, at, 0);
	right += word == FINISHED_ANSWER;
	wrong += word != FINISHED_ANSWER;
	word = 18;
	expect("an inline copy from user space", FINISHED_COPY_FROM, at, 19);
	expect("an exchange", FINISHED_EXCHANGE, at, 18);
	right += word == FINISHED_ANSWER;
	wrong += word != FINISHED_ANSWER;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		expect("copy_to_user of a bad pointer", FINISHED_TO_USER, bad[i], -EFAULT);
		expect("copy_from_user of a bad pointer", FINISHED_FROM_USER, bad[i], -EFAULT);
		expect("put_user of a bad pointer", FINISHED_PUT_USER, bad[i], -EFAULT);
		expect("get_user of a bad pointer", FINISHED_GET_USER, bad[i], -EFAULT);
		expect("an inline copy to a bad pointer", FINISHED_COPY_TO, bad[i], -EFAULT);
		expect("an inline copy from a bad pointer", FINISHED_COPY_FROM, bad[i], -EFAULT);
		expect("an exchange at a bad pointer", FINISHED_EXCHANGE, bad[i], -EFAULT);
	}
	/* Over the end of the page. */
	expect("copy_to_user over an end", FINISHED_TO_USER, (unsigned long)page + 4092, -EFAULT);
	expect("copy_from_user over an end", FINISHED_FROM_USER, (unsigned long)page + 4092, -EFAULT);

	expect("an indirect call", FINISHED_CALL, 5, 7);
	expect("an indirect jump", FINISHED_JUMP, 5, 8);
	expect("indirect calls", FINISHED_SPREAD, 0, FINISHED_CALLS);
	expect("the first lock", FINISHED_LOCK, 0, 1);
	expect("the second lock", FINISHED_LOCK, 0, 2);
	expect("features", FINISHED_FEATURES, 0, 0);
	expect("interrupts", FINISHED_IRQS, 0, 3);
	expect("a cleared page", FINISHED_CLEAR, 0, 0);
	expect("static calls", FINISHED_RESCHED, 0, 0);
	expect("another number", -1000, 0, -ENOSYS);
	printf("%d right\n", right);
	return !!wrong;
}
