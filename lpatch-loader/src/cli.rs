// SPDX-License-Identifier: GPL-2.0

//! The one definition of the command line; help, man page and completions come from it.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// What the help and the man page end with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   not complete: a task is still in code of the patch; try again
  2   bad input: arguments, the patch object, or a kernel that it is not for
  3   refused by the kernel, or lpatch_core is not loaded
  70  a bug in lpatch

Transitions are immediate in this version: enable and disable switch all tasks at once.
If lpatch is interrupted while it loads, the device is closed and lpatch_core frees what was reserved.";

/// Replaces functions of the running kernel.
#[derive(Debug, Parser)]
#[command(name = "lpatch", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    /// Print one JSON object instead of text, for errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Link a patch object for the running kernel, load it and enable it.
    ///
    /// The transition is immediate: all tasks run the new functions at once. If enabling fails, the patch is
    /// unloaded again. An interruption releases what was reserved.
    Load(Load),
    /// Redirect the functions of a loaded patch to their replacements.
    ///
    /// The transition is immediate: all tasks at once.
    Enable(Name),
    /// Let the original functions run again.
    ///
    /// The transition is immediate: all tasks at once.
    Disable(Name),
    /// Free a disabled patch.
    Unload(Name),
    /// List the loaded patches, oldest first.
    List,
    /// Show one patch, or the state of lpatch_core.
    Status(OptionalName),
    /// Describe a patch object: its name, its seal, its functions, its sections.
    Info(File),
    /// Do everything that load does except for the requests to lpatch_core, and report all problems at once.
    Verify(Verify),
    /// Record in a patch object which kernel it is for, and what the functions that it replaces look like there.
    ///
    /// Works offline, on the files of a stock kernel. Sealing again replaces the seal.
    Seal(Seal),
    /// Print the man page.
    #[command(hide = true)]
    Man,
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions(Completions),
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Patch object (.lpo), sealed for the running kernel.
    pub(crate) file: PathBuf,
    /// Load it only; `lpatch enable` later.
    #[arg(long)]
    pub(crate) no_enable: bool,
}

/// A patch.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Name of the patch, as `lpatch list` shows it.
    pub(crate) name: String,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct OptionalName {
    /// Name of the patch; without it, the state of lpatch_core.
    pub(crate) name: Option<String>,
}

/// Arguments of `info`.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// Patch object.
    pub(crate) file: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Patch object (.lpo), sealed.
    pub(crate) file: PathBuf,
    /// Verify against another kernel: a copy of its /proc/kallsyms.
    #[arg(long, value_name = "FILE", requires_all = ["release", "build_id"])]
    pub(crate) kallsyms: Option<PathBuf>,
    /// Its release, as `uname -r` prints it.
    #[arg(long, requires = "kallsyms")]
    pub(crate) release: Option<String>,
    /// Its build-id in hex.
    #[arg(long, value_name = "HEX", requires = "kallsyms")]
    pub(crate) build_id: Option<String>,
}

/// Arguments of `seal`.
#[derive(Debug, Args)]
pub(crate) struct Seal {
    /// Patch object, as lpatch-core/build-patch compiles it.
    pub(crate) file: PathBuf,
    /// Where to write the sealed object.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Directory with the target's vmlinux or vmlinuz, kallsyms or System.map, release, and modules; or the build
    /// directory of a kernel.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["vmlinux", "kallsyms"])]
    pub(crate) target: Option<PathBuf>,
    /// The target's bzImage, or the ELF file in it with the relocation table behind.
    #[arg(long, value_name = "FILE")]
    pub(crate) vmlinux: Option<PathBuf>,
    /// The target's symbols: a dump of its /proc/kallsyms, a System.map or a vmlinux with a symbol table.
    #[arg(long, value_name = "FILE")]
    pub(crate) kallsyms: Option<PathBuf>,
    /// Directory that has the target's modules, however deep.
    #[arg(long, value_name = "DIR")]
    pub(crate) modules: Option<PathBuf>,
    /// Seal even what cannot be replaced, to see a loader refuse it.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell.
    pub(crate) shell: Shell,
}
