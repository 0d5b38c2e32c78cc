//! What the engine adds to any rule: decay, masks, clipping, sign, and the policy for NaN.

use super::geometry::Geometry;
use super::hyper::{self, Flag, Fraction, Lookup, NonNegative, Optional, Positive, Seed, choice};
use crate::engine::real::{Lane, Real};
use crate::engine::simd::{self, Kernel};
use crate::engine::{Result, real::Float};

choice! {
    /// How weight decay enters.
    Decay {
        /// `g + weight_decay * x`, before any state sees the gradient.
        Coupled = "coupled",
        /// `x * (1 - lr * weight_decay)`.
        Decoupled = "decoupled",
        /// Decoupled, and only where the step already moves `x` towards zero.
        ///
        /// Chen et al. 2025, "Cautious Weight Decay", arXiv:2510.12402. The mask is decided on the
        /// step after masking, and a step of 0 decays.
        Cautious = "cautious",
    }
}

choice! {
    /// How the step is masked by the sign of the gradient.
    Mask {
        /// Only coordinates whose step agrees with the gradient move, and by as much more as there
        /// are fewer of them. Liang et al. 2024, "Cautious Optimizers", arXiv:2411.16085.
        Cautious = "cautious",
        /// The size of the step with the sign of the gradient. Cao, Li, Song 2024, "Grams",
        /// arXiv:2412.17107.
        Grams = "grams",
    }
}

choice! {
    /// The factor of a cautious step, from the number of coordinates that agree.
    MaskScale {
        /// `1 / max(agreeing / numel, 1e-3)`.
        Mean = "mean",
        /// `numel / (agreeing + 1)`, as the paper's first code.
        CountPlusOne = "count_plus_one",
    }
}

choice! {
    /// What a NaN or infinite gradient does.
    OnNonfinite {
        /// It is computed with.
        Propagate = "propagate",
        /// The whole step is left out: parameters, states and counters stay.
        Skip = "skip",
        /// It is an error, raised before anything is written.
        Raise = "raise",
    }
}

/// Modifiers of the parameters of one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modifiers {
    /// Strength of the decay.
    pub weight_decay: f64,
    /// Its form.
    pub decay: Decay,
    /// Mask on the step.
    pub mask: Option<Mask>,
    /// Factor of a cautious step.
    pub mask_scale: MaskScale,
    /// Ascend instead of descend.
    pub maximize: bool,
    /// Largest norm of all gradients of the call together.
    pub clip_norm: Option<f64>,
    /// Largest absolute value of a gradient's element, after `clip_norm`.
    pub clip_value: Option<f64>,
    /// Share of the columns (the second axis) whose updates go the other way. Ninou, Kadmon,
    /// Cayco-Gajic 2025, "Curl descent", arXiv:2510.02765.
    pub update_sign: Option<f64>,
}

impl Modifiers {
    /// No modifier but the default decay of a rule.
    pub fn new((decay, weight_decay): (Decay, f64)) -> Self {
        Self {
            weight_decay,
            decay,
            mask: None,
            mask_scale: MaskScale::Mean,
            maximize: false,
            clip_norm: None,
            clip_value: None,
            update_sign: None,
        }
    }

    /// Reads and checks modifiers; `default` supplies what is not given.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) in the caller's words.
    pub fn read(lookup: &dyn Lookup, default: Self) -> Result<Self> {
        let mask = hyper::read::<Optional<Mask>>(lookup, "mask", &None)?;
        // The host draws the columns.
        hyper::read::<Seed>(lookup, "update_sign_seed", &0.0)?;
        Ok(Self {
            weight_decay: hyper::read::<NonNegative>(
                lookup,
                "weight_decay",
                &default.weight_decay,
            )?,
            decay: hyper::read::<Decay>(lookup, "decay", &default.decay)?,
            mask,
            mask_scale: hyper::read::<MaskScale>(lookup, "mask_scale", &default.mask_scale)?,
            maximize: hyper::read::<Flag>(lookup, "maximize", &default.maximize)?,
            clip_norm: hyper::read::<Optional<Positive>>(lookup, "clip_norm", &default.clip_norm)?,
            clip_value: hyper::read::<Optional<Positive>>(
                lookup,
                "clip_value",
                &default.clip_value,
            )?,
            update_sign: hyper::read::<Optional<Fraction>>(
                lookup,
                "update_sign",
                &default.update_sign,
            )?,
        })
    }
}

