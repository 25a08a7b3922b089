// SPDX-License-Identifier: GPL-2.0

//! The one definition of the command line; help, man page and completions come from it.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use lpatch_loader::device::name_field;
use lpatch_loader::wait::Limits;
use lpatch_model::uapi::NO_INTERRUPT;
use std::path::PathBuf;
use std::time::Duration;

/// What the help and the man page end with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    not complete: the transition timed out or was reversed, a task may still be in code of the patch, tasks
       would block (load --dry-run), or the text of a patch was changed in memory (diff-mem)
  2    bad input: arguments, the patch object, or a kernel that it is not for
  3    refused by the kernel, or lpatch_core is not loaded
  70   a bug in lpatch
  130  interrupted (SIGINT); 143 if by SIGTERM

A transition moves each task when it is outside of the functions that are replaced. enable and disable wait until all
have moved. Those that sleep in such a function are left alone for 15 seconds (--interrupt-after), then interrupted: few system
calls fail for that, which ones docs/transitions.md says. Interrupted while it waits, lpatch ends and the transition goes on; interrupted before, it leaves nothing
behind.";

/// A number of seconds, in milliseconds as the core takes it.
fn timeout(text: &str) -> Result<u32, String> {
    let what = "a number of seconds, at least 0.001, or 0 for no limit";
    let seconds: f64 = text.parse().map_err(|_| format!("not {what}"))?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| format!("not {what}"))?;
    let ms = u32::try_from(time.as_millis())
        .map_err(|_| format!("more than {} seconds", u32::MAX / 1000))?;
    if ms == 0 && seconds > 0.0 {
        return Err(format!("not {what}"));
    }
    Ok(ms)
}

/// The same, where a time without end has an option of its own.
fn grace(text: &str) -> Result<u32, String> {
    match timeout(text) {
        Ok(0) => Err("not a number of seconds, at least 0.001; --no-interrupt is for never".into()),
        Ok(ms) if ms < NO_INTERRUPT => Ok(ms),
        Ok(_) => Err(format!("more than {} seconds", NO_INTERRUPT / 1000)),
        Err(why) => Err(why.replace(", or 0 for no limit", "")),
    }
}

/// A name that a patch can have.
fn patch_name(text: &str) -> Result<String, String> {
    name_field(text).map_err(|error| error.to_string())?;
    Ok(text.into())
}

/// Replaces functions of the running kernel.
#[derive(Debug, Parser)]
#[command(name = "lpatch", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    /// Print one JSON object instead of text, for errors too; the man page lists its keys.
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
    /// If it cannot be enabled, or its transition is reversed, it is unloaded again.
    Load(Load),
    /// Redirect the functions of a loaded patch to their replacements, task by task.
    Enable(Begin),
    /// Let the original functions run again, task by task.
    Disable(Begin),
    /// Turn the transition of a patch around.
    ///
    /// What was being enabled is being disabled, and the other way round. A second time turns it again. There is no
    /// timeout on the way back.
    Reverse(Reverse),
    /// End the transition of a patch, whatever its tasks do. Unsound.
    Force(Force),
    /// Free a disabled patch.
    Unload(Name),
    /// List the loaded patches, oldest first.
    List,
    /// Show one patch, or the state of lpatch_core with the transition under way or the last one.
    Status(Status),
    /// Tell whether the text of a loaded patch is still what was loaded; for each byte that is not, where it is.
    DiffMem(Name),
    /// Write the linked patch as an ELF file with symbols, for objdump, gdb and perf.
    Link(Link),
    /// Describe a patch object, and report everything that would be refused.
    ///
    /// Its name, its seal, its functions, what becomes of its sections, its relocations, what it adds. No kernel is needed; if
    /// the files of one are named, names and bytes are looked up there.
    Info(Info),
    /// Do everything that load does except for the requests to lpatch_core, describe, and report all problems at once.
    ///
    /// For the running kernel, or for another one from its files.
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

/// When those are interrupted who are asleep.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Interrupting {
    /// Processes that are still asleep in a function that they have to leave are interrupted after so many seconds, as if they had
    /// been stopped and continued, and kernel threads are woken. By default 15, or as the transition was begun if it is turned around.
    #[arg(long, value_name = "SECONDS", value_parser = grace, conflicts_with = "no_interrupt")]
    pub(crate) interrupt_after: Option<u32>,
    /// Interrupt nobody, and wake nobody.
    #[arg(long)]
    pub(crate) no_interrupt: bool,
}

impl Interrupting {
    /// As the core takes it.
    pub(crate) fn ms(self) -> u32 {
        match self.interrupt_after {
            _ if self.no_interrupt => NO_INTERRUPT,
            Some(ms) => ms,
            None => 0,
        }
    }
}

/// How long a transition may take, and whether to wait.
#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// The transition is reversed if it is not complete after so many seconds; 0: never.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = timeout)]
    pub(crate) timeout: u32,
    /// When to interrupt.
    #[command(flatten)]
    pub(crate) interrupting: Interrupting,
    /// Begin the transition only; `lpatch status` tells how it goes.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

