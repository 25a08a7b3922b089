// SPDX-License-Identifier: GPL-2.0

//! Mirror of `lpatch.h`, which is canonical and documents every field.
//!
//! Compiled into the module and into the host crates. A test compares names, offsets, sizes and values
//! with what a C compiler makes of the header.

mod compare;
mod image;
mod transition;
mod wire;
pub use compare::*;
pub use image::*;
pub use transition::*;
use wire::wire;
pub use wire::Wire;

/// `LPATCH_ABI_VERSION`.
pub const ABI_VERSION: u32 = 1;
/// `LPATCH_NAME_LEN`: with the terminating NUL.
pub const NAME_LEN: usize = 64;
/// `LPATCH_VERSION_LEN`: with the terminating NUL.
pub const VERSION_LEN: usize = 32;
/// `LPATCH_SYM_LEN`: KSYM_NAME_LEN of the kernel.
pub const SYM_LEN: usize = 512;
/// `LPATCH_IMAGE_MAGIC`: "LPIM" in memory.
pub const IMAGE_MAGIC: u32 = 0x4d49_504c;
/// `LPATCH_IMAGE_MAX`.
pub const IMAGE_MAX: u32 = 32 << 20;
/// `LPATCH_ORC_HASH_LEN`.
pub const ORC_HASH_LEN: usize = 20;
/// `LPATCH_F_CONSISTENCY`: transitions move task by task; else all at once.
pub const F_CONSISTENCY: u32 = 1 << 0;
/// `LPATCH_STATE_LOADED`: installed, nothing redirected.
pub const STATE_LOADED: u32 = 1;
/// `LPATCH_STATE_ENABLED`.
pub const STATE_ENABLED: u32 = 2;
/// `LPATCH_STATE_ENABLING`: in transition; or, reversed, on the way back from enabled.
pub const STATE_ENABLING: u32 = 3;
/// `LPATCH_STATE_DISABLING`: in transition; also because another patch replaces it.
pub const STATE_DISABLING: u32 = 4;
/// `LPATCH_PATCH_REPLACE`: cumulative: replaces all others of its set.
pub const PATCH_REPLACE: u32 = 1 << 0;
/// `LPATCH_PATCH_PINNED`: forced: can never be unloaded.
pub const PATCH_PINNED: u32 = 1 << 1;
/// `LPATCH_PATCH_MODULE`: a kernel module registered it.
pub const PATCH_MODULE: u32 = 1 << 2;
/// `LPATCH_PATCH_LEFT_OUT`: it is left out of a module that is loaded, because it does not fit it.
pub const PATCH_LEFT_OUT: u32 = 1 << 3;
/// `LPATCH_PATCH_IN_CALLBACK`: a callback of it is running, or about to.
pub const PATCH_IN_CALLBACK: u32 = 1 << 4;
/// `LPATCH_PATCH_STUCK`: a task has died in a callback of it.
pub const PATCH_STUCK: u32 = 1 << 5;
/// `LPATCH_PATCH_HOLDS`: modules cannot go before it is unloaded and its memory is given back.
pub const PATCH_HOLDS: u32 = 1 << 6;

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $value:literal,)*) => {
        /// `enum lpatch_reason`: why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[$meta])* $name = $value,)*
        }

        impl Reason {
            /// Every reason with its name here: `ImageCrc` is `LPATCH_R_IMAGE_CRC` in C.
            pub const ALL: &'static [(Reason, &'static str)] =
                &[$((Reason::$name, stringify!($name)),)*];

            /// The reason that a reply carries, or `None` if this build does not know it.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code {
                    $($value => Some(Reason::$name),)*
                    _ => None,
                }
            }

            /// The number in a reply.
            pub const fn code(self) -> u32 {
                match self {
                    $(Reason::$name => $value,)*
                }
            }
        }
    };
}

