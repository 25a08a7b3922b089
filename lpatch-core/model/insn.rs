// SPDX-License-Identifier: GPL-2.0

//! How long an x86-64 instruction is, whether it is a nop, and which field of it is relative.
//!
//! Lengths follow the opcode maps of the Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
//! appendix A. APX (REX2, EVEX map 4) and XOP are not known: kernels have no such code.

#[cfg(test)]
mod tests;

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Bytes, 1 to [`MAX`].
    pub len: usize,
    /// Whether it does nothing, by the rules of insn_is_nop() in arch/x86/lib/insn-eval.c: a nop that is not `pause`, a
    /// jump to the next instruction, a 64-bit `mov` of a register to itself, a 64-bit `lea` that does the same.
    pub nop: bool,
    /// Where a field is whose value counts from the end of the instruction.
    pub relative: Option<Relative>,
    /// Whether it is a `jmp` with 4 bytes of displacement and no prefix.
    pub jmp32: bool,
    /// Where it may go on but behind itself.
    pub flow: Flow,
}

/// Whether an instruction is a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It is none, or one that comes back or never ends here: a call, a return, an interrupt.
    On,
    /// A direct jump, whatever its condition.
    Jump,
    /// A jump through a register or memory.
    Indirect,
}

/// The displacement of a direct branch, or of an operand relative to the instruction pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relative {
    /// Its first byte, from the start of the instruction.
    pub at: usize,
    /// Its value.
    pub value: i32,
    /// 1, 2 or 4 bytes.
    pub size: usize,
}

/// Longest instruction.
pub const MAX: usize = 15;

const REX_W: u8 = 8;
const REX_R: u8 = 4;
const REX_X: u8 = 2;
const REX_B: u8 = 1;

/// Which table an opcode is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Map {
    One,
    /// Behind 0f.
    Two,
    /// Behind 0f 38.
    Three,
    /// Behind 0f 3a: all have a byte of immediate.
    ThreeByte,
    /// EVEX maps 5 and 6.
    Half,
}

/// The bytes in front of the opcode.
#[derive(Clone, Copy, Default)]
struct Prefixes {
    count: usize,
    /// 66.
    word: bool,
    /// 67.
    short: bool,
    /// f3.
    rep: bool,
    /// f2.
    repne: bool,
    /// All of them are 3e.
    only_ds: bool,
    rex: u8,
    vex: bool,
}

/// What follows the opcode.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Imm {
    None,
    Bytes(usize),
    /// 4 bytes, or 2 with 66.
    Operand,
    /// As wide as the operand: 8 bytes with REX.W.
    Wide,
    /// An address.
    Offset,
    /// A branch: from the end of the instruction.
    Branch(usize),
    /// f6 and f7: for two of their eight instructions.
    Test(bool),
}

/// Reads bytes one after the other.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.skip(1);
        Some(byte)
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// A signed number of 1, 2 or 4 bytes, here.
    fn signed(&self, size: usize) -> Option<i32> {
        let rest = self.bytes.get(self.at..)?;
        match size {
            1 => Some(i8::from_le_bytes(*rest.first_chunk()?).into()),
            2 => Some(i16::from_le_bytes(*rest.first_chunk()?).into()),
            4 => Some(i32::from_le_bytes(*rest.first_chunk()?)),
            _ => None,
        }
    }
}

