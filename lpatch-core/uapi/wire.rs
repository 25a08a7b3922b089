// SPDX-License-Identifier: GPL-2.0

//! Reading and writing of ABI structs as little-endian bytes, without unsafe code.

/// A value with a fixed representation in bytes.
pub trait Wire: Sized {
    /// Length of the representation in bytes.
    const SIZE: usize;

    /// Reads a value from the first [`Self::SIZE`] bytes, or `None` if there are fewer.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Writes the value to the first [`Self::SIZE`] bytes, or returns `None` if there are fewer.
    fn write(&self, bytes: &mut [u8]) -> Option<()>;
}

macro_rules! wire_int {
    ($($ty:ty),*) => {$(
        impl Wire for $ty {
            const SIZE: usize = size_of::<$ty>();

            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                Some(Self::from_le_bytes(*bytes.first_chunk()?))
            }

            #[inline]
            fn write(&self, bytes: &mut [u8]) -> Option<()> {
                *bytes.first_chunk_mut()? = self.to_le_bytes();
                Some(())
            }
        }
    )*};
}
wire_int!(u8, u16, u32, u64, i16, i32, i64);

impl<const N: usize> Wire for [u8; N] {
    const SIZE: usize = N;

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied()
    }

    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        *bytes.first_chunk_mut()? = *self;
        Some(())
    }
}

impl<const N: usize> Wire for [u64; N] {
    const SIZE: usize = N * size_of::<u64>();

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut array = [0; N];
        let from = bytes.get(..Self::SIZE)?;
        for (to, from) in array.iter_mut().zip(from.chunks_exact(size_of::<u64>())) {
            *to = u64::read(from)?;
        }
        Some(array)
    }

    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        let to = bytes.get_mut(..Self::SIZE)?;
        for (to, from) in to.chunks_exact_mut(size_of::<u64>()).zip(self) {
            from.write(to)?;
        }
        Some(())
    }
}

/// Declares a `repr(C)` struct without padding and its [`Wire`] representation.
macro_rules! wire {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $ty,)*
        }

        impl Wire for $name {
            const SIZE: usize = 0 $(+ <$ty as Wire>::SIZE)*;

            fn read(bytes: &[u8]) -> Option<Self> {
                let mut _rest = bytes;
                $(
                    let (field, tail) = _rest.split_at_checked(<$ty as Wire>::SIZE)?;
                    let $field = <$ty as Wire>::read(field)?;
                    _rest = tail;
                )*
                Some(Self { $($field,)* })
            }

            fn write(&self, bytes: &mut [u8]) -> Option<()> {
                let mut _rest = bytes;
                $(
                    let (field, tail) = _rest.split_at_mut_checked(<$ty as Wire>::SIZE)?;
                    self.$field.write(field)?;
                    _rest = tail;
                )*
                Some(())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                // The representation of every field type has an all-zero value.
                Self::read(&[0; <Self as Wire>::SIZE]).expect("the length is SIZE")
            }
        }

        impl $name {
            /// Name and offset of every field, in order.
            pub const FIELDS: &'static [(&'static str, usize)] = &[
                $((stringify!($field), core::mem::offset_of!($name, $field)),)*
            ];
        }

        // No implicit padding: the C compiler and the byte representation agree.
        const _: () = assert!(size_of::<$name>() == <$name as Wire>::SIZE);
    };
}
pub(crate) use wire;