reasons! {
    /// `LPATCH_OK`.
    Ok = 0,
    /// `LPATCH_R_SIZE`: hdr.size is not the size of the struct; @value: expected.
    Size = 1,
    /// `LPATCH_R_RESERVED`: a reserved field or unknown flag is set; @at: its offset.
    Reserved = 2,
    /// `LPATCH_R_FAULT`: a user pointer could not be read or written.
    Fault = 3,
    /// `LPATCH_R_NOMEM`: the kernel is out of memory.
    Nomem = 4,
    /// `LPATCH_R_PERM`: CAP_SYS_MODULE is missing.
    Perm = 5,
    /// `LPATCH_R_NAME`: the name is empty, unterminated or has other than [A-Za-z0-9._+-].
    Name = 6,
    /// `LPATCH_R_LOCKDOWN`: the kernel is locked down and the patch is not signed.
    Lockdown = 7,
    /// `LPATCH_R_TOO_BIG`: over a fixed limit; @value: the limit.
    TooBig = 8,
    /// `LPATCH_R_NOT_READY`: the module is still initializing; try again.
    NotReady = 9,
    /// `LPATCH_R_NO_SUCH_PATCH`.
    NoSuchPatch = 16,
    /// `LPATCH_R_EXISTS`: a patch of this name is loaded.
    Exists = 17,
    /// `LPATCH_R_ENABLED`: the patch is enabled: disable it first.
    Enabled = 18,
    /// `LPATCH_R_NOT_ENABLED`.
    NotEnabled = 19,
    /// `LPATCH_R_BUSY`: a task may still be in code of the patch; @value: its pid (0: idle).
    Busy = 20,
    /// `LPATCH_R_NO_RESERVATION`: load without reserve on this file.
    NoReservation = 21,
    /// `LPATCH_R_RESERVED_TWICE`: this file holds a reservation already.
    ReservedTwice = 22,
    /// `LPATCH_R_IN_TRANSITION`: a transition is under way; @value: id of its patch.
    InTransition = 23,
    /// `LPATCH_R_NO_TRANSITION`: there is no transition, or not one of this patch.
    NoTransition = 24,
    /// `LPATCH_R_LATE`: the transition has just been reversed; try again.
    Late = 25,
    /// `LPATCH_R_STACKED`: a newer patch changes a function of it; @value: its id.
    Stacked = 26,
    /// `LPATCH_R_PINNED`: forced, or replaced by force: can never be unloaded.
    Pinned = 27,
    /// `LPATCH_R_INTERRUPTED`: a signal came; the transition goes on.
    Interrupted = 28,
    /// `LPATCH_R_CALLBACK`: a pre-patch callback refused; @at: its index; @value: the errno.
    Callback = 29,
    /// `LPATCH_R_STATE`: it does not support a state of a patch that it replaces; @value: the id of the state.
    State = 30,
    /// `LPATCH_R_GRACE`: a patch module: a task runs in the kernel without sleeping, so nobody knows of dying ones; try again.
    Grace = 31,
    /// `LPATCH_R_ARENA_TEXT`: no room; @value: largest free run in bytes.
    ArenaText = 32,
    /// `LPATCH_R_ARENA_RODATA`.
    ArenaRodata = 33,
    /// `LPATCH_R_ARENA_DATA`.
    ArenaData = 34,
    /// `LPATCH_R_ARENA_BUGS`.
    ArenaBugs = 35,
    /// `LPATCH_R_EMPTY`: a patch without text.
    Empty = 36,
    /// `LPATCH_R_NO_COPY`: its text is a kernel module's, of which the core has no copy.
    NoCopy = 37,
    /// `LPATCH_R_KERNEL`: a call into the kernel failed; @value: the errno.
    Kernel = 40,
    /// `LPATCH_R_IN_CALLBACK`: a callback of the patch is running; @value: the pid of its task (0: it has none yet).
    InCallback = 41,
    /// `LPATCH_R_STUCK`: a task has died in a callback of the patch; @value: its pid.
    Stuck = 42,
    /// `LPATCH_R_IMAGE_MAGIC`.
    ImageMagic = 48,
    /// `LPATCH_R_IMAGE_HEADER`: header_size or image_size is wrong.
    ImageHeader = 49,
    /// `LPATCH_R_IMAGE_CRC`: @value: computed CRC-32.
    ImageCrc = 50,
    /// `LPATCH_R_IMAGE_EXTENT`: an extent lies outside the image; @at: offset of the extent.
    ImageExtent = 51,
    /// `LPATCH_R_IMAGE_OVERLAP`: two extents overlap; @at: offset of the second extent.
    ImageOverlap = 52,
    /// `LPATCH_R_IMAGE_STRING`: a string is out of bounds or unterminated; @at: its offset.
    ImageString = 53,
    /// `LPATCH_R_IMAGE_RELEASE`: made for another kernel release.
    ImageRelease = 54,
    /// `LPATCH_R_IMAGE_ORC`: ORC format differs from this kernel's.
    ImageOrc = 55,
    /// `LPATCH_R_IMAGE_LENGTH`: text, rodata or data do not fit the reservation.
    ImageLength = 56,
    /// `LPATCH_R_RELOC_KIND`.
    RelocKind = 64,
    /// `LPATCH_R_RELOC_SITE`: site out of bounds.
    RelocSite = 65,
    /// `LPATCH_R_RELOC_TARGET`: symbol index or offset out of bounds.
    RelocTarget = 66,
    /// `LPATCH_R_RELOC_RANGE`: value does not fit the field.
    RelocRange = 67,
    /// `LPATCH_R_RELOC_VALUE`: field does not hold S+A or S+A-P; @value: what it should be.
    RelocValue = 68,
    /// `LPATCH_R_RELOC_OVERLAP`: two sites overlap, or the table is not sorted.
    RelocOverlap = 69,
    /// `LPATCH_R_SYMBOL`: address is not the start of that symbol; @value: address.
    Symbol = 72,
    /// `LPATCH_R_SYMBOL_OBJECT`: its module is not loaded, or going away.
    SymbolObject = 73,
    /// `LPATCH_R_SYMBOL_OURS`: of a patch, or of lpatch_core, which does not export it; @value: address.
    SymbolOurs = 74,
    /// `LPATCH_R_ORC`: out of bounds or not sorted.
    Orc = 80,
    /// `LPATCH_R_EXTABLE`.
    Extable = 81,
    /// `LPATCH_R_BUG`.
    Bug = 82,
    /// `LPATCH_R_SITE`: site out of bounds or its bytes are not what the kind needs.
    Site = 83,
    /// `LPATCH_R_KSYM`.
    Ksym = 84,
    /// `LPATCH_R_COLD`: not the cold part of that function, or not sorted; or only len is wrong: @value: length.
    Cold = 85,
    /// `LPATCH_R_CALLBACK_TABLE`: a callback has no valid kind or object, cannot be called, or is not sorted.
    CallbackTable = 86,
    /// `LPATCH_R_STATE_TABLE`: two states of one id, or not sorted; @value: the id.
    StateTable = 87,
    /// `LPATCH_R_ALTERNATIVE`: out of bounds, not sorted, overlaps, or its instructions cannot be moved; @value: the feature.
    Alternative = 88,
    /// `LPATCH_R_NO_FUNCS`.
    NoFuncs = 96,
    /// `LPATCH_R_FUNC_NEW`: new code is out of the text, or its stack cannot be unwound.
    FuncNew = 97,
    /// `LPATCH_R_FUNC_SYMBOL`: old_addr is not that function; or only old_len is wrong: @value: length.
    FuncSymbol = 98,
    /// `LPATCH_R_FUNC_OBJECT`: its module is not loaded, or going away.
    FuncObject = 99,
    /// `LPATCH_R_FUNC_OURS`: part of lpatch_core or of a patch.
    FuncOurs = 100,
    /// `LPATCH_R_FUNC_FENTRY`: no fentry site: notrace, __init, Rust, or lib/ code.
    FuncFentry = 101,
    /// `LPATCH_R_FUNC_PREIMAGE`: bytes differ from what the patch was made for; @value: CRC-32 found.
    FuncPreimage = 102,
    /// `LPATCH_R_FUNC_TWICE`: two entries for one function, or the table is not sorted.
    FuncTwice = 103,
    /// `LPATCH_R_FUNC_CONFLICT`: an enabled patch of another set changes it; @value: its id.
    FuncConflict = 104,
    /// `LPATCH_R_FUNC_OWNED`: upstream livepatch or another IPMODIFY user holds it.
    FuncOwned = 105,
    /// `LPATCH_R_FTRACE`: ftrace refused; @value: the errno.
    Ftrace = 106,
    /// `LPATCH_R_FTRACE_OFF`: kernel.ftrace_enabled is 0.
    FtraceOff = 107,
    /// `LPATCH_R_FTRACE_DEAD`: ftrace has switched itself off until the next boot; what it has is in force, and stays.
    FtraceDead = 108,
    /// `LPATCH_R_FUNC_OFFLINE`: a CPU that is offline may execute it, which nobody can wait for.
    FuncOffline = 109,
    /// `LPATCH_R_FUNC_PROBED`: nobody can tell what was in the place of a kprobe, as a thread runs in the kernel without sleeping; @value: where it is.
    FuncProbed = 110,
    /// `LPATCH_R_MITIGATION`: returns or indirect branches of this boot have a form lpatch does not know.
    Mitigation = 112,
    /// `LPATCH_R_CALL_DEPTH`: calls are counted (retbleed=stuff) in a way lpatch does not know.
    CallDepth = 113,
}