/// The instruction that `bytes` begin with, or `None` if it is cut off or not known.
pub fn decode(bytes: &[u8]) -> Option<Insn> {
    let mut cursor = Cursor {
        bytes: bytes.get(..bytes.len().min(MAX))?,
        at: 0,
    };
    let mut prefixes = prefixes(&mut cursor)?;
    let (map, opcode) = opcode(&mut cursor, &mut prefixes)?;
    let (has_modrm, imm) = operands(map, opcode, &prefixes)?;

    let mut relative = None;
    let mut operand = Operand::default();
    let mut imm = imm;
    let mut flow = Flow::On;
    if has_modrm {
        operand = Operand::read(&mut cursor, &prefixes, &mut relative)?;
        if map == Map::Two && (0x20..=0x23).contains(&opcode) {
            // Moves of control and debug registers have two registers, whatever the mode says.
            let is_register = operand.mode == 3;
            is_register.then_some(())?;
        }
        imm = match imm {
            Imm::Test(_) if operand.reg & 6 != 0 => Imm::None,
            Imm::Test(true) => Imm::Operand,
            Imm::Test(false) => Imm::Bytes(1),
            imm => imm,
        };
        // ff is jmp with the numbers 4 and 5.
        if map == Map::One && opcode == 0xff && matches!(operand.reg & 7, 4 | 5) {
            flow = Flow::Indirect;
        }
        // 8f is pop with the number 0, else XOP.
        let pop = map == Map::One && opcode == 0x8f && !prefixes.vex;
        (!pop || operand.reg & 7 == 0).then_some(())?;
        // c7 is mov with the number 0. With 7 and a register it is xbegin, whose immediate leads to code.
        let mov = map == Map::One && opcode == 0xc7 && !prefixes.vex;
        (!mov || operand.reg & 7 == 0).then_some(())?;
    }
    let size = match imm {
        Imm::None => 0,
        Imm::Bytes(size) => size,
        Imm::Branch(size) => {
            let call = map == Map::One && opcode == 0xe8;
            if !call {
                flow = Flow::Jump;
            }
            relative = Some(Relative {
                at: cursor.at,
                value: cursor.signed(size)?,
                size,
            });
            size
        }
        Imm::Operand | Imm::Wide | Imm::Test(_) if prefixes.rex & REX_W == 0 && prefixes.word => 2,
        Imm::Wide if prefixes.rex & REX_W != 0 => 8,
        Imm::Operand | Imm::Wide | Imm::Test(_) => 4,
        Imm::Offset if prefixes.short => 4,
        Imm::Offset => 8,
    };
    cursor.skip(size);
    (cursor.at <= cursor.bytes.len()).then_some(())?;
    let jump = map == Map::One && !prefixes.vex && matches!(opcode, 0xe9 | 0xeb);
    Some(Insn {
        len: cursor.at,
        nop: match relative {
            Some(field) if jump => field.value == 0,
            _ => is_nop(map, opcode, &prefixes, &operand),
        },
        relative,
        jmp32: bytes.first() == Some(&0xe9),
        flow,
    })
}

fn prefixes(cursor: &mut Cursor<'_>) -> Option<Prefixes> {
    let mut found = Prefixes {
        only_ds: true,
        ..Prefixes::default()
    };
    loop {
        match cursor.peek()? {
            0x66 => found.word = true,
            0x67 => found.short = true,
            0xf3 => found.rep = true,
            0xf2 => found.repne = true,
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf0 => {}
            byte => {
                if byte & 0xf0 == 0x40 {
                    found.rex = byte & 0xf;
                    cursor.skip(1);
                }
                return Some(found);
            }
        }
        found.only_ds &= cursor.peek() == Some(0x3e);
        found.count = found.count.saturating_add(1);
        cursor.skip(1);
    }
}

fn opcode(cursor: &mut Cursor<'_>, prefixes: &mut Prefixes) -> Option<(Map, u8)> {
    let map = match cursor.next()? {
        0x0f => match cursor.next()? {
            0x38 => Map::Three,
            0x3a => Map::ThreeByte,
            opcode => return Some((Map::Two, opcode)),
        },
        // VEX of two bytes is always of the map behind 0f.
        0xc5 => {
            prefixes.vex = true;
            cursor.skip(1);
            Map::Two
        }
        0xc4 => {
            prefixes.vex = true;
            let map = cursor.next()? & 0x1f;
            cursor.skip(1);
            match map {
                1 => Map::Two,
                2 => Map::Three,
                3 => Map::ThreeByte,
                _ => return None,
            }
        }
        0x62 => {
            prefixes.vex = true;
            let map = cursor.next()? & 7;
            cursor.skip(2);
            match map {
                1 => Map::Two,
                2 => Map::Three,
                3 => Map::ThreeByte,
                5 | 6 => Map::Half,
                _ => return None,
            }
        }
        opcode => return Some((Map::One, opcode)),
    };
    Some((map, cursor.next()?))
}

/// Whether a ModRM byte follows, and what comes behind it; `None`: no such instruction in 64-bit mode.
fn operands(map: Map, opcode: u8, prefixes: &Prefixes) -> Option<(bool, Imm)> {
    match map {
        Map::One => one_byte(opcode),
        Map::Two if prefixes.vex => Some(match opcode {
            0x77 => (false, Imm::None),
            0x70..=0x73 | 0xc2 | 0xc4..=0xc6 => (true, Imm::Bytes(1)),
            _ => (true, Imm::None),
        }),
        // extrq and insertq of SSE4a, which have two immediates; kernels have no such code.
        Map::Two if opcode == 0x78 && (prefixes.word || prefixes.repne) => None,
        Map::Two => two_bytes(opcode),
        Map::Three | Map::Half => Some((true, Imm::None)),
        Map::ThreeByte => Some((true, Imm::Bytes(1))),
    }
}

