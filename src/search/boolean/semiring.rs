//! Arithmetic in 64 lanes: Z_2 as bits of a word, other commutative semirings by tables.

use crate::engine::{Error, Result};

/// Lanes of a word: samples, or starts of a search.
pub const LANES: usize = 64;

/// Values of a commutative semiring, 64 at a time; elements are 0..size.
pub trait Semiring: Sync {
    /// 64 values.
    type Word: Copy + Send + Sync;
    /// Number of elements.
    fn size(&self) -> u8;
    /// One value in all lanes.
    fn splat(&self, value: u8) -> Self::Word;
    /// The sum in each lane.
    fn add(&self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// The product in each lane.
    fn mul(&self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// The neutral element of sums, then that of products.
    fn neutral(&self) -> [u8; 2];
    /// d with b + d = a in each lane, where sums can be undone.
    fn minus(&self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Whether sums can be undone.
    fn has_minus(&self) -> bool;
    /// The lanes in which two words differ, as bits.
    fn differ(&self, a: Self::Word, b: Self::Word) -> u64;
    /// The value of a lane.
    fn get(&self, word: &Self::Word, lane: usize) -> u8;
    /// Sets the value of a lane.
    fn set(&self, word: &mut Self::Word, lane: usize, value: u8);
}

/// Z_2: xor and and.
#[derive(Debug, Clone, Copy)]
pub struct Bits;

impl Semiring for Bits {
    type Word = u64;

    fn size(&self) -> u8 {
        2
    }

    #[inline]
    fn splat(&self, value: u8) -> u64 {
        u64::from(value & 1).wrapping_neg()
    }

    #[inline]
    fn add(&self, a: u64, b: u64) -> u64 {
        a ^ b
    }

    #[inline]
    fn mul(&self, a: u64, b: u64) -> u64 {
        a & b
    }

    fn neutral(&self) -> [u8; 2] {
        [0, 1]
    }

    #[inline]
    fn minus(&self, a: u64, b: u64) -> u64 {
        a ^ b
    }

    fn has_minus(&self) -> bool {
        true
    }

    #[inline]
    fn differ(&self, a: u64, b: u64) -> u64 {
        a ^ b
    }

    #[inline]
    fn get(&self, word: &u64, lane: usize) -> u8 {
        (word >> lane & 1) as u8
    }

    #[inline]
    fn set(&self, word: &mut u64, lane: usize, value: u8) {
        *word = *word & !(1 << lane) | u64::from(value & 1) << lane;
    }
}

/// A semiring by its tables.
#[derive(Debug, Clone)]
pub struct Tables {
    size: usize,
    neutral: [u8; 2],
    sums: Vec<u8>,
    products: Vec<u8>,
    /// Entry (a, b) is a - b; empty where sums cannot be undone.
    differences: Vec<u8>,
}

impl Tables {
    /// Elements 0..size with these tables of sums and products, row by row.
    ///
    /// # Errors
    /// [`Error::Value`] where the tables are not those of a commutative semiring of 2 to 64
    /// elements.
    pub fn new(size: usize, sums: Vec<u8>, products: Vec<u8>) -> Result<Self> {
        if !(2..=64).contains(&size) {
            let fix = "count modulo a smaller number";
            return Err(Error::value("size", "in [2, 64]", size, fix));
        }
        let refuse = |name: &str, law: &str| {
            Err(Error::value(name, law, "a table that is not", "see thalweg.search.boolean"))
        };
        for (name, table) in [("sums", &sums), ("products", &products)] {
            if table.len() != size * size || table.iter().any(|&v| v as usize >= size) {
                return refuse(name, "square, of elements");
            }
        }
        let of = |table: &[u8], a: usize, b: usize| table[a * size + b] as usize;
        for (name, table) in [("sums", &sums), ("products", &products)] {
            let all = |law: &dyn Fn(usize, usize, usize) -> bool| {
                (0..size).all(|a| (0..size).all(|b| (0..size).all(|c| law(a, b, c))))
            };
            if !all(&|a, b, _| of(table, a, b) == of(table, b, a)) {
                return refuse(name, "commutative");
            }
            let law = |a, b, c| of(table, of(table, a, b), c) == of(table, a, of(table, b, c));
            if !all(&law) {
                return refuse(name, "associative");
            }
            let spread = |a, b, c| {
                let apart = of(&sums, of(&products, a, b), of(&products, a, c));
                of(&products, a, of(&sums, b, c)) == apart
            };
            if !all(&spread) {
                return refuse("products", "distributive over sums");
            }
        }
        let rest = |table: &[u8]| (0..size).find(|&e| (0..size).all(|a| of(table, e, a) == a));
        let (Some(zero), Some(one)) = (rest(&sums), rest(&products)) else {
            return refuse("sums and products", "with neutral elements");
        };
        if (0..size).any(|a| of(&products, zero, a) != zero) {
            return refuse("products", "zero for zero");
        }
        let undo = |a: usize, b: usize| (0..size).find(|&d| of(&sums, b, d) == a);
        let differences: Option<Vec<u8>> =
            (0..size * size).map(|i| undo(i / size, i % size).map(|d| d as u8)).collect();
        let neutral = [zero as u8, one as u8];
        Ok(Self { size, neutral, sums, products, differences: differences.unwrap_or_default() })
    }

    #[inline]
    fn each(&self, table: &[u8], a: [u8; LANES], b: [u8; LANES]) -> [u8; LANES] {
        std::array::from_fn(|i| table[a[i] as usize * self.size + b[i] as usize])
    }
}

impl Semiring for Tables {
    type Word = [u8; LANES];

    fn size(&self) -> u8 {
        self.size as u8
    }

    fn splat(&self, value: u8) -> Self::Word {
        [value; LANES]
    }

    fn add(&self, a: Self::Word, b: Self::Word) -> Self::Word {
        self.each(&self.sums, a, b)
    }

    fn mul(&self, a: Self::Word, b: Self::Word) -> Self::Word {
        self.each(&self.products, a, b)
    }

    fn neutral(&self) -> [u8; 2] {
        self.neutral
    }

    fn minus(&self, a: Self::Word, b: Self::Word) -> Self::Word {
        self.each(&self.differences, a, b)
    }

    fn has_minus(&self) -> bool {
        !self.differences.is_empty()
    }

    fn differ(&self, a: Self::Word, b: Self::Word) -> u64 {
        (0..LANES).fold(0, |bits, i| bits | u64::from(a[i] != b[i]) << i)
    }

    fn get(&self, word: &Self::Word, lane: usize) -> u8 {
        word[lane]
    }

    fn set(&self, word: &mut Self::Word, lane: usize, value: u8) {
        word[lane] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(size: usize, sum: fn(usize, usize, usize) -> usize) -> Result<Tables> {
        let entries = |f: &dyn Fn(usize, usize) -> usize| -> Vec<u8> {
            (0..size * size).map(|i| f(i / size, i % size) as u8).collect()
        };
        let modular = sum(size - 1, 1, size) == 0;
        let product =
            |a: usize, b: usize| if modular { a * b % size } else { (a * b).min(size - 1) };
        Tables::new(size, entries(&|a, b| sum(a, b, size)), entries(&product))
    }

    #[test]
    fn lanes_are_apart() {
        let modular = tables(5, |a, b, n| (a + b) % n).unwrap();
        let (mut a, mut b) = (modular.splat(0), modular.splat(4));
        modular.set(&mut a, 63, 3);
        modular.set(&mut b, 63, 2);
        assert_eq!([0, 63].map(|i| modular.get(&modular.add(a, b), i)), [4, 0]);
        assert_eq!([0, 63].map(|i| modular.get(&modular.mul(a, b), i)), [0, 1]);
        assert_eq!([0, 63].map(|i| modular.get(&modular.minus(a, b), i)), [1, 1]);
        assert_eq!(modular.differ(a, modular.splat(0)), 1 << 63);
        let mut bits = Bits.splat(1);
        Bits.set(&mut bits, 5, 0);
        assert_eq!([Bits.get(&bits, 5), Bits.get(&bits, 6)], [0, 1]);
    }

    #[test]
    fn laws_are_checked() {
        let saturating = tables(4, |a, b, n| (a + b).min(n - 1)).unwrap();
        assert!(!saturating.has_minus() && tables(4, |a, b, n| (a + b) % n).unwrap().has_minus());
        let xor_and = |sums: [u8; 4], products: [u8; 4]| {
            Tables::new(2, sums.to_vec(), products.to_vec()).map_err(|error| error.to_string())
        };
        assert!(xor_and([0, 1, 1, 0], [0, 0, 0, 1]).is_ok());
        assert!(xor_and([0, 1, 0, 0], [0, 0, 0, 1]).unwrap_err().contains("commutative"));
        assert!(xor_and([1, 0, 0, 0], [0, 0, 0, 1]).unwrap_err().contains("associative"));
        assert!(xor_and([0, 0, 0, 1], [0, 1, 1, 0]).unwrap_err().contains("distributive"));
        assert!(xor_and([0, 0, 0, 0], [0, 0, 0, 0]).unwrap_err().contains("neutral"));
        assert!(xor_and([0, 2, 2, 0], [0, 0, 0, 1]).unwrap_err().contains("square"));
        assert!(Tables::new(65, vec![], vec![]).is_err());
    }
}
