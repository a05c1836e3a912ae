//! The parts of an ELF file that the kernel checks before it runs the file: the architecture, and the
//! path of the dynamic loader.

use std::fmt;

/// The first bytes of an ELF file.
pub(crate) const MAGIC: &[u8] = b"\x7fELF";

/// The size of the larger header, that of 64-bit files, in bytes.
pub(crate) const HEADER: usize = 64;

/// An architecture: processor, word size and byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    bits: u8,
    big_endian: bool,
    number: u16,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.number {
            3 => "i386",
            8 => "MIPS",
            20 => "32-bit PowerPC",
            21 => "PowerPC",
            22 => "S/390",
            40 => "ARM",
            62 => "x86-64",
            183 => "ARM64",
            243 => "RISC-V",
            258 => "LoongArch",
            number => return write!(f, "machine number {number} ({} bits)", self.bits),
        };
        write!(f, "{name} ({} bits)", self.bits)
    }
}

/// The header of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elf {
    /// The architecture that it is built for.
    pub machine: Machine,
    /// It is a program, or a shared object, which a position-independent program is too.
    pub executable: bool,
    table: u64,
    entry_size: u16,
    entries: u16,
}

impl Elf {
    /// Parses the first [`HEADER`] bytes of a file; `None` if that is no ELF file or a damaged one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Elf> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let bits = match bytes.get(4)? {
            1 => 32,
            2 => 64,
            _ => return None,
        };
        let big_endian = match bytes.get(5)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let machine = |number| Machine {
            bits,
            big_endian,
            number,
        };
        let at = |offset, size| number(bytes, big_endian, offset, size);
        let (table, sizes) = match bits {
            64 => (at(32, 8)?, 54),
            _ => (at(28, 4)?, 42),
        };
        Some(Elf {
            machine: machine(at(18, 2)? as u16),
            executable: matches!(at(16, 2)?, 2 | 3),
            table,
            entry_size: at(sizes, 2)? as u16,
            entries: at(sizes + 2, 2)? as u16,
        })
    }

    /// Offset and size of the program headers, in bytes.
    pub(crate) fn table(&self) -> (u64, usize) {
        (
            self.table,
            usize::from(self.entry_size) * usize::from(self.entries),
        )
    }

    /// Offset and size of the dynamic loader's path, in bytes; `None` for a static program.
    pub(crate) fn loader(&self, table: &[u8]) -> Option<(u64, u64)> {
        const INTERPRETER: u64 = 3;
        let Machine {
            bits, big_endian, ..
        } = self.machine;
        table
            .chunks_exact(usize::from(self.entry_size).max(1))
            .find_map(|entry| {
                let at = |offset, size| number(entry, big_endian, offset, size);
                if at(0, 4)? != INTERPRETER {
                    return None;
                }
                match bits {
                    64 => Some((at(8, 8)?, at(32, 8)?)),
                    _ => Some((at(4, 4)?, at(16, 4)?)),
                }
            })
    }
}

fn number(bytes: &[u8], big_endian: bool, offset: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset + size)?.iter();
    let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    Some(match big_endian {
        true => bytes.fold(0, add),
        false => bytes.rev().fold(0, add),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    #[test]
    fn the_dynamic_loader_of_a_program_is_found() {
        let program = fs::read("/proc/self/exe").unwrap();
        let elf = Elf::read(&program).unwrap();
        let (start, length) = elf.table();
        let table = &program[start as usize..start as usize + length];
        let (start, length) = elf.loader(table).unwrap();
        let loader = &program[start as usize..(start + length) as usize];
        let loader = std::str::from_utf8(loader).unwrap().trim_end_matches('\0');
        assert!(fs::metadata(loader).is_ok(), "{loader}");
        assert!(elf.executable);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            bits in 0u8..3,
            order in 0u8..3,
        ) {
            let mut header = MAGIC.to_vec();
            header.extend([bits, order]);
            header.extend(&bytes);
            for bytes in [bytes.as_slice(), &header] {
                if let Some(elf) = Elf::read(bytes) {
                    let _ = (elf.loader(bytes), elf.table(), elf.machine.to_string());
                }
            }
        }
    }
}
