// SPDX-License-Identifier: GPL-2.0
/*
 * Uses shadow variables as a kernel module does, and says in the log what came of it. The parameter "run" says which
 * steps: "api" (those of upstream's test), "errors", "leave" (two variables stay).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include <lpatch/shadow.h>

#define FIRST	0x1234
#define SECOND	0x1235
#define OBJECTS	3

static char *run = "api";
module_param(run, charp, 0400);

/* Their addresses are all that counts. */
static char objects[OBJECTS];
/* What the constructor puts into the variables, by object. */
static int first[OBJECTS] = { 10, 11, 12 };
static int second[OBJECTS] = { 20, 21, 22 };
/* Where the variables are. */
static int *places[2][OBJECTS];
static int destroyed;

static int number(void *obj)
{
	return (char *)obj - objects;
}

static int construct(void *obj, void *data, void *ctor_data)
{
	int *value = ctor_data;

	if (!value)
		return -EINVAL;
	*(int *)data = *value;
	pr_info("construct(object %d): %d\n", number(obj), *value);
	return 0;
}

static void destroy(void *obj, void *data)
{
	pr_info("destroy(object %d): %d\n", number(obj), *(int *)data);
}

/* Says nothing: the order of several is not defined. */
static void count(void *obj, void *data)
{
	destroyed++;
}

/* The value; and whether the variable is where it was attached. */
static void say(const char *what, int i, unsigned long id, int *data)
{
	if (!data)
		pr_info("%s(object %d, %#lx): none\n", what, i, id);
	else
		pr_info("%s(object %d, %#lx): %d%s\n", what, i, id, *data,
			data == places[id - FIRST][i] ? "" : ", elsewhere");
}

static void get(int i, unsigned long id)
{
	say("get", i, id, lpatch_shadow_get(&objects[i], id));
}

static void alloc(int i, unsigned long id, int *value)
{
	int *data = lpatch_shadow_alloc(&objects[i], id, sizeof(*data), GFP_KERNEL, construct, value);

	places[id - FIRST][i] = data;
	say("alloc", i, id, data);
}

static void get_or_alloc(int i, unsigned long id, int *value)
{
	int *data = lpatch_shadow_get_or_alloc(&objects[i], id, sizeof(*data), GFP_KERNEL,
					       construct, value);

	if (!places[id - FIRST][i])
		places[id - FIRST][i] = data;
	say("get_or_alloc", i, id, data);
}

static void free_one(int i, unsigned long id)
{
	lpatch_shadow_free(&objects[i], id, destroy);
	get(i, id);
}

/* The passes of upstream's test_klp_shadow_vars. */
static void run_api(void)
{
	int i;

	pr_info("nothing is there\n");
	get(0, FIRST);

	pr_info("two variables for each object\n");
	for (i = 0; i < OBJECTS; i++) {
		if (i % 2)
			alloc(i, FIRST, &first[i]);
		else
			get_or_alloc(i, FIRST, &first[i]);
		alloc(i, SECOND, &second[i]);
	}

	pr_info("they are found\n");
	for (i = 0; i < OBJECTS; i++) {
		get(i, FIRST);
		get(i, SECOND);
	}

	pr_info("they are not attached again\n");
	for (i = 0; i < OBJECTS; i++)
		get_or_alloc(i, FIRST, &second[i]);

	pr_info("the first ones go, one by one\n");
	for (i = 0; i < OBJECTS; i++)
		free_one(i, FIRST);

	pr_info("the second ones stay\n");
	for (i = 0; i < OBJECTS; i++)
		get(i, SECOND);

	pr_info("the second ones go, all at once\n");
	lpatch_shadow_free_all(SECOND, NULL);
	for (i = 0; i < OBJECTS; i++)
		get(i, SECOND);
}

static bool all_zero(size_t size, gfp_t gfp)
{
	void *data = lpatch_shadow_alloc(NULL, FIRST, size, gfp, NULL, NULL);
	bool zero = data && IS_ALIGNED((unsigned long)data, 8) && !memchr_inv(data, 0, size);

	/* Would be found in the memory of the next one. */
	if (data)
		memset(data, 0xa5, size);
	lpatch_shadow_free(NULL, FIRST, NULL);
	return zero;
}

static void run_errors(void)
{
	static DEFINE_SPINLOCK(lock);
	unsigned long flags;
	int i, zeroed = 0;

	pr_info("attached twice\n");
	alloc(0, FIRST, &first[0]);
	say("alloc", 0, FIRST, lpatch_shadow_alloc(&objects[0], FIRST, sizeof(int), GFP_KERNEL,
						   construct, &second[0]));
	get(0, FIRST);

	pr_info("the constructor fails\n");
	alloc(1, FIRST, NULL);
	get(1, FIRST);
	get_or_alloc(1, FIRST, NULL);
	get(1, FIRST);

	pr_info("no such variable\n");
	free_one(2, FIRST);
	lpatch_shadow_free_all(SECOND, destroy);

	pr_info("all of an id, with their destructor\n");
	alloc(0, SECOND, &second[0]);
	for (i = 1; i < OBJECTS; i++)
		alloc(i, FIRST, &first[i]);
	lpatch_shadow_free_all(FIRST, count);
	lpatch_shadow_free_all(FIRST, count);
	pr_info("destroyed: %d\n", destroyed);
	get(0, SECOND);
	lpatch_shadow_free_all(SECOND, destroy);
	get(0, SECOND);

	spin_lock_irqsave(&lock, flags);
	for (i = 0; i < 100; i++)
		zeroed += all_zero(i * 8, GFP_ATOMIC);
	spin_unlock_irqrestore(&lock, flags);
	pr_info("zeroed: %d of 100\n", zeroed);

	/* A WARN of the allocator would fail the test. */
	pr_info("too big: %d\n",
		lpatch_shadow_alloc(NULL, FIRST, KMALLOC_MAX_SIZE, GFP_KERNEL, NULL, NULL) ||
		lpatch_shadow_alloc(NULL, FIRST, SIZE_MAX, GFP_KERNEL, NULL, NULL) ||
		lpatch_shadow_get(NULL, FIRST));
}

static int __init shadow_vars_init(void)
{
	if (!strcmp(run, "api")) {
		run_api();
	} else if (!strcmp(run, "errors")) {
		run_errors();
	} else if (!strcmp(run, "leave")) {
		alloc(0, FIRST, &first[0]);
		alloc(1, FIRST, &first[1]);
	} else {
		return -EINVAL;
	}
	return 0;
}

static void __exit shadow_vars_exit(void)
{
}

module_init(shadow_vars_init);
module_exit(shadow_vars_exit);
MODULE_DESCRIPTION("shadow variables in a module");
MODULE_LICENSE("GPL");
