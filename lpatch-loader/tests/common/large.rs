// SPDX-License-Identifier: GPL-2.0

//! A large object and a large kernel for it: as many functions and symbols as are asked for.

use std::fmt::Write;

/// Start of the kernel's text.
const TEXT: u64 = 0xffff_ffff_8100_0000;
/// Start of the module's text.
const MODULE: u64 = 0xffff_ffff_c100_0000;
/// Bytes of each function of the kernel.
const STEP: u64 = 64;
/// Of so many symbols of the kernel, one is of a module.
const IN_MODULE: usize = 20;
/// Of so many functions to replace, one is of the module.
const OF_MODULE: usize = 10;
/// Symbols that the functions call, together.
const CALLED: usize = 4000;
/// Pieces of a function, of 26 bytes each.
pub(crate) const PIECES: usize = 40;

/// What the object begins with.
const MACROS: &str = r#"
	.macro orc
77:	.pushsection .orc_unwind_ip, "a", @progbits
	.long	77b - .
	.popsection
	.pushsection .orc_unwind, "a", @progbits
	.short	8, 0, 0x0203
	.popsection
	.endm
	.macro site table
77:	.pushsection \table, "a", @progbits
	.long	77b - .
	.popsection
	.endm
	.macro piece callee
	site	.call_sites
	call	\callee
	mov	counter(%rip), %eax
	test	%eax, %eax
	nopw	0(%rax,%rax,1)
	nopl	0(%rax)
	.endm
	.macro begin name
	.p2align 4, 0xcc
	.type	\name, @function
\name:	orc
	endbr64
77:	call	__fentry__
	.pushsection __mcount_loc, "a", @progbits
	.quad	77b
	.popsection
	.endm
	.macro end name
	site	.return_sites
	jmp	__x86_return_thunk
	.size	\name, . - \name
	.endm
	.macro replace name, object, old
	.pushsection .lpatch.strings, "a", @progbits
78:	.asciz	"\old"
	.popsection
	.pushsection .lpatch.funcs, "a", @progbits
	.quad	\name, \object, 78b, 0
	.popsection
	.endm
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
	.section .orc_header, "a", @progbits
	.ascii	"ABCDEFGHIJKLMNOPQRST"
	.section .lpatch.strings, "a", @progbits
module:	.asciz	"largefs"
	.data
counter: .long	3
	.section .note.lpatch, "", @note
	note	1
	.asciz	"name=large"
	done
	note	2
	.asciz	"7.2.12-test"
	done
	note	3
	.byte	1, 2, 3, 4
	done
	.text
"#;

/// The name of a symbol of the kernel; as long as they are on average.
fn name(index: usize) -> String {
    format!("subsystem_{index:06}_handler")
}

/// Of the functions to replace, the symbol that the one with this index is.
fn old(index: usize) -> usize {
    if index % OF_MODULE == 0 {
        // The first, for the search is longest there.
        index / OF_MODULE * IN_MODULE
    } else {
        index * IN_MODULE + 1
    }
}

/// The source of an object that replaces `functions` functions and calls others.
pub(crate) fn source(functions: usize, symbols: usize, preimage: (u32, u32)) -> String {
    let mut text = MACROS.to_owned();
    let (len, crc) = preimage;
    // Writing to a String cannot fail.
    for index in 0..functions {
        let _ = writeln!(text, "\tbegin new_{index}");
        for piece in 0..PIECES {
            if piece % 2 == 1 {
                let _ = writeln!(text, "\torc");
            }
            // Spread over the kernel; those of the module would need a hint.
            let callee = (index * PIECES + piece) * 7919 % CALLED * (symbols / CALLED);
            let callee = callee + usize::from(callee % IN_MODULE == 0);
            let _ = writeln!(text, "\tpiece {}", name(callee));
        }
        let object = if index % OF_MODULE == 0 {
            "module"
        } else {
            "0"
        };
        let _ = writeln!(text, "\tend new_{index}");
        let _ = writeln!(
            text,
            "\treplace new_{index}, {object}, {}",
            name(old(index))
        );
    }
    let _ = writeln!(text, "\t.section .note.lpatch.seal, \"\", @note");
    for index in 0..functions {
        let _ = writeln!(
            text,
            "\tnote 4\n\t.long {index}, {len}, {crc:#x}, 0\n\tdone"
        );
    }
    let _ = writeln!(text, "\tnote 5\n\t.long 0\n\tdone");
    text
}

/// The object, sealed for a kernel where all functions are the same.
pub(crate) fn object(functions: usize, symbols: usize) -> Vec<u8> {
    let crc = crc32fast::hash(&super::code(0, 32));
    let mut file = super::assemble(&source(functions, symbols, (32, crc)));
    assert!(super::seal(&mut file), "the source has a CRC note");
    file
}

/// The text of /proc/kallsyms with so many symbols, some of them of a module.
pub(crate) fn kallsyms(symbols: usize) -> String {
    let mut text = format!(
        "{TEXT:016x} T _text\n{:016x} T __x86_return_thunk\n",
        TEXT + STEP / 2
    );
    let addr =
        |base: u64, index: usize| base + STEP * u64::try_from(index + 1).expect("it is small");
    let all = (0..symbols).filter(|index| index % IN_MODULE != 0);
    for index in all {
        let name = name(index);
        let _ = writeln!(text, "{:016x} t {name}", addr(TEXT, index));
        if index % 40 == 1 {
            let _ = writeln!(text, "{:016x} t {name}.cold", addr(TEXT, index) + STEP / 2);
        }
    }
    let _ = writeln!(text, "{:016x} B _end", addr(TEXT, symbols));
    for index in (0..symbols).step_by(IN_MODULE) {
        let _ = writeln!(
            text,
            "{:016x} t {}\t[largefs]",
            addr(MODULE, index),
            name(index)
        );
    }
    text
}
