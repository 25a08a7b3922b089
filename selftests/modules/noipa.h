/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NOIPA: a function that stays a function, whose callers know nothing of it but its type. Clang has no word for that. It does not inline
 * what is noinline, but takes what always comes back from a function for known, so what a version of a test returns is hidden there.
 */
#ifndef _LPATCH_SELFTESTS_NOIPA_H
#define _LPATCH_SELFTESTS_NOIPA_H

#include <linux/compiler.h>

#ifdef __clang__
#define NOIPA noinline
#else
#define NOIPA noinline __attribute__((noipa))
#endif

/* The same number, but the compiler does not know it. */
#define HIDDEN(number) ({ typeof(number) hidden = (number); OPTIMIZER_HIDE_VAR(hidden); hidden; })

#endif /* _LPATCH_SELFTESTS_NOIPA_H */