impl Waiting {
    /// As the core takes them.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            timeout_ms: self.timeout,
            interrupt_ms: self.interrupting.ms(),
        }
    }
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Patch object (.lpo), sealed for the running kernel.
    pub(crate) file: PathBuf,
    /// Load it only; `lpatch enable` later.
    #[arg(long, conflicts_with_all = ["timeout", "interrupt_after", "no_interrupt", "no_wait", "keep"])]
    pub(crate) no_enable: bool,
    /// Load nothing; tell whether it could be loaded, and which tasks would block its transition now.
    #[arg(long, conflicts_with_all = ["timeout", "interrupt_after", "no_interrupt", "no_wait", "keep", "no_enable"])]
    pub(crate) dry_run: bool,
    /// Never enter its functions by one jump, but through ftrace's handler: slower, and it leaves room for others who want
    /// their own jumps there, such as BPF programs.
    #[arg(long)]
    pub(crate) no_promote: bool,
    /// Refuse a module that comes later and that the patch does not fit. Without this the patch is left out of the module, which the
    /// kernel's log and `lpatch status` say.
    #[arg(long)]
    pub(crate) refuse_modules: bool,
    /// How to wait.
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    /// Leave the patch loaded, but disabled, if it cannot be enabled or its transition is reversed.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// A patch.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Name of the patch, as `lpatch list` shows it.
    #[arg(value_parser = patch_name)]
    pub(crate) name: String,
}

/// Arguments of `enable` and `disable`.
#[derive(Debug, Args)]
pub(crate) struct Begin {
    /// The patch.
    #[command(flatten)]
    pub(crate) patch: Name,
    /// How to wait.
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// Arguments of `reverse`.
#[derive(Debug, Args)]
pub(crate) struct Reverse {
    /// The patch.
    #[command(flatten)]
    pub(crate) patch: Name,
    /// When to interrupt.
    #[command(flatten)]
    pub(crate) interrupting: Interrupting,
    /// Turn it around only; `lpatch status` tells how it goes.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Arguments of `force`.
#[derive(Debug, Args)]
pub(crate) struct Force {
    /// The patch.
    #[command(flatten)]
    pub(crate) patch: Name,
    /// Yes, although it is unsound. Without it, lpatch says what that means, and does nothing.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Name of the patch; without it, the state of lpatch_core.
    #[arg(value_parser = patch_name)]
    pub(crate) name: Option<String>,
    /// Show the tasks that the transition under way waits for, each with its stack.
    #[arg(long, conflicts_with = "name")]
    pub(crate) blockers: bool,
}

/// Another kernel than the running one.
#[derive(Debug, Args)]
pub(crate) struct Kernel {
    /// Another kernel: a copy of its /proc/kallsyms.
    #[arg(long, value_name = "FILE")]
    pub(crate) kallsyms: Option<PathBuf>,
    /// Another kernel: its vmlinux or bzImage. If it is stripped, --kallsyms has the symbols; its build-id is enough.
    #[arg(long, value_name = "FILE")]
    pub(crate) vmlinux: Option<PathBuf>,
    /// Another kernel: a directory that has its modules, however deep. Functions of modules that its symbols lack are looked up there.
    #[arg(long, value_name = "DIR")]
    pub(crate) modules: Option<PathBuf>,
    /// Its release, as `uname -r` prints it, if its vmlinux does not tell.
    #[arg(long)]
    pub(crate) release: Option<String>,
    /// Its build-id in hex, if its vmlinux does not tell.
    #[arg(long, value_name = "HEX")]
    pub(crate) build_id: Option<String>,
}

/// Arguments of `info`.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Patch object.
    pub(crate) file: PathBuf,
    /// Look names and bytes up there too.
    #[command(flatten)]
    pub(crate) kernel: Kernel,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Patch object (.lpo), sealed.
    pub(crate) file: PathBuf,
    /// Verify against this one.
    #[command(flatten)]
    pub(crate) kernel: Kernel,
}

/// An address in hex.
fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let addr = u64::from_str_radix(digits, 16).map_err(|_| "not an address in hex".to_owned())?;
    if addr % 4096 == 0 {
        Ok(addr)
    } else {
        Err("not the address of a page (a multiple of 0x1000)".into())
    }
}

/// Arguments of `link`.
#[derive(Debug, Args)]
pub(crate) struct Link {
    /// Patch object (.lpo), sealed.
    pub(crate) file: PathBuf,
    /// Address of the text; constants and data follow, each behind a page that is left free.
    #[arg(long, value_name = "ADDR", value_parser = address, required_unless_present = "as_loaded")]
    pub(crate) base: Option<u64>,
    /// Link for where the core has loaded the patch of this name.
    #[arg(long, value_name = "NAME", value_parser = patch_name, conflicts_with = "base")]
    pub(crate) as_loaded: Option<String>,
    /// Where to write it; by default, the name of the patch object with .elf for what is behind its last dot.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Link for this one.
    #[command(flatten)]
    pub(crate) kernel: Kernel,
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