wire! {
    /// `struct lpatch_hdr`: head of every request.
    pub struct Hdr {
        /// in: size of the whole struct
        pub size: u32,
        /// out: enum lpatch_reason
        pub reason: u32,
        /// out: see enum lpatch_reason
        pub at: u64,
        /// out: see enum lpatch_reason
        pub value: u64,
    }
}

wire! {
    /// `struct lpatch_query`: what the core is and has.
    pub struct Query {
        /// head
        pub hdr: Hdr,
        /// out: ABI_VERSION
        pub abi: u32,
        /// out: `F_*`
        pub features: u32,
        /// out: granularity of the arena
        pub page_size: u32,
        /// out: ORC entries that come with a page of text
        pub orc_per_page: u32,
        /// out: exception table entries that come with a page of text
        pub ex_per_page: u32,
        /// out: slots of the bug table
        pub bugs_total: u32,
        /// out: of them free
        pub bugs_free: u32,
        /// out: loaded patches
        pub patches: u32,
        /// out: bytes of text arena
        pub text_total: u64,
        /// out: of them free
        pub text_free: u64,
        /// out: bytes of rodata arena
        pub rodata_total: u64,
        /// out: of them free
        pub rodata_free: u64,
        /// out: bytes of data arena
        pub data_total: u64,
        /// out: of them free
        pub data_free: u64,
        /// out: largest image in bytes
        pub image_max: u64,
        /// out: hash of the kernel's ORC format, as in the section .orc_header
        pub orc_hash: [u8; ORC_HASH_LEN],
        /// out: patches that were unloaded and still have memory: a task that is dying may be in there
        pub lingering: u32,
    }
}

