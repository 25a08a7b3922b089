/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the core needs of the kernel and the kernel crate does not offer: inline functions, macros, and
 * structs that only C can name. Plain types only, because bindgen reads this file without the kernel's
 * headers; it is the only description of this boundary.
 */
#ifndef _LPATCH_SHIM_H
#define _LPATCH_SHIM_H

#include "layout.h"

/* arena.S */
extern unsigned char lp_arena_text[];
extern unsigned char lp_arena_text_end[];
extern unsigned char lp_arena_rodata[];
extern unsigned char lp_arena_rodata_end[];
extern unsigned char lp_arena_data[];
extern unsigned char lp_arena_data_end[];

/* arena.S: the module's ORC, exception and bug tables with room for patches */
extern int lp_table_orc_ip[];
extern unsigned char lp_table_orc[];
extern unsigned char lp_table_ex[];
extern unsigned char lp_table_bug[];

/* examples.S: sites that the kernel finished when it loaded this module */
extern const unsigned char lp_example_lower[];
extern const unsigned char lp_example_upper[];

/* alias.c */

/**
 * lp_alias_map() - map module memory a second time, writable and not executable
 * @addr: page-aligned address of module memory
 * @pages: how many pages
 *
 * Return: the alias, or NULL without memory. May sleep.
 */
void *lp_alias_map(unsigned long addr, unsigned int pages);
void lp_alias_unmap(void *alias);

/**
 * lp_sync_cores() - let every CPU see changed instructions
 *
 * After it returns, no CPU executes stale bytes of text that was written before the call. May sleep.
 */
void lp_sync_cores(void);

/* facts.c */

/**
 * lp_symbol() - name an address as the kernel does
 * @addr: any address
 * @buf: receives "name+0xoffset/0xsize [module]" or the address, NUL-terminated
 * @len: its size, at least KSYM_SYMBOL_LEN
 *
 * Return: bytes written without the NUL, or 0 if @buf is too small.
 */
unsigned int lp_symbol(unsigned long addr, char *buf, unsigned int len);
unsigned int lp_symbol_len(void);

/* CRC-32 as in zlib: @crc is the CRC so far, 0 at first. */
unsigned int lp_crc32(unsigned int crc, const unsigned char *bytes, unsigned long len);
const unsigned char *lp_orc_hash(void);
const char *lp_release(void);
unsigned long lp_return_thunk(void);
/* The text of this boot is no secret to root and lockdown is off: an unsigned patch may be loaded. */
int lp_unsigned_allowed(void);

/**
 * lp_read_kernel() - copy kernel memory that may not be mapped
 * Return: 0, or -EFAULT.
 */
int lp_read_kernel(void *to, unsigned long from, unsigned long len);

/**
 * lp_module_get() - find a live module by name and keep it from going away
 * @name: its name, as in /proc/modules
 * @len: length of @name
 *
 * Return: the struct module, to be given to lp_module_put(), or NULL.
 */
void *lp_module_get(const char *name, unsigned long len);
void lp_module_put(void *module);

/* redirect.c */
struct lp_redirect;

/**
 * lp_redirect_new() - a redirection that is not yet in force
 * @table: opaque to C, handed to lpatch_redirect()
 *
 * Return: the redirection, or NULL without memory.
 */
struct lp_redirect *lp_redirect_new(const void *table);

/**
 * lp_redirect_filter() - set the fentry sites that it covers
 * Return: 0, -EINVAL if one is no fentry site, or another errno.
 */
int lp_redirect_filter(struct lp_redirect *r, unsigned long *ips, unsigned int n);

/**
 * lp_redirect_on() - put it in force, for all its sites in one step
 * Return: 0, -EBUSY if a site has another owner or ftrace is off, or another errno; then nothing changed.
 */
int lp_redirect_on(struct lp_redirect *r);

/**
 * lp_redirect_off() - take it out of force
 *
 * When it returns 0, no CPU and no preempted task is inside the handler or its trampoline. May sleep.
 */
int lp_redirect_off(struct lp_redirect *r);
void lp_redirect_free(struct lp_redirect *r);

/* Whether ftrace takes no redirection at all, because kernel.ftrace_enabled is 0. May sleep. */
int lp_ftrace_off(void);

/* Rust side of the ftrace handler: where a call that came in at @ip goes on; 0: nowhere else. */
unsigned long lpatch_redirect(const void *table, unsigned long ip);

/* tasks.c */

/**
 * lp_text_user() - find a task that may still execute or return into a range of text
 * @start: first address
 * @end: first address behind
 * @pid: out: a task that does, 0 for an idle task
 *
 * The caller has made sure that nothing enters the range any more. May sleep.
 *
 * Return: 0 if there is none, 1 with @pid set if there is one or a stack could not be read reliably.
 */
int lp_text_user(unsigned long start, unsigned long end, int *pid);

#endif /* _LPATCH_SHIM_H */
