//! Norms of the whole vector.
//!
//!   lam |x|_2:    y = (1 - lam / |x|)_+ x
//!     pull: (1 - lam / n) v + (lam / n^3) x (x.v) where n = |x| > lam, else 0
//!   lam |x|_inf:  y = x - P(x), P the projection onto the l1 ball of radius lam (Moreau)

use super::super::l2_ball::length;
use super::super::{L1Ball, Memory, Params, Set};
use crate::engine::Result;

/// The Euclidean norm.
#[derive(Debug, Clone, Copy)]
pub struct L2 {
    lam: f64,
}

impl L2 {
    /// From the number `lam`.
    pub fn new(params: &Params<'_>) -> Result<Self> {
        Ok(Self { lam: params.strength(0, "lam")? })
    }
}

/// (1 - lam / |x|)_+ x in place.
pub fn shrink(x: &mut [f64], lam: f64) {
    let n = length(x.iter().copied());
    let scale = if n > lam { 1.0 - lam / n } else { 0.0 };
    x.iter_mut().for_each(|x| *x *= scale);
}

/// The derivative of [`shrink`] times `v`.
pub fn pull_shrink(x: &[f64], lam: f64, v: &mut [f64]) {
    let n = length(x.iter().copied());
    if lam == 0.0 {
        return;
    }
    if n <= lam {
        v.fill(0.0);
        return;
    }
    let along: f64 = x.iter().zip(&*v).map(|(x, v)| x / n * v).sum();
    for (v, x) in v.iter_mut().zip(x) {
        *v = (1.0 - lam / n) * *v + lam / n * (x / n) * along;
    }
}

impl Set for L2 {
    fn project(&self, x: &mut [f64], _: &mut Memory) -> f64 {
        shrink(x, self.lam);
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], _: &mut Memory) {
        pull_shrink(x, self.lam, v);
    }
}

/// The largest absolute value.
#[derive(Debug, Clone, Copy)]
pub struct Linf<'a> {
    lam: f64,
    ball: Option<L1Ball<'a>>,
}

impl<'a> Linf<'a> {
    /// From the number `lam`.
    pub fn new(params: &Params<'a>) -> Result<Self> {
        let lam = params.strength(0, "lam")?;
        let ball = Params { vectors: &[&[1.0]], ..*params };
        let ball = if lam.is_finite() { Some(L1Ball::new(&ball)?) } else { None };
        Ok(Self { lam, ball })
    }
}

impl Set for Linf<'_> {
    fn project(&self, x: &mut [f64], memory: &mut Memory) -> f64 {
        let Some(ball) = self.ball else {
            x.fill(0.0);
            return 0.0;
        };
        if self.lam == 0.0 {
            return 0.0;
        }
        // x - P(x) is a clip at one level, where the difference itself would lose digits.
        let mut inside = x.to_vec();
        ball.project(&mut inside, memory);
        let mut level = 0.0_f64;
        for (x, p) in x.iter().zip(&inside) {
            if *p != 0.0 {
                level = level.max((x - p).abs());
            }
        }
        x.iter_mut().for_each(|x| *x = x.clamp(-level, level));
        0.0
    }

    fn pull(&self, x: &[f64], _: &[f64], v: &mut [f64], memory: &mut Memory) {
        let Some(ball) = self.ball else {
            v.fill(0.0);
            return;
        };
        let mut inside = x.to_vec();
        ball.project(&mut inside, memory);
        let mut part = v.to_vec();
        ball.pull(x, &inside, &mut part, memory);
        v.iter_mut().zip(&part).for_each(|(v, p)| *v -= p);
    }
}
