//! Noise for private releases: ChaCha20, normal and Gumbel numbers.
//!
//! Bernstein 2008; RFC 8439. The key should come from the operating system: whoever knows it can
//! take the noise off again. Normal numbers are those of Box and Muller in float64; floating-point
//! attacks on the least bits (Mironov 2012) are out of scope.

/// A stream of random words, secret while its key is.
#[derive(Debug, Clone)]
pub struct Noise {
    key: [u32; 8],
    counter: u64,
    block: [u32; 16],
    used: usize,
}

impl Noise {
    /// The stream of a key.
    pub fn new(key: &[u8; 32]) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { key: words, counter: 0, block: [0; 16], used: 16 }
    }

    fn word(&mut self) -> u32 {
        if self.used == 16 {
            let counter = [self.counter as u32, (self.counter >> 32) as u32];
            self.block = block(&self.key, [counter[0], counter[1], 0, 0]);
            (self.counter, self.used) = (self.counter + 1, 0);
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// Uniform in the open interval (0, 1), on the grid of odd multiples of 2^-54.
    fn uniform(&mut self) -> f64 {
        let word = u64::from(self.word()) | u64::from(self.word()) << 32;
        ((word >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// A standard Gumbel number, -ln(-ln(u)).
    pub fn gumbel(&mut self) -> f64 {
        // (2^53 - 1/2) / 2^53 rounds to 1, whose outer logarithm would be infinite.
        -(-self.uniform().min(1.0 - f64::EPSILON / 2.0).ln()).ln()
    }
}

/// The ChaCha20 block of a key, for a counter and nonce.
fn block(key: &[u32; 8], counter: [u32; 4]) -> [u32; 16] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574]);
    start[4..12].copy_from_slice(key);
    start[12..].copy_from_slice(&counter);
    let mut x = start;
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        for (a, b, d, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            x[a] = x[a].wrapping_add(x[b]);
            x[d] = (x[d] ^ x[a]).rotate_left(turn);
        }
    };
    for _ in 0..10 {
        (0..4).for_each(|i| quarter(i, 4 + i, 8 + i, 12 + i));
        (0..4).for_each(|i| quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4));
    }
    x.iter_mut().zip(start).for_each(|(x, start)| *x = x.wrapping_add(start));
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_of_rfc_8439() {
        let bytes: Vec<u8> = (0..32).collect();
        let noise = Noise::new(bytes[..].try_into().unwrap());
        // Section 2.3.2: counter 1, nonce 00:00:00:09:00:00:00:4a:00:00:00:00.
        let block = block(&noise.key, [1, 0x0900_0000, 0x4A00_0000, 0]);
        assert_eq!(block[..4], [0xE4E7_F110, 0x1559_3BD1, 0x1FDD_0F50, 0xC471_20A3]);
        assert_eq!(block[12..], [0xD19C_12B5, 0xB94E_16DE, 0xE883_D0CB, 0x4E3C_50A2]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut noise = Noise::new(&[7; 32]);
        let n = 200_000;
        let moments = |draws: Vec<f64>| {
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let square = draws.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / f64::from(n);
            [mean, square]
        };
        let [mean, variance] = moments((0..n).map(|_| noise.normal()).collect());
        // Four deviations of the estimates.
        assert!(mean.abs() < 0.009 && (variance - 1.0).abs() < 0.013, "{mean} {variance}");
        let [mean, variance] = moments((0..n).map(|_| noise.gumbel()).collect());
        let expected = std::f64::consts::PI.powi(2) / 6.0;
        assert!((mean - 0.577_215_66).abs() < 0.012, "{mean}");
        assert!((variance - expected).abs() < 0.04, "{variance}");
    }
}
