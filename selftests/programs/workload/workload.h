/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LPATCH_SELFTESTS_WORKLOAD_H
#define _LPATCH_SELFTESTS_WORKLOAD_H

#include <stdatomic.h>
#include <stdint.h>

#define WITNESS "/proc/witness"

/**
 * struct part - what the tasks of one kind have done; shared by all of them
 * @rounds: forks, chains, requests, ... that succeeded
 * @failures: those that did not
 */
struct part {
	_Atomic uint64_t rounds;
	_Atomic uint64_t failures;
};

/* Set when the load is to end. */
extern _Atomic int *load_stop;

/* Where a new process image goes on: it has nothing to do. */
#define LOAD_NOTHING "--nothing"

/* rest(): a pause of up to @ms, or a guest of two processors would do nothing else. */
void rest(unsigned int ms);

/* done(): counts one round. */
void done(struct part *part, int failed);

/* The kinds: each runs in a process of its own until *load_stop, with a number that differs between them. */
void load_hog(struct part *part, unsigned int number);
void load_idle(struct part *part, unsigned int number);
void load_fork(struct part *part, unsigned int number);
void load_thread(struct part *part, unsigned int number);
void load_exec(struct part *part, unsigned int number);
void load_uring(struct part *part, unsigned int number);
void load_call(struct part *part, unsigned int number);
void load_sleep(struct part *part, unsigned int number);
void load_sleepd(struct part *part, unsigned int number);
void load_spin(struct part *part, unsigned int number);

#endif /* _LPATCH_SELFTESTS_WORKLOAD_H */
