//! Norms of a list of gradients, scaling the list, and a look uphill along it.
//!
//! Each is one pass over memory. Norms accumulate in f64, in an order that does not depend on the
//! number of threads.

use crate::engine::pass::{self, Access, Entry, Lone, States, Stretch};
use crate::engine::real::{Float, Lane, Real};
use crate::engine::reduce;
use crate::engine::simd::{self, Kernel};
use crate::engine::tensor::{Dtype, Tensor, View};

/// A norm of all elements together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Sum of absolute values.
    One,
    /// Root of the sum of squares.
    Two,
    /// Largest absolute value.
    Max,
}

impl Norm {
    fn reduce<F: Float>(self, values: &[F]) -> f64 {
        match self {
            Self::One => reduce::sum_of_abs(values),
            Self::Two => reduce::sum_of_squares(values),
            Self::Max => reduce::max_abs(values),
        }
    }

    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            // Written so that NaN stays.
            Self::Max => {
                if a >= b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            _ => a + b,
        }
    }
}

/// The norm of all elements of all `gradients`; 0 for none, NaN where one is NaN.
pub fn total_norm(gradients: Vec<View<'_>>, norm: Norm) -> f64 {
    let chunks = pass::chunks(gradients.iter().map(View::len));
    let double: Vec<bool> = gradients.iter().map(|g| g.dtype() == Dtype::F64).collect();
    let mut entries: Vec<Lone<'_>> = gradients.into_iter().map(Lone::gradient).collect();
    let parts = pass::run(&mut entries, &chunks, Access::Read, |stretch| {
        if double[stretch.entry()] {
            reduce_stretch::<f64>(&stretch, norm)
        } else {
            reduce_stretch::<f32>(&stretch, norm)
        }
    });
    let total = parts.into_iter().fold(0.0, |a, b| norm.join(a, b));
    if norm == Norm::Two { total.sqrt() } else { total }
}

fn reduce_stretch<F: Float>(stretch: &Stretch<'_, '_>, norm: Norm) -> f64 {
    let mut total = 0.0;
    stretch.gradient::<F>(|g| total = norm.join(total, norm.reduce(g)));
    total
}

/// Multiplies every element of all `gradients`, in place.
pub fn scale(gradients: Vec<Tensor<'_>>, factor: f64) {
    let chunks = pass::chunks(gradients.iter().map(Tensor::len));
    let double: Vec<bool> = gradients.iter().map(|g| g.dtype() == Dtype::F64).collect();
    let mut entries: Vec<Lone<'_>> = gradients.into_iter().map(Lone::target).collect();
    pass::run(&mut entries, &chunks, Access::Write, |stretch| {
        if double[stretch.entry()] {
            stretch.target::<f64>(|x| multiply(x, factor));
        } else {
            stretch.target::<f32>(|x| multiply(x, factor));
        }
    });
}

fn multiply<F: Float>(x: &mut [F], factor: f64) {
    struct Multiply<'a, F>(&'a mut [F], f64);
    impl<F: Float> Kernel for Multiply<'_, F> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let factor = Lane::<F>::of(self.1);
            for x in self.0 {
                *x = (Lane(*x) * factor).0;
            }
        }
    }
    simd::dispatch(Multiply(x, factor));
}

/// A point beside that of `params`: `value = param + factor * gradient`, in place of `value`;
/// `adaptive`, the gradient counts times the square of the parameter.
pub struct Ascent<'a> {
    /// What is written.
    pub value: Tensor<'a>,
    /// Where to start from; not changed.
    pub param: Tensor<'a>,
    /// Where to go.
    pub gradient: View<'a>,
}

/// Writes the values of all `tensors`, each equally long in its three parts.
pub fn ascend(tensors: Vec<Ascent<'_>>, factor: f64, adaptive: bool) {
    let chunks = pass::chunks(tensors.iter().map(|tensor| tensor.value.len()));
    let double: Vec<bool> = tensors.iter().map(|t| t.value.dtype() == Dtype::F64).collect();
    let entry = |Ascent { value, param, gradient }| {
        let state = States::from_iter([param]);
        Lone(Entry { x: value, g: gradient, state, direction: None })
    };
    let mut entries: Vec<Lone<'_>> = tensors.into_iter().map(entry).collect();
    pass::run(&mut entries, &chunks, Access::Write, |stretch| {
        if double[stretch.entry()] {
            ascend_stretch::<f64>(&stretch, factor, adaptive);
        } else {
            ascend_stretch::<f32>(&stretch, factor, adaptive);
        }
    });
}

