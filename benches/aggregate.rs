//! Aggregation: the two passes over a Jacobian, beside reading it once, and the small problems.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::aggregate::{Cagrad, DualProj, Gram, Mgda, Rescale, UpGrad, Weighting};
use thalweg::engine::{reduce, rng::Philox};
use thalweg::linalg::{combine::combine, gram::add_gramian};

const SHAPES: [(usize, usize); 4] = [(2, 1_000_000), (8, 1_000_000), (32, 100_000), (128, 10_000)];

/// Normal entries, row after row.
fn jacobian(m: usize, d: usize) -> Vec<f32> {
    let rng = Philox::new(0);
    (0..m * d).map(|k| rng.normal(0, k as u64)[0] as f32).collect()
}

fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aggregate");
    for (m, d) in SHAPES {
        let data = jacobian(m, d);
        let rows: Vec<&[f32]> = data.chunks(d).collect();
        let weights: Vec<f64> = (0..m).map(|i| 1.0 / (i + 1) as f64).collect();
        let (mut gram, mut out) = (vec![0.0; m * m], vec![0.0_f32; d]);
        group.throughput(Throughput::Bytes(4 * (m * d) as u64));
        let shape = format!("{m}x{d}");
        group.bench_function(BenchmarkId::new("read", &shape), |bencher| {
            bencher.iter(|| reduce::max_abs(black_box(&data)));
        });
        group.bench_function(BenchmarkId::new("gramian", &shape), |bencher| {
            bencher.iter(|| add_gramian(black_box(&rows), &mut gram));
        });
        group.bench_function(BenchmarkId::new("combine", &shape), |bencher| {
            bencher.iter(|| combine(black_box(&rows), &weights, &mut out));
        });
    }
    group.finish();
}

fn weights(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("weights");
    for (m, d) in [(8, 1000), (32, 1000), (128, 10_000)] {
        let data = jacobian(m, d);
        let rows: Vec<&[f32]> = data.chunks(d).collect();
        let mut values = vec![0.0; m * m];
        add_gramian(&rows, &mut values);
        let gram = Gram::new(&values, m).expect("square");
        let cagrad =
            Cagrad { c: 0.5, rescale: Rescale::None, count_zero_rows: false, norm_eps: None };
        let mut bench = |name: &str, method: &dyn Weighting| {
            group.bench_function(BenchmarkId::new(name, m), |bencher| {
                bencher.iter(|| method.weights(black_box(&gram)));
            });
        };
        bench("upgrad", &UpGrad::default());
        bench("dualproj", &DualProj::default());
        bench("mgda", &Mgda::default());
        bench("cagrad", &cagrad);
    }
    group.finish();
}

criterion_group!(benches, passes, weights);
criterion_main!(benches);
