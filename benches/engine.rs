//! The engine's reductions: bytes read a second, in cache and from memory.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::engine::reduce::{dot, max_abs, sum_of_squares};

fn reductions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reduce");
    for n in [1 << 12, 1 << 22] {
        let a: Vec<f32> = (0..n).map(|i| (i % 1009) as f32 - 504.0).collect();
        let b: Vec<f32> = a.iter().rev().copied().collect();
        group.throughput(Throughput::Bytes(4 * n as u64));
        group.bench_function(BenchmarkId::new("sum_of_squares", n), |bencher| {
            bencher.iter(|| sum_of_squares(black_box(&a)));
        });
        group.bench_function(BenchmarkId::new("max_abs", n), |bencher| {
            bencher.iter(|| max_abs(black_box(&a)));
        });
        group.throughput(Throughput::Bytes(8 * n as u64));
        group.bench_function(BenchmarkId::new("dot", n), |bencher| {
            bencher.iter(|| dot(black_box(&a), black_box(&b)));
        });
    }
    group.finish();
}

criterion_group!(benches, reductions);
criterion_main!(benches);