/// Modifiers of one parameter in one step, as factors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// On the gradient: sign, unscaling and norm clipping.
    pub gradient: f64,
    /// Largest absolute value of the gradient after that.
    pub clip_value: Option<f64>,
    /// Coupled decay.
    pub coupled: f64,
    /// Mask on the step.
    pub mask: Option<Mask>,
    /// On a cautious step.
    pub mask_scale: f64,
    /// On `x`: decoupled decay.
    pub keep: f64,
    /// Cautious decay, times the rate.
    pub cautious: f64,
    /// How the step moves `x`.
    pub geometry: Geometry,
}

impl Factors {
    /// `unscale` and `clip` multiply the gradient; `rate` multiplies decoupled decay.
    pub fn new(
        modifiers: &Modifiers,
        unscale: f64,
        clip: f64,
        rate: f64,
        geometry: Geometry,
    ) -> Self {
        let Modifiers { weight_decay, decay, mask, maximize, clip_value, .. } = *modifiers;
        let on = |form| if decay == form { weight_decay } else { 0.0 };
        Self {
            gradient: if maximize { -1.0 } else { 1.0 } * unscale * clip,
            clip_value,
            coupled: on(Decay::Coupled),
            mask,
            mask_scale: 1.0,
            keep: 1.0 - rate * on(Decay::Decoupled),
            cautious: rate * on(Decay::Cautious),
            geometry,
        }
    }

    /// Whether a step needs no more than `keep * x - u`.
    pub fn is_plain(&self) -> bool {
        self.mask.is_none() && self.cautious == 0.0 && self.geometry == Geometry::Additive
    }

    /// Whether the rule sees the gradient as it is.
    pub fn keeps_gradient(&self) -> bool {
        self.scale() == Some(1.0)
    }

    /// The factor that alone stands between the gradient and the rule; none if there is more.
    pub fn scale(&self) -> Option<f64> {
        (self.clip_value.is_none() && self.coupled == 0.0).then_some(self.gradient)
    }

    /// The gradient as the rule sees it: `g` itself when nothing changes it, else in `spare`.
    #[inline]
    pub fn gradient<'s, F: Float>(&self, x: &[F], g: &'s [F], spare: &'s mut [F]) -> &'s [F] {
        if self.keeps_gradient() {
            return g;
        }
        simd::dispatch(Gradient { factors: *self, x, g, out: &mut *spare });
        spare
    }

    /// Masks the step.
    #[inline]
    pub fn mask<F: Float>(&self, g: &[F], u: &mut [F]) {
        match self.mask {
            None => {}
            Some(Mask::Cautious) => simd::dispatch(Cautious(self.mask_scale, g, u)),
            Some(Mask::Grams) => simd::dispatch(Grams(g, u)),
        }
    }

    /// Decays and steps.
    #[inline]
    pub fn apply<F: Float>(&self, x: &mut [F], u: &[F], scale: f64) {
        match self.geometry {
            Geometry::Additive => {
                simd::dispatch(Apply { keep: self.keep, cautious: self.cautious, scale, x, u });
            }
            geometry => geometry.apply(x, u, self.keep, self.cautious),
        }
    }
}

/// Multiplies updates by their signs.
pub(crate) fn turn<F: Float>(signs: &[F], u: &mut [F]) {
    simd::dispatch(Turn(signs, u));
}

/// How many coordinates of a step agree with the gradient.
pub(crate) fn agreeing<F: Float>(g: &[F], u: &[F]) -> u64 {
    simd::dispatch(Agreeing(g, u))
}

/// The factor of a cautious step.
pub(crate) fn cautious_scale(form: MaskScale, agreeing: u64, numel: usize) -> f64 {
    match form {
        MaskScale::Mean => 1.0 / (agreeing as f64 / numel as f64).max(1e-3),
        MaskScale::CountPlusOne => numel as f64 / (agreeing as f64 + 1.0),
    }
}

/// `u * g > 0`, without the underflow of the product.
#[inline(always)]
pub(crate) fn agree<T: Real>(u: T, g: T) -> T::Mask {
    let zero = T::of(0.0);
    (u.gt(zero) & g.gt(zero)) | (u.lt(zero) & g.lt(zero))
}