wire! {
    /// `struct lpatch_reserve`: take room in the arena, for one patch, on this file.
    pub struct Reserve {
        /// head
        pub hdr: Hdr,
        /// in: bytes of text, at least 1
        pub text_len: u32,
        /// in: bytes of rodata
        pub rodata_len: u32,
        /// in: bytes of data and bss
        pub data_len: u32,
        /// in: ORC entries
        pub orcs: u32,
        /// in: exception table entries
        pub exs: u32,
        /// in: bug table entries
        pub bugs: u32,
        /// in: zero
        pub flags: u64,
        /// out: address of the text, page aligned
        pub text_addr: u64,
        /// out: address of the rodata, page aligned, or 0
        pub rodata_addr: u64,
        /// out: address of the data, page aligned, or 0
        pub data_addr: u64,
    }
}

/// `lpatch_load.flags`: calls of its functions always come through the ftrace handler.
pub const LOAD_NO_PROMOTE: u64 = 1;
/// `lpatch_load.flags`: a module that comes later and that the patch does not fit is refused; else the patch is left out of it.
pub const LOAD_REFUSE_MODULES: u64 = 2;

wire! {
    /// `struct lpatch_load`: verify and install a linked image into this file's reservation.
    pub struct Load {
        /// head
        pub hdr: Hdr,
        /// in: user address of the image
        pub image: u64,
        /// in: its length
        pub image_len: u64,
        /// in: `LOAD_*`
        pub flags: u64,
    }
}

