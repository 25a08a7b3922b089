# SPDX-License-Identifier: GPL-2.0
#
# A patch object with every table and every relocation kind that the loader processes, as the compiler and
# objtool would leave them. Words in @…@ are replaced by the tests. The layout of the notes and of .lpatch.*
# is that of src/notes.rs and src/meta.rs.


	# An ORC entry for here; 0x0203 is sp_reg SP, type CALL.
	.macro orc sp=8 bits=0x0203
77:	.pushsection .orc_unwind_ip, "a", @progbits
	.long	77b - .
	.popsection
	.pushsection .orc_unwind, "a", @progbits
	.short	\sp, 0, \bits
	.popsection
	.endm

	.macro site table
77:	.pushsection \table, "a", @progbits
	.long	77b - .
	.popsection
	.endm

	.macro fentry
77:	call	__fentry__
	.pushsection __mcount_loc, "a", @progbits
	.quad	77b
	.popsection
	.pushsection .call_sites, "a", @progbits
	.long	77b - .
	.popsection
	.endm

	.macro return
	site	.return_sites
	jmp	__x86_return_thunk
	.endm

	.macro func name
	.type	\name, @function
	.p2align 4, 0xcc
\name:
	.endm

	.macro end name
	.size	\name, . - \name
	.endm

	.text
	.globl	new_show
	func	new_show
	orc
	endbr64
	fentry
	push	%rbx
	orc	16
	mov	$message, %rdi
	mov	counter(%rip), %eax
	mov	zeros+8(%rip), %ecx
	site	.call_sites
	call	helper
	site	.call_sites
	call	seq_printf
1:	mov	(%rax), %rbx
	.pushsection __ex_table, "a", @progbits
	.long	1b - ., 2f - ., 3
	.popsection
2:	test	%ebx, %ebx
	js	new_show.cold
	lea	__bug_table+16(%rip), %rdi
	pop	%rbx
	orc
	return
	end	new_show

	func	new_read
	orc
	site	.ibt_endbr_seal
	endbr64
	fentry
	mov	jiffies(%rip), %rax
	call	mod_helper
	return
	end	new_read

	func	helper
	orc
	site	.smp_locks
	lock incl counter(%rip)
	xor	%eax, %eax
	return
	end	helper

	# Called through a pointer: its endbr64 stays.
	func	before
	orc
	endbr64
	xor	%eax, %eax
	return
	end	before

	.section .text.unlikely, "ax", @progbits
	func	new_show.cold
	orc	16
3:	ud2
	.pushsection __bug_table, "aw", @progbits
	.long	3b - ., format - ., file - .
	.short	42, 1
	.long	3b + 2 - ., format - ., file - .
	.short	43, 3
	.popsection
	xor	%eax, %eax
	pop	%rbx
	orc
	return
	end	new_show.cold

	# With -ffunction-sections.
	.section .text.one, "ax", @progbits
	func	one
	orc
	return
	end	one

	.section .rodata, "a", @progbits
	.p2align 3
	.type	pointers, @object
pointers:
	.quad	new_show, message, counter, jiffies + 16
	.quad	seq_printf - .
	.size	pointers, . - pointers
	.section .rodata.str1.1, "aMS", @progbits, 1
message: .asciz	"message"
file:	.asciz	"good.S"
format:	.asciz	"format %d"

	.data
	.p2align 5
	.globl	counter
	.type	counter, @object
counter:
	.long	3
	.size	counter, 4
	.long	helper - .
	# Unsigned 32 bits: what is left of a kernel address without its upper half.
	.long	jiffies - 0xffffffff00000000
	.reloc	., R_X86_64_NONE, seq_printf
	.section .data.rel.ro, "aw", @progbits
	.quad	pointers
	.bss
	.p2align 6
	.type	zeros, @object
zeros:	.zero	5000
	.size	zeros, 5000

	.section .orc_header, "a", @progbits
	.ascii	"ABCDEFGHIJKLMNOPQRST"
	.section .comment, "MS", @progbits, 1
	.asciz	"a compiler"
	.section .static_call_sites, "aw", @progbits
	.long	new_show - ., jiffies - .
	.section __patchable_function_entries, "awo", @progbits, .text
	.quad	new_show
	.section .discard.annotate, "", @progbits
	.quad	new_show

	.section .lpatch.strings, "a", @progbits
old_show: .asciz "@old_show@"
old_read: .asciz "fs_read"
tinyfs:	.asciz	"tinyfs"
mod_helper_name: .asciz "mod_helper"
	.section .lpatch.funcs, "a", @progbits
	.quad	new_read, tinyfs, old_read, 0
	.quad	new_show, 0, old_show, @sympos@
	.section .lpatch.syms, "a", @progbits
	.quad	tinyfs, mod_helper_name, @mod_sympos@

	.section .lpatch.callbacks, "a", @progbits
	.quad	before, @callback_object@, @callback_kind@
	.quad	before, tinyfs, 4
	.section .lpatch.states, "a", @progbits
	.quad	7
	.long	2, 0
	.quad	@state@
	.long	3, 0

	.macro note type
	.p2align 2
	.long	7, 99f - 98f, \type
	.asciz	"lpatch"
	.p2align 2
98:
	.endm
	.macro done
99:	.p2align 2
	.endm
	.section .note.lpatch, "", @note
	note	1
	.asciz	"name=good"
	done
	note	1
	.asciz	"version=1.2"
	done
	note	1
	.asciz	"fixes=CVE-2026-0001"
	done
	note	1
	.asciz	"cumulative=@cumulative@"
	done
	.section .note.lpatch.seal, "", @note
	note	2
	.asciz	"@release@"
	done
	note	3
	.byte	1, 2, 3, 4
	done
	note	4
	.long	0, 16, @read_crc@, 0
	done
	note	4
	.long	1, 32, @show_crc@, 1, 4, 5
	done
	note	5
	.long	0
	done
@more@
