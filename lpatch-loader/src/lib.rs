// SPDX-License-Identifier: GPL-2.0

//! The loader of lpatch: links a patch object for a kernel and hands the image to lpatch_core.
//!
//! The files are the steps: `file` → `elf`, `class`, `object` → `notes`, `meta` → `layout` → `relocate`,
//! `keys`, `tables` → `kallsyms`, `target`, `resolve` → `image` → `device`, which `chardev` is. `link`
//! and `install` run them, `wait` sees a transition to its end. Input and output
//! are in `file`, `kernel` and `chardev` only.
//!
//! `offline` is a kernel of which there are only files. `elf_image` writes what was linked as an ELF file.
//!
//! Sealing is another way: `unpack` → `vmlinux`, `symtab`, `kmod`, all with `volatile` → `preimage` → `seal` →
//! `append`.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod append;
pub mod blocking;
pub mod chardev;
pub mod class;
pub mod device;
pub mod dormant;
pub mod elf;
pub mod elf_image;
pub mod entry;
pub mod file;
mod funcs;
pub mod image;
pub mod install;
pub mod kallsyms;
pub mod kernel;
pub mod keys;
pub mod kmod;
pub mod kprobes;
pub mod ksyms;
pub mod layout;
pub mod limits;
#[cfg(test)]
mod linear_test;
pub mod link;
pub mod meta;
pub mod module_files;
mod near;
pub mod notes;
pub mod object;
pub mod offline;
pub mod owner;
pub mod preimage;
pub mod problem;
pub mod reason;
pub mod relocate;
pub mod resolve;
pub mod seal;
pub mod symtab;
pub mod tables;
pub mod target;
pub mod unpack;
mod visit;
pub mod vmlinux;
pub mod volatile;
pub mod wait;