/// `LPATCH_INTERRUPT_MS`: what 0 in [`Op::interrupt_ms`] stands for where a transition begins.
pub const INTERRUPT_MS: u32 = 15_000;
/// `LPATCH_NO_INTERRUPT`: never.
pub const NO_INTERRUPT: u32 = u32::MAX;

wire! {
    /// `struct lpatch_op`: a request about one patch: enable, disable, reverse, force, unload.
    pub struct Op {
        /// head
        pub hdr: Hdr,
        /// in: its name
        pub name: [u8; NAME_LEN],
        /// in: zero
        pub flags: u64,
        /// in: enable and disable: the transition reverses by itself when it has not completed after so many
        /// milliseconds; 0: never. Else it means nothing
        pub timeout_ms: u32,
        /// in: enable, disable and reverse: tasks that are asleep in functions that they have to leave are interrupted after
        /// so many milliseconds; 0: [`INTERRUPT_MS`], and for reverse as the transition was begun; [`NO_INTERRUPT`]: never
        pub interrupt_ms: u32,
    }
}

wire! {
    /// `struct lpatch_patch_info`: one patch.
    pub struct PatchInfo {
        /// its name
        pub name: [u8; NAME_LEN],
        /// its version, may be empty
        pub version: [u8; VERSION_LEN],
        /// the set that it belongs to
        pub set: [u8; NAME_LEN],
        /// `STATE_*`
        pub state: u32,
        /// `PATCH_*`
        pub flags: u32,
        /// its place among the enabled patches, from 1; the highest that changes a function is in force; 0: none
        pub order: u32,
        /// functions that it replaces
        pub funcs: u32,
        /// counts up from 1 with each load since the module was loaded
        pub id: u64,
        /// where its text is
        pub text_addr: u64,
        /// bytes
        pub text_len: u32,
        /// bytes
        pub rodata_len: u32,
        /// bytes
        pub data_len: u32,
        /// bug table entries
        pub bugs: u32,
        /// CLOCK_MONOTONIC when it was loaded
        pub loaded_ns: u64,
        /// CLOCK_MONOTONIC when it was last enabled, or 0
        pub enabled_ns: u64,
        /// where its constants are, or 0: it has none, or a kernel module has them
        pub rodata_addr: u64,
        /// where its data are, or 0 likewise
        pub data_addr: u64,
    }
}

wire! {
    /// `struct lpatch_list`: all patches, oldest first.
    pub struct List {
        /// head
        pub hdr: Hdr,
        /// in: user address of an array of struct lpatch_patch_info
        pub entries: u64,
        /// in: its length in entries
        pub capacity: u32,
        /// out: patches that exist; the first min(count, capacity) were written
        pub count: u32,
    }
}

wire! {
    /// `struct lpatch_func_info`: one function of a patch.
    pub struct FuncInfo {
        /// name of the replaced function
        pub name: [u8; SYM_LEN],
        /// "vmlinux" or the module that has it
        pub objname: [u8; NAME_LEN],
        /// its address, or 0 while its module is not loaded
        pub old_addr: u64,
        /// address of its replacement
        pub new_addr: u64,
        /// bytes, or 0 while its module is not loaded
        pub old_len: u32,
        /// bytes
        pub new_len: u32,
        /// `PATH_*`
        pub path: u32,
        /// with [`PATH_HANDLER`], why it is not promoted: an errno; 0: it is about to be
        pub path_errno: u32,
    }
}