fn one_byte(opcode: u8) -> Option<(bool, Imm)> {
    Some(match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => (true, Imm::None),
            4 => (false, Imm::Bytes(1)),
            5 => (false, Imm::Operand),
            _ => return None,
        },
        0x63 | 0x84..=0x8f | 0xd0..=0xd3 | 0xd8..=0xdf | 0xfe | 0xff => (true, Imm::None),
        0x60..=0x62 | 0x82 | 0x9a | 0xc4 | 0xc5 | 0xce | 0xd4 | 0xd5 | 0xea => return None,
        0x68 | 0xa9 => (false, Imm::Operand),
        0x69 | 0x81 | 0xc7 => (true, Imm::Operand),
        0x6a | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xe4..=0xe7 => (false, Imm::Bytes(1)),
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => (true, Imm::Bytes(1)),
        0x70..=0x7f | 0xe0..=0xe3 | 0xeb => (false, Imm::Branch(1)),
        0xa0..=0xa3 => (false, Imm::Offset),
        0xb8..=0xbf => (false, Imm::Wide),
        0xc2 | 0xca => (false, Imm::Bytes(2)),
        0xc8 => (false, Imm::Bytes(3)),
        // 66 does not shorten them in 64-bit mode.
        0xe8 | 0xe9 => (false, Imm::Branch(4)),
        0xf6 | 0xf7 => (true, Imm::Test(opcode == 0xf7)),
        // Prefixes that come here stand behind REX, which then means nothing: compilers do not write that.
        0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => return None,
        _ => (false, Imm::None),
    })
}

fn two_bytes(opcode: u8) -> Option<(bool, Imm)> {
    Some(match opcode {
        0x04 | 0x0a | 0x0c | 0x24..=0x27 | 0x36 | 0x38..=0x3f => return None,
        0x05..=0x09
        | 0x0b
        | 0x0e
        | 0x30..=0x37
        | 0x77
        | 0xa0..=0xa2
        | 0xa8..=0xaa
        | 0xc8..=0xcf => (false, Imm::None),
        0x0f | 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => (true, Imm::Bytes(1)),
        0x80..=0x8f => (false, Imm::Branch(4)),
        _ => (true, Imm::None),
    })
}

/// What a ModRM byte and what belongs to it name.
#[derive(Clone, Copy, Default)]
struct Operand {
    mode: u8,
    reg: u8,
    /// The register, or the base of an address.
    base: u8,
    /// An index that counts, or any scale.
    indexed: bool,
    displacement: i32,
}

impl Operand {
    fn read(
        cursor: &mut Cursor<'_>,
        prefixes: &Prefixes,
        relative: &mut Option<Relative>,
    ) -> Option<Self> {
        let high = |bit: u8| if prefixes.rex & bit == 0 { 0 } else { 8 };
        let modrm = cursor.next()?;
        let (mode, rm) = (modrm >> 6, modrm & 7);
        let mut operand = Self {
            mode,
            reg: modrm >> 3 & 7 | high(REX_R),
            base: rm | high(REX_B),
            ..Self::default()
        };
        let mut size = match mode {
            1 => 1,
            2 => 4,
            _ => 0,
        };
        if mode != 3 && rm == 4 {
            let sib = cursor.next()?;
            operand.base = sib & 7 | high(REX_B);
            operand.indexed = sib >> 6 != 0 || sib >> 3 & 7 | high(REX_X) != 4;
            if mode == 0 && sib & 7 == 5 {
                size = 4;
            }
        } else if mode == 0 && rm == 5 {
            *relative = Some(Relative {
                at: cursor.at,
                value: cursor.signed(4)?,
                size: 4,
            });
            size = 4;
        }
        if size != 0 {
            operand.displacement = cursor.signed(size)?;
            cursor.skip(size);
        }
        Some(operand)
    }
}

fn is_nop(map: Map, opcode: u8, prefixes: &Prefixes, operand: &Operand) -> bool {
    if prefixes.vex {
        return false;
    }
    let wide = prefixes.rex & REX_W != 0;
    match (map, opcode) {
        // With REX.B it exchanges two registers, with f3 it is pause.
        (Map::One, 0x90) => prefixes.rex & REX_B == 0 && !prefixes.rep,
        (Map::One, 0x89) => wide && operand.mode == 3 && operand.reg == operand.base,
        (Map::One, 0x8d) => {
            wide && prefixes.only_ds
                && matches!(operand.mode, 1 | 2)
                && operand.displacement == 0
                && !operand.indexed
                && operand.reg == operand.base
        }
        (Map::Two, 0x1f) => operand.reg == 0,
        _ => false,
    }
}