/// Within `limit` of 0; NaN stays.
#[inline(always)]
pub(crate) fn clipped<T: Real>(g: T, limit: T) -> T {
    // Neither comparison holds for NaN, which stays.
    let g = T::select(g.gt(limit), limit, g);
    T::select(g.lt(-limit), -limit, g)
}

/// A step masked by agreement.
#[inline(always)]
pub(crate) fn cautious<T: Real>(u: T, g: T, scale: T) -> T {
    T::select(agree(u, g), u * scale, T::of(0.0))
}

/// The size of a step with the sign of the gradient.
#[inline(always)]
pub(crate) fn grams<T: Real>(u: T, g: T) -> T {
    g.sign() * u.abs()
}

/// Decays where the step already moves `x` towards zero, and steps.
#[inline(always)]
pub(crate) fn cautiously_decayed<T: Real>(x: T, u: T, decay: T) -> T {
    let zero = T::of(0.0);
    // u * x >= 0, without the underflow of the product.
    let towards = (u.ge(zero) & x.ge(zero)) | (u.le(zero) & x.le(zero));
    x - (u + T::select(towards, decay * x, zero))
}

struct Gradient<'a, F> {
    factors: Factors,
    x: &'a [F],
    g: &'a [F],
    out: &'a mut [F],
}
impl<F: Float> Kernel for Gradient<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        type T<F> = Lane<F>;
        let factor = T::<F>::of(self.factors.gradient);
        let limit = T::<F>::of(self.factors.clip_value.unwrap_or(f64::INFINITY));
        let coupled = T::<F>::of(self.factors.coupled);
        for ((out, &g), &x) in self.out.iter_mut().zip(self.g).zip(self.x) {
            let g = clipped(Lane(g) * factor, limit);
            // Without decay an infinite x must not make the gradient NaN.
            let decay = Real::select(coupled.eq(T::<F>::of(0.0)), coupled, coupled * Lane(x));
            *out = (g + decay).0;
        }
    }
}

struct Turn<'a, F>(&'a [F], &'a mut [F]);
impl<F: Float> Kernel for Turn<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (u, &sign) in self.1.iter_mut().zip(self.0) {
            *u = (Lane::<F>(*u) * Lane(sign)).0;
        }
    }
}

struct Agreeing<'a, F>(&'a [F], &'a [F]);
impl<F: Float> Kernel for Agreeing<'_, F> {
    type Output = u64;
    #[inline(always)]
    fn run(self) -> u64 {
        let pairs = self.0.iter().zip(self.1);
        pairs.map(|(&g, &u)| u64::from(agree(Lane::<F>(u), Lane(g)))).sum()
    }
}

struct Cautious<'a, F>(f64, &'a [F], &'a mut [F]);
impl<F: Float> Kernel for Cautious<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let scale = Lane::<F>::of(self.0);
        for (u, &g) in self.2.iter_mut().zip(self.1) {
            *u = cautious(Lane(*u), Lane(g), scale).0;
        }
    }
}

struct Grams<'a, F>(&'a [F], &'a mut [F]);
impl<F: Float> Kernel for Grams<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (u, &g) in self.1.iter_mut().zip(self.0) {
            *u = grams(Lane::<F>(*u), Lane(g)).0;
        }
    }
}

struct Apply<'a, F> {
    keep: f64,
    cautious: f64,
    scale: f64,
    x: &'a mut [F],
    u: &'a [F],
}
impl<F: Float> Kernel for Apply<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let [keep, cautious, scale] = [self.keep, self.cautious, self.scale].map(Lane::<F>::of);
        if self.cautious == 0.0 {
            for (x, &u) in self.x.iter_mut().zip(self.u) {
                *x = (Lane(*x) * keep - scale * Lane(u)).0;
            }
            return;
        }
        for (x, &u) in self.x.iter_mut().zip(self.u) {
            *x = cautiously_decayed(Lane(*x), scale * Lane(u), cautious).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gradient_without_coupled_decay_does_not_see_the_parameter() {
        let modifiers = Modifiers { maximize: true, ..Modifiers::new((Decay::Coupled, 0.0)) };
        let factors = Factors::new(&modifiers, 1.0, 1.0, 0.1, Geometry::Additive);
        let (x, g, mut spare) = ([f64::INFINITY, 1.0], [2.0, -3.0], [0.0; 2]);
        assert_eq!(factors.gradient(&x, &g, &mut spare), [-2.0, 3.0]);
    }
}