/// `enum lpatch_path`: calls do not come to the replacement.
pub const PATH_NONE: u32 = 0;
/// Through the ftrace handler.
pub const PATH_HANDLER: u32 = 1;
/// By a jump that asks first, because the function is in transition or has just been.
pub const PATH_ASK: u32 = 2;
/// By a jump: the function is promoted.
pub const PATH_JUMP: u32 = 3;
/// By a jump, and behind what somebody else who uses ftrace has there.
pub const PATH_TRACED: u32 = 4;
/// They do not: the function's module is loaded, but the patch does not fit it and is left out of it.
pub const PATH_LEFT_OUT: u32 = 5;

wire! {
    /// `struct lpatch_status`: one patch with its functions.
    pub struct Status {
        /// head
        pub hdr: Hdr,
        /// in: its name
        pub name: [u8; NAME_LEN],
        /// out: the patch
        pub info: PatchInfo,
        /// in: user address of an array of struct lpatch_func_info
        pub entries: u64,
        /// in: its length in entries
        pub capacity: u32,
        /// out: functions that exist; the first min(count, capacity) were written
        pub count: u32,
    }
}

const fn iowr<T>(nr: u32) -> u32 {
    const IOC_READ_WRITE: u32 = 3;
    const IOC_MAGIC: u32 = 0xb7;
    assert!(size_of::<T>() < 1 << 14);
    #[expect(
        clippy::as_conversions,
        reason = "TryFrom is not const; the assertion bounds the value"
    )]
    let size = size_of::<T>() as u32;
    IOC_READ_WRITE << 30 | size << 16 | IOC_MAGIC << 8 | nr
}

/// `LPATCH_IOC_QUERY`, with a [`Query`].
pub const IOC_QUERY: u32 = iowr::<Query>(0);
/// `LPATCH_IOC_RESERVE`, with a [`Reserve`].
pub const IOC_RESERVE: u32 = iowr::<Reserve>(1);
/// `LPATCH_IOC_LOAD`, with a [`Load`].
pub const IOC_LOAD: u32 = iowr::<Load>(2);
/// `LPATCH_IOC_ENABLE`, with a [`Op`].
pub const IOC_ENABLE: u32 = iowr::<Op>(3);
/// `LPATCH_IOC_DISABLE`, with a [`Op`].
pub const IOC_DISABLE: u32 = iowr::<Op>(4);
/// `LPATCH_IOC_UNLOAD`, with a [`Op`].
pub const IOC_UNLOAD: u32 = iowr::<Op>(5);
/// `LPATCH_IOC_LIST`, with a [`List`].
pub const IOC_LIST: u32 = iowr::<List>(6);
/// `LPATCH_IOC_STATUS`, with a [`Status`].
pub const IOC_STATUS: u32 = iowr::<Status>(7);
/// `LPATCH_IOC_REVERSE`, with a [`Op`].
pub const IOC_REVERSE: u32 = iowr::<Op>(8);
/// `LPATCH_IOC_FORCE`, with a [`Op`].
pub const IOC_FORCE: u32 = iowr::<Op>(9);
/// `LPATCH_IOC_TRANSITION`, with a [`Transition`].
pub const IOC_TRANSITION: u32 = iowr::<Transition>(10);
/// `LPATCH_IOC_WAIT`, with a [`Transition`].
pub const IOC_WAIT: u32 = iowr::<Transition>(11);
/// `LPATCH_IOC_BLOCKERS`, with a [`Blockers`].
pub const IOC_BLOCKERS: u32 = iowr::<Blockers>(12);
/// `LPATCH_IOC_COMPARE`, with a [`Compare`].
pub const IOC_COMPARE: u32 = iowr::<Compare>(13);
