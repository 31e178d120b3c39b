//! [`Narrow`]: a signed number in as many bytes as it usually needs.

/// A number in `N` bytes, two's complement, from -2^(8N-1) to 2^(8N-1)-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Narrow<const N: usize>([u8; N]);

impl<const N: usize> Narrow<N> {
    pub const ZERO: Self = Self([0; N]);

    /// `None` if it does not fit.
    pub fn of(number: i64) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&number.to_le_bytes()[..N]);
        Some(Self(bytes)).filter(|narrow| narrow.get() == number)
    }

    /// `None` if it does not fit.
    pub fn of_unsigned(number: impl TryInto<i64>) -> Option<Self> {
        Self::of(number.try_into().ok()?)
    }

    pub fn get(self) -> i64 {
        let mut bytes = [0; 8];
        bytes[8 - N..].copy_from_slice(&self.0);
        i64::from_le_bytes(bytes) >> (64 - 8 * N)
    }

    /// One that was made of an unsigned number.
    pub fn get_unsigned(self) -> u64 {
        self.get().unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_fits_and_nothing_else() {
        for number in [0, 1, -1, 127, -128, 8_388_607, -8_388_608] {
            assert_eq!(Narrow::<3>::of(number).map(Narrow::get), Some(number));
        }
        for number in [8_388_608, -8_388_609, i64::MAX, i64::MIN] {
            assert_eq!(Narrow::<3>::of(number), None);
        }
        assert_eq!(Narrow::<5>::of_unsigned(u64::MAX), None);
        assert_eq!(Narrow::<5>::of_unsigned(7u64).map(Narrow::get_unsigned), Some(7));
    }
}
