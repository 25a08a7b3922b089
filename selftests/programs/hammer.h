/* SPDX-License-Identifier: GPL-2.0 */
/* What hammer.c and the patch getpid.c agree on: who is answered, and what. No process has this pid. */
#define HAMMER_NAME "hammer"
#define HAMMER_ANSWER 0x6c700001