fn ascend_stretch<F: Float>(stretch: &Stretch<'_, '_>, factor: f64, adaptive: bool) {
    struct Add<'a, F>(&'a mut [F], &'a [F], &'a [F], f64, bool);
    impl<F: Float> Kernel for Add<'_, F> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(value, param, gradient, factor, adaptive) = self;
            let factor = Lane::<F>::of(factor);
            for ((value, &param), &gradient) in value.iter_mut().zip(param).zip(gradient) {
                let (param, gradient) = (Lane(param), Lane(gradient));
                let step = factor * gradient;
                let step = if adaptive { step * (param * param) } else { step };
                *value = (param + step).0;
            }
        }
    }
    stretch.parts::<F>(|part| {
        simd::dispatch(Add(part.x, &*part.state[0], part.g, factor, adaptive));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn norms_are_those_of_all_elements_in_a_row() {
        for n in [0usize, 1, 5, 70_000, 200_000] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let b = [3.0f64, -4.0];
            let all = || a.iter().map(|&v| f64::from(v)).chain(b);
            let views = || vec![View::from(&a), View::from(&b[..])];
            let close = |x: f64, y: f64| (x - y).abs() <= 1e-12 * y;
            assert!(close(total_norm(views(), Norm::One), all().map(f64::abs).sum()));
            assert!(close(
                total_norm(views(), Norm::Two),
                all().map(|v| v * v).sum::<f64>().sqrt()
            ));
            assert_eq!(total_norm(views(), Norm::Max), 4.0);
        }
        assert_eq!(total_norm(vec![], Norm::Two), 0.0);
    }

    #[test]
    fn nan_and_infinity_reach_every_norm() {
        for bad in [f32::NAN, f32::INFINITY] {
            let (a, b) = ([1.0f32, bad], [2.0f32; 3]);
            for norm in [Norm::One, Norm::Two, Norm::Max] {
                let total = total_norm(vec![View::from(&a[..]), View::from(&b[..])], norm);
                assert!(if bad.is_nan() { total.is_nan() } else { total.is_infinite() });
            }
        }
    }

    #[test]
    fn scaling_rounds_once() {
        let mut a: Vec<f32> = (0..200_000).map(|i| i as f32).collect();
        let mut b = [1.0f64 / 3.0; 3];
        let mut c = [bf16::from_f32(3.0); 5];
        scale(vec![(&mut a).into(), (&mut b[..]).into(), (&mut c[..]).into()], 0.3);
        assert!(a.iter().enumerate().all(|(i, &x)| x == i as f32 * 0.3f32));
        assert_eq!(b, [1.0 / 3.0 * 0.3; 3]);
        assert_eq!(c, [bf16::from_f32(3.0 * 0.3f32); 5]);
    }

    #[test]
    fn ascent_goes_uphill_from_params_that_stay() {
        let n = 100_003;
        let start: Vec<f32> = (0..n).map(|i| (i as f32 * 0.1).sin()).collect();
        let g: Vec<f32> = (0..n).map(|i| (i as f32 * 0.3).cos()).collect();
        for adaptive in [false, true] {
            let (mut param, mut value) = (start.clone(), vec![f32::NAN; n]);
            let tensor = Ascent {
                value: Tensor::from(&mut value),
                param: Tensor::from(&mut param),
                gradient: View::from(&g),
            };
            ascend(vec![tensor], 0.5, adaptive);
            assert_eq!(param, start);
            for ((value, &x), &g) in value.iter().zip(&start).zip(&g) {
                let step = if adaptive { 0.5 * g * (x * x) } else { 0.5 * g };
                assert_eq!(*value, x + step);
            }
        }
    }
}
